//! A debounced creation changes the Task that it read, even if another one has changed it since.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::value;

pub const BUG: Bug = Bug::new("debounced-element-lost", &DebouncedElementLost);

struct DebouncedElementLost;

impl Seams for DebouncedElementLost {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        if value(body, ":set_editedBy").is_none() {
            return;
        }
        // The Task is still new, which is all that a careless programmer would ask for.
        body["ConditionExpression"] = "#status = :new".into();
        let update = body["UpdateExpression"].as_str().unwrap_or_default().to_owned();
        for map in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
            if let Some(names) = body[map].as_object_mut() {
                names.retain(|name, _| {
                    ["#status", ":new"].contains(&name.as_str())
                        || update.split([' ', ',', '=']).any(|word| word == name)
                });
            }
        }
    }
}
