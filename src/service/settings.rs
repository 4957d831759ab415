//! What a deployment decides.

use std::time::Duration;

/// The settings of one deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The prefix of this deployment's Lambda functions: `<prefix>-<name>`.
    pub prefix: String,
    /// How many API Functions may run at once in this process (1412 past that).
    pub api_concurrency: u16,
    /// Whether an API Request record is written before the call is answered: where a process is frozen once it has
    /// answered, as a Lambda handler is, it must be. Its loss never fails the call either way.
    pub record_before_answer: bool,
    /// How long a caller who waits for a Function can be kept waiting; for as long as it takes when absent. Where
    /// something in front of the service gives up by itself, the caller is told before it does (1405, with the Task's
    /// id), and the run goes on to its end.
    pub answer_within: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prefix: "tasklane".to_owned(), api_concurrency: 20, record_before_answer: true, answer_within: None }
    }
}
