//! One run, from the request to its REPORT line.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Engine, MAX_REQUEST_BYTES,
    command::ACCOUNT,
    init::{Initialisation, NotReady},
    output::LogTarget,
    pool::{Checkout, Slot},
    report::{self, Status, Usage},
    runtime_api::{Answer, Delivery},
    runtimes::Support,
    sandbox::{Happening, Sandbox},
    versions::Version,
};
use crate::{
    model::FunctionName,
    ports::{Chance, Clock, FunctionError, Invocation, InvokeError, InvokeRequest, Outcome, SystemChance, SystemClock},
    runtime::detach::detach_on_drop,
};

/// How long the caller waits, once the answer is there, for the process to be done: then the run's last lines are on
/// their way to the log and the process is ready for the next call. A process that takes longer is finished without the caller.
const SETTLE: Duration = Duration::from_millis(200);

/// See [`crate::ports::Lambda::invoke`].
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
        let message = format!("Function not found: {}", arn(engine, function));
        return Err(refused("ResourceNotFoundException", message));
    };
    let support = engine.runtimes.support(&version.configuration.runtime).await;
    if let Support::Missing(what) = &*support {
        let message = format!("the runtime {} cannot run on this machine: {what}", version.configuration.runtime);
        return Err(refused("InvalidRuntimeException", message));
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
    let (request_id, trace_id) = names();
    let target = LogTarget::new(function.clone(), correlation, request_id.into(), engine.config.run_log_bytes);
    let (answer, mut answered) = oneshot::channel();
    let run = Run { engine: engine.clone(), version, support, target, trace_id, answer: Some(answer) };
    // The code runs to its end whether or not the caller stays, and an answer may come before that end.
    let run = detach_on_drop(&engine.runs, run.drive(place, payload));
    let answer = tokio::select! {
        biased;
        () = run => answered.await,
        answer = &mut answered => answer,
    };
    answer.unwrap_or_else(|_| Err(InvokeError::OutcomeUnknown("the run was lost".to_owned())))
}

/// Where a run takes place.
struct Place {
    slot: Slot,
    warm: Option<Sandbox>,
    /// An idle process that has to go first.
    evicted: Option<Sandbox>,
}

struct Run {
    engine: Arc<Engine>,
    version: Arc<Version>,
    support: Arc<Support>,
    target: LogTarget,
    /// Taken when the process is told.
    trace_id: String,
    /// Taken when the caller is answered.
    answer: Option<oneshot::Sender<Result<Invocation, InvokeError>>>,
}

