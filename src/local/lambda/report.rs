//! The lines that Lambda itself logs about a run, and its own errors.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use tasklane_model::{FunctionError, TimeLimit, Timestamp};

use super::limits::MAX_RESPONSE_BYTES;

/// The last fields of a REPORT line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// None: the runtime reported how the run ended.
    Unremarkable,
    /// The time limit was reached.
    Timeout,
    /// The process ended; this is Lambda's name for the reason.
    Error(String),
}

impl Status {
    fn fields(&self) -> String {
        match self {
            Self::Unremarkable => String::new(),
            Self::Timeout => "\tStatus: timeout".to_owned(),
            Self::Error(name) => format!("\tStatus: error\tError Type: {name}"),
        }
    }
}

pub(super) fn start(request_id: &str) -> String {
    format!("START RequestId: {request_id} Version: $LATEST")
}

pub(super) fn end(request_id: &str) -> String {
    format!("END RequestId: {request_id}")
}

#[derive(Debug)]
pub(super) struct Usage {
    pub(super) duration: Duration,
    /// How long the initialisation took, if this was the process's first run.
    pub(super) init: Option<Duration>,
    pub(super) memory_limit: u16,
    pub(super) peak_megabytes: u64,
}

pub(super) fn report(request_id: &str, usage: &Usage, status: &Status) -> String {
    let Usage { duration, init, memory_limit, peak_megabytes } = usage;
    // Lambda bills the initialisation too, and rounds up to milliseconds.
    let billed = (*duration + init.unwrap_or_default()).as_nanos().div_ceil(1_000_000);
    let init = init.map_or(String::new(), |init| format!("Init Duration: {:.2} ms\t", millis(init)));
    format!(
        "REPORT RequestId: {request_id}\tDuration: {:.2} ms\tBilled Duration: {billed} ms\tMemory Size: {memory_limit} MB\tMax Memory Used: {peak_megabytes} MB\t{init}{}",
        millis(*duration),
        status.fields().trim_start(),
    )
}

/// Reports a failed initialisation, either the first one before the run or the second one within it.
pub(super) fn init_report(duration: Duration, phase: &str, status: &Status) -> String {
    format!("INIT_REPORT Init Duration: {:.2} ms\tPhase: {phase}{}", millis(duration), status.fields())
}

/// The line about a run that timed out.
pub(super) fn timeout_line(now: Timestamp, request_id: &str, limit: TimeLimit) -> String {
    format!("{now} {request_id} Task timed out after {}.00 seconds", limit.get())
}

/// The line about a process that ended.
pub(super) fn exit_line(error: &FunctionError) -> String {
    format!("{}\n{}", error.message, error.name)
}

pub(super) fn timed_out(request_id: &str, limit: TimeLimit) -> FunctionError {
    let message = format!("RequestId: {request_id} Error: Task timed out after {}.00 seconds", limit.get());
    platform("Sandbox.Timedout", message)
}

pub(super) fn exited(request_id: &str, status: ExitStatus) -> FunctionError {
    let how = match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(signal)) => format!("Runtime exited with error: signal: {}", signal_name(signal)),
        (None, None) => "Runtime exited with error".to_owned(),
    };
    platform("Runtime.ExitError", format!("RequestId: {request_id} Error: {how}"))
}

/// The error for a process that was killed because it exceeded a limit.
pub(super) fn killed(request_id: &str) -> FunctionError {
    exited(request_id, ExitStatus::from_raw(nix::libc::SIGKILL))
}

pub(super) fn response_too_large() -> FunctionError {
    let message = format!("Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).");
    platform("Function.ResponseSizeTooLarge", message)
}

pub(super) fn invalid_entrypoint(request_id: &str, why: &str) -> FunctionError {
    platform("Runtime.InvalidEntrypoint", format!("RequestId: {request_id} Error: {why}"))
}

pub(super) fn invalid_folder(request_id: &str, why: &str) -> FunctionError {
    platform("Runtime.InvalidWorkingDir", format!("RequestId: {request_id} Error: {why}"))
}

fn platform(name: &str, message: String) -> FunctionError {
    FunctionError { name: name.to_owned(), message, trace: Vec::new() }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Signal names as in Go's `syscall` package, because Lambda's own supervisor is written in Go.
fn signal_name(signal: i32) -> String {
    use nix::libc;
    let name = match signal {
        libc::SIGHUP => "hangup",
        libc::SIGINT => "interrupt",
        libc::SIGQUIT => "quit",
        libc::SIGILL => "illegal instruction",
        libc::SIGTRAP => "trace/breakpoint trap",
        libc::SIGABRT => "aborted",
        libc::SIGBUS => "bus error",
        libc::SIGFPE => "floating point exception",
        libc::SIGKILL => "killed",
        libc::SIGUSR1 => "user defined signal 1",
        libc::SIGSEGV => "segmentation fault",
        libc::SIGUSR2 => "user defined signal 2",
        libc::SIGPIPE => "broken pipe",
        libc::SIGALRM => "alarm clock",
        libc::SIGTERM => "terminated",
        libc::SIGXCPU => "CPU time limit exceeded",
        libc::SIGXFSZ => "file size limit exceeded",
        libc::SIGSYS => "bad system call",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_lambda_writes_them() {
        let mut usage = Usage {
            duration: Duration::from_micros(1_234),
            init: Some(Duration::from_micros(140_120)),
            memory_limit: 128,
            peak_megabytes: 66,
        };
        assert_eq!(
            report("r", &usage, &Status::Unremarkable),
            "REPORT RequestId: r\tDuration: 1.23 ms\tBilled Duration: 142 ms\tMemory Size: 128 MB\tMax Memory Used: 66 MB\tInit Duration: 140.12 ms\t"
        );
        usage.init = None;
        usage.duration = Duration::from_secs(3);
        assert_eq!(
            report("r", &usage, &Status::Timeout),
            "REPORT RequestId: r\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: 66 MB\tStatus: timeout"
        );
        assert_eq!(
            init_report(Duration::from_millis(219), "init", &Status::Error("Runtime.ExitError".into())),
            "INIT_REPORT Init Duration: 219.00 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError"
        );
    }

    #[test]
    fn exits_are_reported_in_lambdas_words() {
        for (raw, words) in [
            (0, "Runtime exited without providing a reason"),
            (1 << 8, "Runtime exited with error: exit status 1"),
            (9, "Runtime exited with error: signal: killed"),
            (11, "Runtime exited with error: signal: segmentation fault"),
        ] {
            let error = exited("r", ExitStatus::from_raw(raw));
            assert_eq!(error.message, format!("RequestId: r Error: {words}"));
            assert_eq!(error.name, "Runtime.ExitError");
        }
    }
}
