//! A dispatcher drains as soon as it may, whatever the others do.

use serde_json::{Value, json};

use super::{
    seams::{Bug, Seams},
    shifts::rewrite_shifts,
};

pub const BUG: Bug = Bug::new("all-drain-at-once", &AllDrainAtOnce);

struct AllDrainAtOnce;

impl Seams for AllDrainAtOnce {
    fn rewrite_answer(&self, _: &str, body: &Value, answer: &mut Vec<u8>) {
        // No other shift drains, and two younger ones go on.
        rewrite_shifts(body, answer, |shifts| {
            shifts.retain(|_, shift| shift["drains"] == false);
            for name in ["younger", "youngest"] {
                let (began, until) = ("2100-01-01T00:00:00.000Z", "2100-01-02T00:00:00.000Z");
                shifts.insert(name.to_owned(), json!({ "began": began, "drains": false, "until": until }));
            }
        });
    }
}
