//! A dispatcher drains when its time is up, and never before.

use serde_json::{Value, json};

use super::{
    seams::{Bug, Seams},
    shifts::rewrite_shifts,
};

pub const BUG: Bug = Bug::new("drains-only-at-its-end", &DrainsOnlyAtItsEnd);

struct DrainsOnlyAtItsEnd;

impl Seams for DrainsOnlyAtItsEnd {
    fn rewrite_answer(&self, _: &str, body: &Value, answer: &mut Vec<u8>) {
        // Enough others seem to drain already.
        rewrite_shifts(body, answer, |shifts| {
            for number in 0..10 {
                let (began, until) = ("2000-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z");
                shifts.insert(format!("other{number}"), json!({ "began": began, "drains": true, "until": until }));
            }
        });
    }
}
