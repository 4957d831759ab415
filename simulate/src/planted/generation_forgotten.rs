//! A change of a Function does not begin a new generation.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::drop_puts;

pub const BUG: Bug = Bug::new("generation-forgotten", &GenerationForgotten);

struct GenerationForgotten;

impl Seams for GenerationForgotten {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        drop_puts(operation, body, "generation:");
    }
}
