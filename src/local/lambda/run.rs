//! One run, from the request to its REPORT line.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use tasklane_model::{FunctionError, Invocation, InvokeError, InvokeRequest, Outcome};
use tasklane_runtime::detach::detach_on_drop;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use super::{
    engine::Engine,
    init::{Initialisation, NotReady},
    limits::MAX_REQUEST_BYTES,
    names::RunNames,
    output::LogTarget,
    pool::{Checkout, Slot},
    report::{self, Status, Usage},
    runtime_api::{Answer, Delivery},
    runtimes::{Support, named},
    sandbox::{Happening, Sandbox},
    system::now,
    versions::Version,
};

/// How long the caller waits after the answer for the process to finish: then the run's last lines are on their way to
/// the log, and the process is ready for the next call. If the process takes longer, the caller gets the answer first.
const SETTLE: Duration = Duration::from_millis(200);

/// Runs a version once and waits for its outcome.
pub(super) async fn invoke(engine: &Arc<Engine>, request: InvokeRequest<'_>) -> Result<Invocation, InvokeError> {
    let InvokeRequest { function, deployment, payload, correlation, time_limit: _ } = request;
    let bytes = payload.len();
    if bytes > MAX_REQUEST_BYTES {
        return Err(refused(
            "RequestEntityTooLargeException",
            format!(
                "{bytes} byte payload is too large for the RequestResponse invocation type (limit {MAX_REQUEST_BYTES} bytes)"
            ),
        ));
    }
    let version = engine
        .versions
        .find(function, &deployment.version)
        .map_err(|error| refused("ServiceException", format!("the deployed version cannot be read: {error}")))?;
    let Some(version) = version else {
        let message = format!("Function not found: {}", engine.site.arn(function));
        return Err(refused("ResourceNotFoundException", message));
    };
    let version = engine.site.layers.under(version).await.map_err(|error| {
        let message = format!("the layers of {function} cannot be read: {error}");
        refused("ServiceException", message)
    })?;
    let version =
        engine.site.inspected.under(version).map_err(|error| refused("ServiceException", error.to_string()))?;
    let program = &version.configuration.program;
    let support = engine.support(program).await;
    if let Support::Missing(what) = &*support {
        let name = if program.runtime().is_some() { "InvalidRuntimeException" } else { "InvalidImage" };
        return Err(refused(name, format!("{} cannot run on this machine: {what}", named(program))));
    }
    let turn = engine.site.inspected.turn(function).await;
    if turn.is_some() {
        // The process of an earlier version has the debugger's port.
        engine.pool.end_idle(|idle| idle.function == *function && !idle.is(&version)).await;
    }
    let place = match engine.pool.check_out(&version).await {
        Checkout::Warm(sandbox, slot) => Place { slot, warm: Some(sandbox), evicted: None },
        Checkout::Cold(slot, evicted) => Place { slot, warm: None, evicted },
        Checkout::Full => {
            let max = engine.pool.max();
            return Err(InvokeError::Throttled(format!("Rate Exceeded: all {max} processes are busy")));
        }
        Checkout::Closed => return Err(InvokeError::Throttled("the server is stopping".to_owned())),
    };
    engine.pool.busy(&version);
    let RunNames { request_id, trace_id } = RunNames::new();
    let target = LogTarget::new(function.clone(), correlation, request_id.into(), engine.site.config.run_log_bytes);
    let (answer, mut answered) = oneshot::channel();
    let run = Run { engine: engine.clone(), version, support, target, trace_id, answer: Some(answer), _turn: turn };
    // The code runs to its end even if the caller is gone, and an answer may come before that end.
    let run = detach_on_drop(&engine.runs, run.drive(place, payload));
    let answer = tokio::select! {
        biased;
        () = run => answered.await,
        answer = &mut answered => answer,
    };
    answer.unwrap_or_else(|_| Err(InvokeError::OutcomeUnknown("the run was lost".to_owned())))
}

/// The process or slot for a run.
struct Place {
    slot: Slot,
    warm: Option<Sandbox>,
    /// An idle process that must be ended first.
    evicted: Option<Sandbox>,
}

struct Run {
    engine: Arc<Engine>,
    version: Arc<Version>,
    support: Arc<Support>,
    target: LogTarget,
    /// Empty once the process was given it.
    trace_id: String,
    /// `None` once the caller was answered.
    answer: Option<oneshot::Sender<Result<Invocation, InvokeError>>>,
    /// Under a debugger, one run at a time.
    _turn: Option<OwnedSemaphorePermit>,
}

