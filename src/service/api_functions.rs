//! API Functions: a Function called as an HTTP endpoint (contract §5).

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use tasklane_dispatch::EndOfRun;
use tasklane_model::{
    ApiRequest, ApiRequestError, ApiRequestErrorKind, Caller, Error, ErrorKind, Function, Method, ObjectId, Permission,
    Result,
};
use tasklane_ports::{FunctionError, Invocation, InvokeError, InvokeRequest, Outcome};
use tokio::sync::SemaphorePermit;
use tracing::warn;

use super::{
    Service,
    access::{Known, must_be_enabled, must_be_short},
    anonymous::Admission,
    api_answer::answer_of,
    api_event::event_of,
    recorder::GATHER,
};

/// One HTTP call of an API Function.
#[derive(Clone, Debug)]
pub struct ApiCall {
    /// The method.
    pub method: Method,
    /// The rest of the path after the Function's name, as it was sent, with its leading `/`.
    pub raw_path: String,
    /// The query as it was sent, without its `?`.
    pub raw_query: Option<String>,
    /// The headers as they were sent.
    pub headers: HeaderMap,
    /// The body as it was sent.
    pub body: Bytes,
    /// The version of HTTP that it was sent with.
    pub protocol: Version,
    /// The client's address, when it is known.
    pub address: Option<IpAddr>,
}

/// The answer of an API Function.
#[derive(Clone, Debug)]
pub struct ApiAnswer {
    /// 200–499.
    pub status: StatusCode,
    /// Its headers; `connection` and `content-length` are left to the server.
    pub headers: HeaderMap,
    /// Its body; empty where the status allows none.
    pub body: Bytes,
    /// The length that the Function declared. It only matters for answers without a body that would have one for GET.
    pub length: Option<u64>,
}

/// The largest payload that Lambda accepts, in bytes: 6 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// How long a call waits for its record to be written.
const RECORD_PATIENCE: Duration = Duration::from_secs(2);

impl Service {
    /// Calls a Function as an HTTP endpoint and leaves an API Request record. 104 and 10 by its permission mode
    /// (contract §6), 27 when it is disabled, 1405, 1406, 1409, 1411, 1412.
    ///
    /// A refused call leaves no record, because otherwise anyone could fill the table.
    pub async fn call_api_function(&self, caller: &Caller, function: &str, call: ApiCall) -> Result<ApiAnswer> {
        let function = self.runnable(caller, function, Permission::ExecuteApiFunction, Known::Lately).await?;
        let this = self.clone();
        let caller = caller.clone();
        // The record is written even if the caller hangs up.
        let work = async move { this.call_and_record(&caller, &function, &call).await };
        self.answer_of(work, still_running).await
    }

    async fn call_and_record(&self, caller: &Caller, function: &Arc<Function>, call: &ApiCall) -> Result<ApiAnswer> {
        let timestamp = self.inner.ports.clock.now();
        let id = self.inner.ports.ids.next(timestamp);
        let called = self.run_api_function(caller, &function.for_chain(id), call, id).await;
        if called.was_tried {
            self.judge_in_background(function, EndOfRun { id, first: id, failed: called.result.is_err() });
        }
        let (status_code, error) = match &called.result {
            Ok(answer) => (answer.status.as_u16(), None),
            Err(failed) => (failed.error.kind().status(), Some(failed.record.clone())),
        };
        let record = ApiRequest {
            id,
            function_name: function.name.clone(),
            method: call.method,
            path: recorded_path(call),
            user_id: caller.user_id().cloned(),
            application_id: caller.application_id().cloned(),
            status_code,
            timestamp,
            duration: self.inner.ports.clock.now().since(timestamp).as_secs_f64(),
            error,
            request_id: called.request_id,
        };
        if self.inner.settings.record_before_answer {
            tokio::select! {
                recorded = self.inner.store.api_requests.put(&record) => {
                    if let Err(error) = recorded {
                        warn!(api_request = %id, %error, "an API request's record was lost");
                    }
                }
                () = self.inner.ports.clock.sleep(RECORD_PATIENCE) => {
                    warn!(api_request = %id, "an API request's record was abandoned: the store did not respond in time");
                }
            }
        } else if self.inner.recorder.add(record) {
            let this = self.clone();
            self.inner.background.spawn(async move {
                this.inner.ports.clock.sleep(GATHER).await;
                this.inner.recorder.write().await;
            });
        }
        called.result.map_err(|failed| failed.error)
    }

