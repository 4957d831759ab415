//! The log line about each finished run of a Task.

use std::time::Duration;

use tasklane_model::{FunctionName, ObjectId, TaskStatus};
use tracing::info;

use super::Ended;

/// The target of the log line about each finished run of a Task, from which metrics are derived. Its fields: `task`,
/// `function`, `outcome` (complete, failed, retried or unknown), `late_ms` (how long after its due time the run
/// started; absent for direct executions) and `run_ms`.
pub const ENDED_RUNS: &str = "tasklane::runs";

/// Logs how a run of this Task ended.
pub fn tell_of<R>(task: ObjectId, function: &FunctionName, ended: &Ended<R>, late: Option<Duration>, took: Duration) {
    let outcome = match ended {
        Ended::Complete(..) => "complete",
        Ended::Failed(task, _) if task.status == TaskStatus::Retried => "retried",
        Ended::Failed(..) => "failed",
        Ended::Unknown(_) => "unknown",
    };
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    info!(
        target: ENDED_RUNS,
        %task, function = function.as_str(), outcome, late_ms = late.map(millis), run_ms = millis(took), "run ended"
    );
}