/// How a run ended.
struct Ending {
    outcome: Result<Outcome, InvokeError>,
    status: Status,
    /// The process, if it is ready for its next run.
    reusable: Option<Sandbox>,
    peak_megabytes: u64,
    /// Lambda's line about how the run ended, if any.
    line: Option<String>,
}

/// The process's answer, and how long the caller waits for the process to finish.
struct Answered {
    outcome: Outcome,
    settled: Instant,
}

/// How the wait for a process ended.
enum End {
    /// It is ready for its next run.
    Done,
    TimedOut,
    /// It exited, or had to be killed; the name is Lambda's, for the REPORT line.
    Ended(FunctionError, &'static str),
    /// The server is stopping.
    Aborted,
}

impl Run {
    async fn drive(mut self, place: Place, payload: Bytes) {
        let Place { slot, warm, evicted } = place;
        if let Some(mut evicted) = evicted {
            evicted.kill().await;
        }
        let (sandbox, init) = match warm {
            Some(sandbox) => {
                sandbox.output.begin_run(self.target.clone()).await;
                sandbox.thaw().await;
                (Ok(sandbox), None)
            }
            None => {
                // Boxed, because most runs do not need the space.
                let (sandbox, took) = Box::pin(self.initialisation().before_run()).await;
                let ready = sandbox.is_ok();
                (sandbox, ready.then_some(took))
            }
        };
        let begun = Instant::now();
        let deadline = begun + self.version.configuration.time_limit.as_duration();
        let sandbox = match sandbox {
            Err(NotReady::Failed(..) | NotReady::TimedOut | NotReady::Broken(_)) => {
                Box::pin(self.initialisation().within_run(deadline)).await
            }
            ready_or_aborted => ready_or_aborted,
        };
        self.log(report::start(&self.target.request_id)).await;
        let ending = match sandbox {
            Ok(sandbox) => self.invoke(sandbox, payload, deadline).await,
            Err(failure) => self.not_ready(failure),
        };
        let duration = begun.elapsed().min(self.version.configuration.time_limit.as_duration());
        let usage = Usage {
            duration,
            init,
            memory_limit: self.version.configuration.memory_limit.get(),
            peak_megabytes: ending.peak_megabytes,
        };
        self.conclude(ending, &usage, slot).await;
    }

    fn initialisation(&self) -> Initialisation<'_> {
        let Self { engine, version, support, target, .. } = self;
        Initialisation { site: &engine.site, version, support, target }
    }

    fn not_ready(&self, failure: NotReady) -> Ending {
        let status = failure.status();
        let (outcome, line) = match failure {
            NotReady::Failed(error, line) => (Ok(Outcome::Failed(error)), line),
            NotReady::TimedOut => {
                let (outcome, line) = self.timed_out();
                (Ok(outcome), Some(line))
            }
            NotReady::Broken(error) => {
                let message = format!("the Function's process could not be started: {error}");
                (Err(refused("ServiceException", message)), None)
            }
            NotReady::Aborted => (Err(aborted()), None),
        };
        Ending { outcome, status, reusable: None, peak_megabytes: 0, line }
    }

    /// Passes the event to the process and waits until it is finished with it, however that ends.
    async fn invoke(&mut self, mut sandbox: Sandbox, payload: Bytes, deadline: Instant) -> Ending {
        sandbox.deliver(self.delivery(payload, deadline)).await;
        let mut answered: Option<Answered> = None;
        let end = loop {
            // The caller still waits: answer it if the process takes too long to finish.
            let settled = answered.as_ref().filter(|_| self.answer.is_some()).map(|answered| answered.settled);
            let until = settled.map_or(deadline, |settled| settled.min(deadline));
            match (sandbox.next(until).await, &answered) {
                (Happening::Answered(answer), _) => {
                    answered = Some(Answered { outcome: outcome_of(answer), settled: Instant::now() + SETTLE });
                }
                (Happening::Ready, Some(_)) => break End::Done,
                // A process that asks for another invocation before it has answered gets none, and its time runs on.
                (Happening::Ready, None) | (Happening::InitError(_), _) => {}
                (Happening::Deadline, Some(answered)) if until < deadline => {
                    sandbox.output.catch_up().await;
                    self.answer(Ok(answered.outcome.clone()));
                }
                (Happening::Deadline, _) => break End::TimedOut,
                (Happening::Exited(status), _) => {
                    break End::Ended(report::exited(&self.target.request_id, status), "Runtime.ExitError");
                }
                (Happening::OutOfMemory, _) => {
                    break End::Ended(report::killed(&self.target.request_id), "Runtime.OutOfMemory");
                }
                (Happening::OutOfProcesses, _) => {
                    break End::Ended(report::killed(&self.target.request_id), "Runtime.ExitError");
                }
                (Happening::Aborted, _) => break End::Aborted,
            }
        };
        self.ending(sandbox, end, answered.map(|answered| answered.outcome)).await
    }