    async fn run_api_function(
        &self,
        caller: &Caller,
        function: &Function,
        call: &ApiCall,
        correlation: ObjectId,
    ) -> Called {
        let admitted = self.admit_api_call(caller, function).and_then(|slot| {
            let payload = event_of(call, caller, correlation, self.inner.ports.clock.now()).map_err(Error::internal)?;
            check_payload_size(&payload)?;
            Ok((slot, payload))
        });
        let (_slot, payload) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return Called::not_invoked(error),
        };
        let request = InvokeRequest {
            function: &function.name,
            deployment: &function.deployment,
            payload,
            correlation,
            time_limit: function.time_limit(),
        };
        match self.inner.ports.lambda.invoke(request).await {
            Ok(invocation) => Called::of(invocation, correlation),
            Err(error) => error.into(),
        }
    }

    /// Takes a slot for one call, if this caller may call the Function now (27, 1404, 1412).
    fn admit_api_call(&self, caller: &Caller, function: &Function) -> Result<ApiSlot<'_>> {
        must_be_enabled(function)?;
        must_be_short(function, ErrorKind::ApiFunctionMaximumTimeLimit, "An API function may take at most")?;
        let admission = self.inner.anonymous.admit_to_api(caller)?;
        let permit = self.inner.api_slots.try_acquire().map_err(|_| no_slot())?;
        Ok(ApiSlot { _admission: admission, _permit: permit })
    }
}

/// The right to run one API Function, returned when dropped.
struct ApiSlot<'a> {
    _admission: Admission,
    _permit: SemaphorePermit<'a>,
}

/// The outcome of a call.
struct Called {
    request_id: Option<String>,
    /// Whether it says something about the code.
    was_tried: bool,
    result: Result<ApiAnswer, Failed>,
}

/// A failed call: the error that its caller gets, and the one in its record.
struct Failed {
    error: Error,
    record: ApiRequestError,
}

impl Called {
    fn of(invocation: Invocation, id: ObjectId) -> Self {
        let result = match invocation.outcome {
            Outcome::Returned(result) => read_answer(&result, id),
            Outcome::Failed(FunctionError { name, message, .. }) => {
                let error = Error::runtime_error(&name, &message, None);
                Err(Failed { error, record: ApiRequestError { kind: ApiRequestErrorKind::Runtime, name, message } })
            }
        };
        Self { request_id: Some(invocation.request_id), was_tried: true, result }
    }

    fn not_invoked(error: Error) -> Self {
        let record = ApiRequestError {
            kind: ApiRequestErrorKind::Invocation,
            name: error.kind().name().to_owned(),
            message: error.message().to_owned(),
        };
        Self { request_id: None, was_tried: false, result: Err(Failed { error, record }) }
    }
}

impl From<InvokeError> for Called {
    fn from(error: InvokeError) -> Self {
        match error {
            InvokeError::Throttled(why) => Self::not_invoked(no_slot().caused_by(why)),
            InvokeError::Refused { name, message } => {
                let text = format!("The function could not be invoked: {name}: {message}");
                let error = Error::new(ErrorKind::LambdaInvocation, text);
                let record = ApiRequestError { kind: ApiRequestErrorKind::Invocation, name, message };
                Self { request_id: None, was_tried: true, result: Err(Failed { error, record }) }
            }
            InvokeError::OutcomeUnknown(why) => {
                let message = "The function could not be invoked: it is not known whether it ran.";
                Self::not_invoked(Error::new(ErrorKind::LambdaInvocation, message).caused_by(why))
            }
        }
    }
}

fn check_payload_size(payload: &Bytes) -> Result<()> {
    if payload.len() <= MAX_PAYLOAD_BYTES {
        return Ok(());
    }
    let message = format!(
        "The request takes {} bytes as an event; an API function takes at most {MAX_PAYLOAD_BYTES}.",
        payload.len()
    );
    Err(Error::new(ErrorKind::PayloadTooLarge, message))
}

fn read_answer(result: &Bytes, id: ObjectId) -> Result<ApiAnswer, Failed> {
    answer_of(result).map_err(|why| {
        let message = format!(
            "The function's answer is not an HTTP answer: {why}. Its log lines, stack traces included, are in the logs of its \
             API Request: GET /tasks/v1/apiRequests/{id}/logs, or tasklane api-requests logs {id}."
        );
        let error = Error::new(ErrorKind::InvalidApiFunctionResult, message.clone());
        let kind = ApiRequestErrorKind::Response;
        Failed { record: ApiRequestError { kind, name: error.kind().name().to_owned(), message }, error }
    })
}

fn no_slot() -> Error {
    let message = "The limit of concurrent API functions is reached. Try again later.";
    Error::new(ErrorKind::ConcurrentApiFunctionLimit, message)
}

fn still_running(patience: Duration) -> Error {
    let text = format!(
        "The function did not answer within {} seconds. The request cannot wait any longer; the response will be discarded.",
        patience.as_secs()
    );
    Error::new(ErrorKind::LambdaInvocation, text)
}

/// The path in the record: without its leading slash, with the query, cut to a length that fits.
fn recorded_path(call: &ApiCall) -> String {
    const LONGEST: usize = 2048;
    let path = call.raw_path.strip_prefix('/').unwrap_or(&call.raw_path);
    let whole = match &call.raw_query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    whole.chars().take(LONGEST).collect()
}
