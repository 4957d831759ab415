//! A dispatcher drains when its time is up, and never before.

use serde_json::Value;

use super::{
    seams::{Bug, Seams},
    shifts::rewrite_shifts,
};

pub const BUG: Bug = Bug::new("drains-only-at-its-end", &DrainsOnlyAtItsEnd);

struct DrainsOnlyAtItsEnd;

impl Seams for DrainsOnlyAtItsEnd {
    fn rewrite_answer(&self, _: &str, body: &Value, answer: &mut Vec<u8>) {
        // No younger shift goes on.
        rewrite_shifts(body, answer, |shifts| {
            for shift in shifts.values_mut() {
                shift["began"] = Value::from("2000-01-01T00:00:00.000Z");
            }
        });
    }
}
