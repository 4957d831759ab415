//! Ends a canary whose runs fail (contract §18).

use tasklane_model::{Canary, CanaryEnd, Function, ObjectId};
use tasklane_ports::{Clock, Ports};
use tasklane_store::{Store, StoreError, Versioned};
use tracing::warn;

use super::{Ended, FunctionDirectory, run::NOT_TRIED};

/// How often the Function is read again if others change it at the same time.
const TRIES: usize = 8;

/// How a run of a Function ended that says something about its code.
#[derive(Clone, Copy, Debug)]
pub struct EndOfRun {
    /// The Task or API Request.
    pub id: ObjectId,
    /// The first Task of its chain.
    pub first: ObjectId,
    /// Whether it failed. A run that is retried has failed.
    pub failed: bool,
}

impl EndOfRun {
    /// The end of a Task's run; `None` if the code was not called for a reason that is not its own.
    pub fn of_task<R>(ended: &Ended<R>) -> Option<Self> {
        match ended {
            Ended::Complete(task, _) => Some(Self { id: task.id, first: task.first_of_chain(), failed: false }),
            Ended::Failed(_, error) if NOT_TRIED.contains(&error.name.as_str()) => None,
            Ended::Failed(task, _) => Some(Self { id: task.id, first: task.first_of_chain(), failed: true }),
            Ended::Unknown(_) => None,
        }
    }
}

/// Counts a run if the Function's canary had it, and ends the canary if too many of its last runs have failed. `function` is
/// the Function as it was when the run began, not as the run got it.
///
/// An error here fails no run: the next one that fails is judged again.
pub async fn judge(store: &Store, ports: &Ports, functions: &FunctionDirectory, function: &Function, end: EndOfRun) {
    if let Err(error) = try_to_judge(store, &*ports.clock, functions, function, end).await {
        warn!(function = %function.name, %error, "a run of a canary was not counted");
    }
}

async fn try_to_judge(
    store: &Store,
    clock: &dyn Clock,
    functions: &FunctionDirectory,
    function: &Function,
    end: EndOfRun,
) -> Result<(), StoreError> {
    let Some(canary) = function.history.canary.as_ref().filter(|canary| canary.gets(end.first)) else { return Ok(()) };
    let Some(limit) = canary.fail_when else { return Ok(()) };
    store.canaries.note(function, canary, end.id, end.failed).await?;
    if !end.failed || store.canaries.failures(function, canary, limit.of.get()).await? < limit.failures.get() {
        return Ok(());
    }
    for _ in 0..TRIES {
        let Some(Versioned { value: mut now, revision }) = store.functions.get(&function.name).await? else {
            return Ok(());
        };
        let is_the_same =
            |found: &Canary| (found.version, found.started_timestamp) == (canary.version, canary.started_timestamp);
        if now.history.series != function.history.series || !now.history.canary.as_ref().is_some_and(is_the_same) {
            return Ok(());
        }
        now.history.end_canary(CanaryEnd::Failed, clock.now());
        if store.functions.update(&now, revision).await? {
            functions.forget(&function.name);
            warn!(
                function = %function.name, version = %canary.version, failures = limit.failures.get(), of = limit.of.get(),
                "the canary failed: every run gets the current version again"
            );
            return Ok(());
        }
    }
    Err(StoreError::Contended { action: "end the canary" })
}
