//! Runs that a test lets fail, and how many are in progress.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tasklane_model::{
    Deployment, Failures, FunctionError, FunctionName, FunctionSpec, Invocation, InvokeError, InvokeRequest, ObjectId,
    Outcome,
};
use tasklane_ports::{Chance, Code, DeployError, HeldCode, Lambda, PortError, PortFuture, SystemChance};
use tasklane_runtime::lock::Lock;

/// What a test knows and decides about runs.
#[derive(Debug, Default)]
pub(super) struct Runs {
    begun: AtomicU64,
    in_progress: AtomicUsize,
    /// How many of the next runs of a Function fail, and how.
    failing: Lock<HashMap<FunctionName, (u16, Failures)>>,
    /// The Tasks whose runs have ended without an outcome. They are in progress until their leases end.
    unknown: Lock<HashSet<ObjectId>>,
}

impl Runs {
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    pub(super) fn in_progress(&self) -> usize {
        self.in_progress.load(Ordering::SeqCst)
    }

    pub(super) fn is_unknown(&self, task: ObjectId) -> bool {
        self.unknown.lock().contains(&task)
    }

    /// Lets the next runs of this Function fail, instead of those that were to fail until now.
    pub(super) fn fail(&self, function: &FunctionName, failures: Failures) {
        self.failing.lock().insert(function.clone(), (failures.times.get(), failures));
    }

    /// How this run fails, if it is to.
    fn failure(&self, function: &FunctionName) -> Option<FunctionError> {
        let mut failing = self.failing.lock();
        let (left, failures) = failing.get_mut(function)?;
        let Some(rest) = left.checked_sub(1) else {
            failing.remove(function);
            return None;
        };
        *left = rest;
        Some(FunctionError { name: failures.name.clone(), message: failures.message.clone(), trace: Vec::new() })
    }
}

/// A Lambda, some of whose runs fail because a test asked for it.
pub(super) struct RehearsedLambda {
    pub(super) lambda: Arc<dyn Lambda>,
    pub(super) runs: Arc<Runs>,
}

impl RehearsedLambda {
    async fn run(&self, request: InvokeRequest<'_>) -> Result<Invocation, InvokeError> {
        self.runs.begun.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = self.runs.failure(request.function) {
            return Ok(Invocation { request_id: request_id(), outcome: Outcome::Failed(error) });
        }
        let _in_progress = InProgress::begin(&self.runs);
        let task = request.correlation;
        let invoked = self.lambda.invoke(request).await;
        if matches!(invoked, Err(InvokeError::OutcomeUnknown(_))) {
            self.runs.unknown.lock().insert(task);
        }
        invoked
    }
}

impl Lambda for RehearsedLambda {
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        code: Option<Code>,
        current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>> {
        self.lambda.deploy(spec, code, current)
    }

    fn holds<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<bool, PortError>> {
        self.lambda.holds(function, deployment)
    }

    fn point_at<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<(), PortError>> {
        self.lambda.point_at(function, deployment)
    }

    fn code_of<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<Option<HeldCode>, PortError>> {
        self.lambda.code_of(function, deployment)
    }

    fn retire<'a>(
        &'a self,
        function: &'a FunctionName,
        kept: &'a [Deployment],
    ) -> PortFuture<'a, Result<(), PortError>> {
        self.lambda.retire(function, kept)
    }

    fn remove<'a>(&'a self, function: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>> {
        self.lambda.remove(function)
    }

    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(self.run(request))
    }
}

/// Counts a run until it is dropped, even if its caller gives up.
struct InProgress<'a>(&'a Runs);

impl<'a> InProgress<'a> {
    fn begin(runs: &'a Runs) -> Self {
        runs.in_progress.fetch_add(1, Ordering::SeqCst);
        Self(runs)
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An id like those of Lambda's runs.
fn request_id() -> String {
    let mut bytes = [0; 16];
    SystemChance.fill(&mut bytes);
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use tasklane_model::FailTimes;

    use super::*;

    fn failures(times: i64, name: &str) -> Failures {
        Failures { times: FailTimes::new(times).unwrap(), name: name.to_owned(), message: "no".to_owned() }
    }

    #[test]
    fn so_many_runs_of_this_function_fail_and_the_last_wish_counts() {
        let runs = Runs::default();
        let [f, g] = ["f", "g"].map(|name| FunctionName::parse(name).unwrap());
        runs.fail(&f, failures(9, "Old"));
        runs.fail(&f, failures(2, "New"));
        assert_eq!(runs.failure(&g), None);
        assert_eq!(runs.failure(&f).unwrap().name, "New");
        assert_eq!(runs.failure(&f).unwrap().name, "New");
        assert_eq!(runs.failure(&f), None);
        runs.fail(&f, failures(3, "New"));
        runs.fail(&f, failures(0, "None"));
        assert_eq!(runs.failure(&f), None);
    }

    #[test]
    fn ids_of_runs_look_like_those_of_lambda() {
        let id = request_id();
        let parts: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
    }
}
