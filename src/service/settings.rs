//! What a deployment decides.

use std::time::Duration;

/// The settings of one deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The prefix of this deployment's Lambda functions: `<prefix>-<name>`.
    pub prefix: String,
    /// How many Tasks may run at once (contract §4; upstream's default is 5).
    pub task_concurrency: u16,
    /// How many API Functions may run at once in this process (1412 past that).
    pub api_concurrency: u16,
    /// How long a record's final state is kept; for ever when absent.
    pub retention: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prefix: "tasklane".to_owned(), task_concurrency: 5, api_concurrency: 20, retention: None }
    }
}
