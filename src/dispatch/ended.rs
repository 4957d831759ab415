//! What the log is told of each run of a Task that has ended.

use std::time::Duration;

use tasklane_model::{FunctionName, ObjectId, TaskStatus};
use tracing::info;

use super::Ended;

/// The target of the log line that each run of a Task ends with: `task`, `function`, `outcome` (complete, failed, retried
/// or unknown), `late_ms` (how long after it was due it started; not of a direct execution, which is never due) and
/// `run_ms`. Metrics are made of it.
pub const ENDED_RUNS: &str = "tasklane::runs";

/// Tells how a run of this Task ended.
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
