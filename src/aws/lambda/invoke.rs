//! One run of a Function.

use std::time::Duration;

use aws_sdk_lambda::{
    config::{Builder, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
    operation::{RequestId, invoke::InvokeOutput},
    primitives::Blob,
};
use bytes::Bytes;
use tasklane_ports::{FunctionError, Invocation, InvokeError, InvokeRequest, Outcome};
use tasklane_runtime::backoff::Backoff;
use tracing::info;

use super::AwsLambda;
use crate::{
    fault::{Fault, Reach},
    metrics::{COUNTED, MetricName},
};

/// The largest payload that Lambda accepts or returns: 6 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// How long a response may take beyond the Function's time limit: up to 10 s for starting the process, which the time
/// limit does not include, plus the network.
const SLACK: Duration = Duration::from_secs(20);

/// How long a run waits for a Function that Lambda is still preparing, or for a connection to Lambda. Until then its code
/// has certainly not run, so the request may be sent again.
const TIME_TO_BECOME_READY: Duration = Duration::from_secs(10);
/// The first pause between these attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The errors of a Function that Lambda cannot start yet: it was idle for weeks and is being prepared again, or it
/// needs a network interface, an address or a file system. None of its code has run.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors>,
/// <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>
const NOT_READY: &[&str] = &[
    "CodeArtifactUserPendingException",
    "EC2UnexpectedException",
    "EFSMountConnectivityException",
    "EFSMountTimeoutException",
    "ENILimitReachedException",
    "ResourceConflictException",
    "ResourceNotReadyException",
    "SnapStartNotReadyException",
    "SnapStartTimeoutException",
    "SubnetIPAddressLimitReachedException",
];

impl AwsLambda {
    pub(super) async fn run(&self, request: InvokeRequest<'_>) -> Result<Invocation, InvokeError> {
        if request.payload.len() > MAX_PAYLOAD_BYTES {
            return Err(InvokeError::Refused {
                name: "RequestEntityTooLargeException".to_owned(),
                message: format!(
                    "{} byte payload is too large for the Invoke operation (limit {MAX_PAYLOAD_BYTES} bytes)",
                    request.payload.len()
                ),
            });
        }
        let until = self.clock.now().saturating_add(TIME_TO_BECOME_READY);
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let fault = match self.invoke_once(&request).await {
                Ok(answer) => return Ok(invocation(answer)),
                Err(fault) if is_not_ready(&fault) => fault,
                Err(fault) => {
                    if is_throttled(&fault) {
                        // A queued Task is only late for this, and nobody else would notice.
                        info!(
                            target: COUNTED, metric = MetricName::Throttled.as_str(),
                            function = request.function.as_str(), task = %request.correlation, error = %fault,
                            "Lambda refused a run because too many are in progress"
                        );
                    }
                    return Err(not_run(fault));
                }
            };
            let pause = backoff.pause();
            if self.clock.now().saturating_add(pause) >= until {
                return Err(InvokeError::Throttled(fault.to_string()));
            }
            self.clock.sleep(pause).await;
        }
    }

    async fn invoke_once(&self, request: &InvokeRequest<'_>) -> Result<InvokeOutput, Fault> {
        let call = self
            .lambda
            .invoke()
            .function_name(self.lambda_name(request.function))
            .qualifier(&request.deployment.version)
            .payload(Blob::new(request.payload.to_vec()))
            .customize()
            .config_override(once_and_within(request.time_limit.as_duration() + SLACK));
        call.send().await.map_err(Fault::from)
    }
}

/// No retries: when a response is lost, the SDK would send the request again, and the Function would run twice.
fn once_and_within(limit: Duration) -> Builder {
    Builder::new()
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(limit).build())
        // A long run is not a stalled stream.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

fn invocation(answer: InvokeOutput) -> Invocation {
    let request_id = answer.request_id().unwrap_or_default().to_owned();
    let failed = answer.function_error.is_some();
    let payload = Bytes::from(answer.payload.map(Blob::into_inner).unwrap_or_default());
    let outcome =
        if failed { Outcome::Failed(function_error(&payload, &request_id)) } else { Outcome::Returned(payload) };
    Invocation { request_id, outcome }
}

/// The error in a payload, `{errorType, errorMessage, trace}`, written by the runtime or by Lambda itself.
fn function_error(payload: &[u8], request_id: &str) -> FunctionError {
    let mut error = FunctionError::read(payload);
    error.message = without_run(&error.message, request_id).to_owned();
    if error.name.is_empty() {
        // Older runtimes report a time-out or an exit only in the message.
        let name = if error.message.starts_with("Task timed out after") {
            "Sandbox.Timedout"
        } else if error.message.contains("exited") {
            "Runtime.ExitError"
        } else {
            "Error"
        };
        name.clone_into(&mut error.name);
    }
    error
}

/// Removes the run's id from a message of Lambda's own ("RequestId: 1b… Error: Task timed out after 3.00 seconds", or
/// "2026-01-31T08:15:30.123Z 1b… Task timed out …"), so that equal errors have equal messages.
fn without_run<'a>(message: &'a str, request_id: &str) -> &'a str {
    if request_id.is_empty() {
        return message;
    }
    match message.split_once(request_id) {
        Some(("RequestId: ", after)) => {
            let after = after.trim_start();
            after.strip_prefix("Error: ").unwrap_or(after)
        }
        Some((before, after)) if before.trim_end().parse::<tasklane_model::Timestamp>().is_ok() => after.trim_start(),
        _ => message,
    }
}

/// Whether the Function has certainly not run and may be able to in a moment.
fn is_not_ready(fault: &Fault) -> bool {
    match fault.reach {
        Reach::NotConnected => true,
        Reach::Answered => NOT_READY.contains(&fault.code.as_str()),
        Reach::NotSent | Reach::Unknown => false,
    }
}

/// Whether the Function has not run because too many are running.
fn is_throttled(fault: &Fault) -> bool {
    const NAMES: &[&str] = &["TooManyRequestsException", "EC2ThrottledException", "ThrottlingException"];
    fault.reach == Reach::Answered && NAMES.contains(&fault.code.as_str())
}

fn not_run(fault: Fault) -> InvokeError {
    match fault.reach {
        _ if is_throttled(&fault) => InvokeError::Throttled(fault.to_string()),
        Reach::NotConnected => InvokeError::Throttled(fault.to_string()),
        Reach::NotSent => InvokeError::Refused { name: "NotSent".to_owned(), message: fault.message },
        Reach::Unknown => InvokeError::OutcomeUnknown(fault.to_string()),
        Reach::Answered => match (fault.code.as_str(), fault.status) {
            // Something inside Lambda or in front of it failed, before or after the run. Every other 5xx error of
            // Lambda's is about starting the process: a network interface, a key, a file system.
            ("ServiceException" | "InternalFailure" | "ServiceUnavailableException" | "", Some(500..)) => {
                InvokeError::OutcomeUnknown(fault.to_string())
            }
            (name, _) => InvokeError::Refused { name: name.to_owned(), message: fault.message },
        },
    }
}

#[cfg(test)]
mod connection_tests;
#[cfg(test)]
mod tests;
