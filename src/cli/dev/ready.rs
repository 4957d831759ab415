//! What `dev --json` says to the program that started it: one line of JSON for each event.

use std::path::Path;

use serde_json::json;
use tasklane_task_config::TaskConfig;

use super::sync::Refused;

/// The service answers at `url`.
pub(super) fn listening(url: &str, credentials: &Path) -> String {
    json!({ "event": "listening", "url": url, "credentials": credentials }).to_string()
}

/// Every Function was synced, or could not be.
pub(super) fn ready(functions: &[TaskConfig], refused: &[Refused]) -> String {
    let functions: Vec<_> = functions.iter().map(|config| config.name.as_str()).collect();
    let refused: Vec<_> =
        refused.iter().map(|refused| json!({ "file": refused.file, "message": refused.why })).collect();
    json!({ "event": "ready", "functions": functions, "refused": refused }).to_string()
}
