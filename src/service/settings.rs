//! What a deployment decides.

use std::time::Duration;

/// The settings of one deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The prefix of this deployment's Lambda functions: `<prefix>-<name>`.
    pub prefix: String,
    /// How many API Functions may run at once in this process (1412 past that).
    pub api_concurrency: u16,
    /// How many runs of public Functions callers without a credential may have at once in this process, of API Functions and
    /// of direct executions each: they must not be able to hold every slot. No limit when absent.
    pub anonymous_concurrency: Option<AnonymousConcurrency>,
    /// Whether an API Request record is written before the call is answered: where a process is frozen once it has
    /// answered, as a Lambda handler is, it must be. Its loss never fails the call either way.
    pub record_before_answer: bool,
    /// How long a caller who waits for a Function can be kept waiting; for as long as it takes when absent. Where
    /// something in front of the service gives up by itself, the caller is told before it does (1405, with the Task's
    /// id), and the run goes on to its end.
    pub answer_within: Option<Duration>,
}

/// How many slots callers without a credential may hold at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnonymousConcurrency {
    /// For API Functions.
    pub api: u16,
    /// For direct executions.
    pub direct: u16,
}

impl AnonymousConcurrency {
    /// Half of the slots that there are, and one at least.
    pub fn half_of(api: u16, direct: u16) -> Self {
        Self { api: (api / 2).max(1), direct: (direct / 2).max(1) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "tasklane".to_owned(),
            api_concurrency: 20,
            anonymous_concurrency: None,
            record_before_answer: true,
            answer_within: None,
        }
    }
}
