//! Tasks are promoted before their time.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::{is_query_of, value};

pub const BUG: Bug = Bug::new("promoted-before-its-time", &PromotedBeforeItsTime);

struct PromotedBeforeItsTime;

impl Seams for PromotedBeforeItsTime {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        if is_query_of(body, "waiting")
            && let Some(below) = value(body, ":below")
        {
            let millis: i64 = below.trim_end_matches('/').parse().unwrap_or(0);
            body["ExpressionAttributeValues"][":below"]["S"] = json!(format!("{:015}/", millis + 1000));
        }
    }
}
