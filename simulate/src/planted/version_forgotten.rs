//! A version is replaced without being kept.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::drop_puts;

pub const BUG: Bug = Bug::new("version-forgotten", &VersionForgotten);

struct VersionForgotten;

impl Seams for VersionForgotten {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        drop_puts(operation, body, "versions:");
    }
}