    fn delivery(&mut self, payload: Bytes, deadline: Instant) -> Delivery {
        let remaining = deadline.saturating_duration_since(Instant::now());
        Delivery {
            request_id: self.target.request_id.clone(),
            deadline_millis: now().saturating_add(remaining).as_millis(),
            function_arn: self.engine.site.arn(&self.version.function),
            trace_id: mem::take(&mut self.trace_id),
            payload,
        }
    }

    /// Kills a process that is not finished, and decides the run's outcome. If there was an answer it stands, however
    /// the process ended.
    async fn ending(&self, mut sandbox: Sandbox, end: End, answered: Option<Outcome>) -> Ending {
        let peak_megabytes = sandbox.peak_megabytes();
        let is_reusable = matches!(end, End::Done);
        if !is_reusable {
            sandbox.kill().await;
        }
        sandbox.output.end_run().await;
        let (outcome, status, line) = match (end, answered) {
            (End::TimedOut, answered) => {
                let (outcome, line) = self.timed_out();
                (Ok(answered.unwrap_or(outcome)), Status::Timeout, Some(line))
            }
            (_, Some(outcome)) => (Ok(outcome), Status::Unremarkable, None),
            (End::Ended(error, name), None) => {
                let line = report::exit_line(&error);
                (Ok(Outcome::Failed(error)), Status::Error(name.to_owned()), Some(line))
            }
            (End::Aborted, None) => (Err(aborted()), Status::Unremarkable, None),
            (End::Done, None) => {
                let lost = InvokeError::OutcomeUnknown("the process did not answer".to_owned());
                (Err(lost), Status::Unremarkable, None)
            }
        };
        Ending { outcome, status, reusable: is_reusable.then_some(sandbox), peak_megabytes, line }
    }

    /// The failure of a run that timed out, and Lambda's line about it.
    fn timed_out(&self) -> (Outcome, String) {
        let (request_id, limit) = (&self.target.request_id, self.version.configuration.time_limit);
        (Outcome::Failed(report::timed_out(request_id, limit)), report::timeout_line(now(), request_id, limit))
    }

    /// Logs the last lines, returns the process to the pool, and answers the caller if that has not been done.
    async fn conclude(mut self, ending: Ending, usage: &Usage, slot: Slot) {
        let Ending { outcome, status, reusable, peak_megabytes: _, line } = ending;
        for line in self.target.left_out().into_iter().chain(line) {
            self.log(line).await;
        }
        self.log(report::end(&self.target.request_id)).await;
        self.log(report::report(&self.target.request_id, usage, &status)).await;
        match reusable {
            Some(sandbox) => self.engine.pool.rest(sandbox, slot),
            None => {
                self.engine.pool.gone(&self.version);
                drop(slot);
            }
        }
        self.answer(outcome);
    }

    fn answer(&mut self, outcome: Result<Outcome, InvokeError>) {
        if let Some(answer) = self.answer.take() {
            let request_id = self.target.request_id.to_string();
            // The caller may be gone.
            let _ = answer.send(outcome.map(|outcome| Invocation { request_id, outcome }));
        }
    }

    async fn log(&self, line: String) {
        self.target.log(&*self.engine.site.config.logs, line).await;
    }
}

fn outcome_of(answer: Answer) -> Outcome {
    match answer {
        Answer::Returned(result) => Outcome::Returned(result),
        Answer::TooLarge => Outcome::Failed(report::response_too_large()),
        Answer::Failed(error) => Outcome::Failed(error),
    }
}

fn refused(name: &str, message: String) -> InvokeError {
    InvokeError::Refused { name: name.to_owned(), message }
}

fn aborted() -> InvokeError {
    InvokeError::OutcomeUnknown("the server stopped while the Function ran".to_owned())
}
