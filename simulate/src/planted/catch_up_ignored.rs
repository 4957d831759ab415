//! The engine makes up for everything that was missed, whatever a Schedule says.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::rewrite_schedules;

pub const BUG: Bug = Bug::new("catch-up-ignored", &CatchUpIgnored);

struct CatchUpIgnored;

impl Seams for CatchUpIgnored {
    fn rewrite_answer(&self, _: &str, body: &Value, answer: &mut Vec<u8>) {
        for given in ["none", "latest"] {
            let (given, all) = (format!("catchUp\\\":\\\"{given}"), "catchUp\\\":\\\"all");
            rewrite_schedules(body, answer, &given, all);
        }
    }
}