/// How a run ended.
struct Ending {
    outcome: Result<Outcome, InvokeError>,
    status: Status,
    /// The process, when it is ready for its next run.
    reusable: Option<Sandbox>,
    peak_megabytes: u64,
    /// What Lambda logs about the ending itself.
    line: Option<String>,
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
                // Boxed: most runs need no room for it.
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
        Initialisation { engine, version, support, target }
    }

    fn not_ready(&self, failure: NotReady) -> Ending {
        let status = failure.status();
        let request_id = &self.target.request_id;
        let (outcome, line) = match failure {
            NotReady::Failed(error, line) => (Ok(Outcome::Failed(error)), line),
            NotReady::TimedOut => (
                Ok(Outcome::Failed(report::timed_out(request_id, self.version.configuration.time_limit))),
                Some(report::timeout_line(SystemClock.now(), request_id, self.version.configuration.time_limit)),
            ),
            NotReady::Broken(error) => {
                let message = format!("the Function's process could not be started: {error}");
                (Err(refused("ServiceException", message)), None)
            }
            NotReady::Aborted => (Err(aborted()), None),
        };
        Ending { outcome, status, reusable: None, peak_megabytes: 0, line }
    }

    /// Hands the event over and waits until the process is done with it, one way or another.
    async fn invoke(&mut self, mut sandbox: Sandbox, payload: Bytes, deadline: Instant) -> Ending {
        let request_id = self.target.request_id.clone();
        let remaining = deadline.saturating_duration_since(Instant::now());
        sandbox
            .deliver(Delivery {
                request_id: request_id.clone(),
                deadline_millis: SystemClock.now().saturating_add(remaining).as_millis(),
                function_arn: arn(&self.engine, &self.version.function),
                trace_id: mem::take(&mut self.trace_id),
                payload,
            })
            .await;
        let mut outcome: Option<Outcome> = None;
        let mut settled: Option<Instant> = None;
        let (status, line, failure) = loop {
            // Until the caller has its answer, stop to give it when the process takes long to be done.
            let until = settled.filter(|_| self.answer.is_some()).map_or(deadline, |settled| settled.min(deadline));
            match sandbox.next(until).await {
                Happening::Answered(answer) => {
                    outcome = Some(outcome_of(answer));
                    settled = Some(Instant::now() + SETTLE);
                }
                Happening::Ready if outcome.is_some() => break (Status::Unremarkable, None, None),
                // The process asks for more before it answered; it gets nothing, and its time runs.
                Happening::Ready | Happening::InitError(_) => {}
                Happening::Deadline if until < deadline => {
                    sandbox.output.catch_up().await;
                    if let Some(outcome) = &outcome {
                        self.answer(Ok(outcome.clone()));
                    }
                }
                Happening::Deadline => {
                    let limit = self.version.configuration.time_limit;
                    let line = report::timeout_line(SystemClock.now(), &request_id, limit);
                    break (Status::Timeout, Some(line), Some(Ok(report::timed_out(&request_id, limit))));
                }
                Happening::Exited(status) => {
                    let error = report::exited(&request_id, status);
                    break ended(error, "Runtime.ExitError");
                }
                Happening::OutOfMemory => break ended(report::killed(&request_id), "Runtime.OutOfMemory"),
                Happening::OutOfProcesses => break ended(report::killed(&request_id), "Runtime.ExitError"),
                Happening::Aborted => break (Status::Unremarkable, None, Some(Err(aborted()))),
            }
        };
        let peak_megabytes = sandbox.peak_megabytes();
        let reusable = failure.is_none();
        // What was answered stands, however the process ended afterwards.
        let answered = outcome.is_some();
        let outcome = match (outcome, failure) {
            (Some(outcome), _) => Ok(outcome),
            (None, Some(failure)) => failure.map(Outcome::Failed),
            (None, None) => Err(InvokeError::OutcomeUnknown("the process gave no answer".to_owned())),
        };
        if !reusable {
            sandbox.kill().await;
        }
        sandbox.output.end_run().await;
        let (status, line) =
            if answered && status != Status::Timeout { (Status::Unremarkable, None) } else { (status, line) };
        Ending { outcome, status, reusable: reusable.then_some(sandbox), peak_megabytes, line }
    }

    /// Logs the last lines, gives the process back, and answers the caller unless that has been done.
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
            // A caller who is gone does not want to know.
            let _ = answer.send(outcome.map(|outcome| Invocation { request_id, outcome }));
        }
    }

    async fn log(&self, line: String) {
        self.target.log(&self.engine.config.logs, line).await;
    }
}

type EndOfLoop = (Status, Option<String>, Option<Result<FunctionError, InvokeError>>);

fn ended(error: FunctionError, status: &str) -> EndOfLoop {
    (Status::Error(status.to_owned()), Some(report::exit_line(&error)), Some(Ok(error)))
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

fn arn(engine: &Engine, function: &FunctionName) -> String {
    let (region, name) = (&engine.config.region, function.in_lambda(&engine.config.prefix));
    format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{name}")
}

/// A request id, which is a random UUID, and an X-Ray trace id, which nothing collects here, but code reads. One draw for
/// both, because each is a call of the system.
fn names() -> (String, String) {
    let mut bytes = [0; 36];
    SystemChance.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    let request_id = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..32]].join("-");
    let (time, root, parent) = (SystemClock.now().as_secs(), &text[32..56], &text[56..]);
    (request_id, format!("Root=1-{time:08x}-{root};Parent={parent};Sampled=0"))
}

/// `N` random bytes in hex.
pub(super) fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    SystemChance.fill(&mut bytes);
    hex::encode(bytes)
}
