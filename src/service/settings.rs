//! The settings of a deployment.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tasklane_model::FunctionName;

use super::{Feed, Rehearsal, RunHistory};

/// The settings of a deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The prefix of this deployment's Lambda functions: `<prefix>-<name>`.
    pub prefix: String,
    /// How many API Functions may run at once in this process (1412 past that).
    pub api_concurrency: u16,
    /// The most concurrent runs of public Functions for callers without a credential, in this process, so that they can
    /// never hold all slots. `None` for no limit.
    pub anonymous_concurrency: Option<AnonymousConcurrency>,
    /// Whether an API Request record is written before the call is answered, which is necessary if the process freezes
    /// after the answer, such as in a Lambda handler. Losing a record never fails the call.
    pub record_before_answer: bool,
    /// How long a caller may wait for a Function; `None` for no limit. A gateway in front of the service gives up after
    /// some time. Before that, the caller gets error 1405 with the Task's id, and the run continues.
    pub answer_within: Option<Duration>,
    /// How long a caller may wait for a Task to end, at most. A caller who asks for more gets the Task as it is then.
    pub longest_wait: Duration,
    /// Within which time a due Task starts while a slot is free, if dispatchers work.
    pub starts_within: Duration,
    /// How many of the last versions of a Function stay runnable.
    pub runnable_versions: u16,
    /// What becomes of a Function with a runtime that this version does not know.
    pub unknown_runtimes: UnknownRuntimes,
    /// The Functions that run under a debugger in this process.
    pub inspected: BTreeSet<FunctionName>,
    /// What tells streams of changes. `None` if this process does not see all of them: then there are no streams.
    pub feed: Option<Feed>,
    /// What remembers how runs ended. `None` if this process does not see all of them: then there are no statistics.
    pub history: Option<Arc<dyn RunHistory>>,
    /// What tests can do to this service. `None` in a service that is not for tests.
    pub rehearsal: Option<Arc<dyn Rehearsal>>,
}

/// Who decides whether a runtime that this version does not know exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownRuntimes {
    /// This version: it refuses them (1402).
    Refused,
    /// Lambda, which gets new runtimes more often than this service gets new versions.
    LeftToLambda,
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
    /// Half of the slots, and at least one.
    pub fn half_of(api: u16, direct: u16) -> Self {
        Self { api: (api / 2).max(1), direct: (direct / 2).max(1) }
    }
}

impl Settings {
    /// The longest that a caller may ask to wait for a Task (contract §12).
    pub const LONGEST_WAIT: Duration = Duration::from_secs(25);
    /// How many versions stay runnable unless the deployment says otherwise (contract §18).
    pub const RUNNABLE_VERSIONS: u16 = 10;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "tasklane".to_owned(),
            api_concurrency: 20,
            anonymous_concurrency: None,
            record_before_answer: true,
            answer_within: None,
            longest_wait: Self::LONGEST_WAIT,
            starts_within: Duration::from_secs(10),
            runnable_versions: Self::RUNNABLE_VERSIONS,
            unknown_runtimes: UnknownRuntimes::Refused,
            inspected: BTreeSet::new(),
            feed: None,
            history: None,
            rehearsal: None,
        }
    }
}
