//! Tasks are never promoted.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::{is_query_of, value};

pub const BUG: Bug = Bug::new("never-promoted", &NeverPromoted);

struct NeverPromoted;

impl Seams for NeverPromoted {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        if is_query_of(body, "waiting") && value(body, ":below").is_some() {
            body["ExpressionAttributeValues"][":below"]["S"] = json!("0");
        }
    }
}
