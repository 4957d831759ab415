//! Direct executions take the slots of queued Tasks.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("slots-shared", &SlotsShared);

struct SlotsShared;

impl Seams for SlotsShared {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        for part in ["Key", "Item"] {
            if body[part]["pk"]["S"] == "slots:direct" {
                body[part]["pk"] = json!({ "S": "slots:tasks" });
            }
        }
    }
}
