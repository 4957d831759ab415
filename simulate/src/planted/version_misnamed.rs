//! A claim records the version before the one that runs.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::{number, sets_status};

pub const BUG: Bug = Bug::new("version-misnamed", &VersionMisnamed);

struct VersionMisnamed;

impl Seams for VersionMisnamed {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        if !sets_status(body, "inProgress") {
            return;
        }
        let version = number(&body["ExpressionAttributeValues"][":set_functionVersion"]);
        if let Some(version) = version.filter(|version| *version > 1) {
            body["ExpressionAttributeValues"][":set_functionVersion"] = json!({ "N": (version - 1).to_string() });
        }
    }
}
