//! API Functions: a Function called as an HTTP endpoint (contract §5).

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use tracing::warn;

use super::{
    Service,
    access::{Known, must_be_enabled},
    api_answer::answer_of,
    api_event::event_of,
    recorder::GATHER,
};
use crate::{
    model::{
        ApiRequest, ApiRequestError, ApiRequestErrorKind, Caller, Error, ErrorKind, Function, Method, ObjectId,
        Permission, Result, TimeLimit,
    },
    ports::{InvokeError, InvokeRequest, Outcome},
};

/// One HTTP call of an API Function.
#[derive(Clone, Debug)]
pub struct ApiCall {
    /// The method.
    pub method: Method,
    /// What follows the Function's name in the path, as it was sent, with its leading `/`.
    pub raw_path: String,
    /// The query as it was sent, without its `?`.
    pub raw_query: Option<String>,
    /// The headers as they were sent.
    pub headers: HeaderMap,
    /// The body as it was sent.
    pub body: Bytes,
    /// The version of HTTP that it was sent by.
    pub protocol: Version,
    /// Where it came from, when that is known.
    pub address: Option<IpAddr>,
}

/// What an API Function answered.
#[derive(Clone, Debug)]
pub struct ApiAnswer {
    /// 200–499.
    pub status: StatusCode,
    /// Its headers; `connection` and `content-length` are left to the server.
    pub headers: HeaderMap,
    /// Its body; empty where the status allows none.
    pub body: Bytes,
    /// The length that the Function announced. It matters only where no body is sent and one would be for GET.
    pub length: Option<u64>,
}

/// The most that Lambda takes as a payload, in bytes: 6 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// How long a record may keep its call waiting.
const RECORD_PATIENCE: Duration = Duration::from_secs(2);

impl Service {
    /// Calls a Function as an HTTP endpoint and leaves an API Request record. 104 and 10 by its permission mode
    /// (contract §6), 27 when it is disabled, 1405, 1406, 1409, 1411, 1412.
    ///
    /// A call that its caller may not make leaves no record: strangers could fill the table.
    pub async fn call_api_function(&self, caller: &Caller, function: &str, call: ApiCall) -> Result<ApiAnswer> {
        let function = self.runnable(caller, function, Permission::ExecuteApiFunction, Known::Lately).await?;
        let this = self.clone();
        let caller = caller.clone();
        // A caller who goes away must not take the record along.
        let work = async move { this.call_and_record(&caller, &function, &call).await };
        self.answer_of(work, still_running).await
    }

    async fn call_and_record(&self, caller: &Caller, function: &Arc<Function>, call: &ApiCall) -> Result<ApiAnswer> {
        let timestamp = self.inner.ports.clock.now();
        let id = self.inner.ports.ids.next(timestamp);
        let called = self.run_api_function(caller, function, call, id).await;
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
                    warn!(api_request = %id, "an API request's record was given up: the store did not answer");
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
        if let Err(error) = must_be_enabled(function) {
            return Called::not_invoked(error);
        }
        if function.time_limit > TimeLimit::LONGEST_DIRECT {
            let message = format!(
                "The function's time limit is {} s; an API function may take at most {} s.",
                function.time_limit,
                TimeLimit::LONGEST_DIRECT
            );
            return Called::not_invoked(Error::new(ErrorKind::ApiFunctionMaximumTimeLimit, message));
        }
        let _admitted = match self.inner.anonymous.admit_to_api(caller) {
            Ok(admitted) => admitted,
            Err(full) => return Called::not_invoked(full),
        };
        let Ok(_slot) = self.inner.api_slots.try_acquire() else {
            return Called::not_invoked(no_slot());
        };
        let payload = match event_of(call, caller, correlation, self.inner.ports.clock.now()) {
            Ok(payload) => payload,
            Err(error) => return Called::not_invoked(Error::internal(error)),
        };
        if payload.len() > MAX_PAYLOAD_BYTES {
            let message = format!(
                "The request takes {} bytes as an event; an API function takes at most {MAX_PAYLOAD_BYTES}.",
                payload.len()
            );
            return Called::not_invoked(Error::new(ErrorKind::PayloadTooLarge, message));
        }
        let request = InvokeRequest {
            function: &function.name,
            deployment: &function.deployment,
            payload,
            correlation,
            time_limit: function.time_limit,
        };
        match self.inner.ports.lambda.invoke(request).await {
            Ok(invocation) => Called {
                request_id: Some(invocation.request_id),
                result: match invocation.outcome {
                    Outcome::Returned(result) => read_answer(&result, correlation),
                    Outcome::Failed(error) => Err(Failed {
                        error: Error::runtime_error(&error.name, &error.message, None),
                        record: ApiRequestError {
                            kind: ApiRequestErrorKind::Runtime,
                            name: error.name,
                            message: error.message,
                        },
                    }),
                },
            },
            Err(InvokeError::Throttled(why)) => Called::not_invoked(no_slot().caused_by(why)),
            Err(InvokeError::Refused { name, message }) => {
                let text = format!("The function could not be invoked: {name}: {message}");
                let record = ApiRequestError { kind: ApiRequestErrorKind::Invocation, name, message };
                let error = Error::new(ErrorKind::LambdaInvocation, text);
                Called { request_id: None, result: Err(Failed { error, record }) }
            }
            Err(InvokeError::OutcomeUnknown(why)) => {
                let message = "The function could not be invoked: it is not known whether it ran.";
                Called::not_invoked(Error::new(ErrorKind::LambdaInvocation, message).caused_by(why))
            }
        }
    }
}

/// How a call went.
struct Called {
    request_id: Option<String>,
    result: Result<ApiAnswer, Failed>,
}

/// A call that failed: what its caller is told, and what its record says.
struct Failed {
    error: Error,
    record: ApiRequestError,
}

impl Called {
    fn not_invoked(error: Error) -> Self {
        let record = ApiRequestError {
            kind: ApiRequestErrorKind::Invocation,
            name: error.kind().name().to_owned(),
            message: error.message().to_owned(),
        };
        Self { request_id: None, result: Err(Failed { error, record }) }
    }
}

fn read_answer(result: &Bytes, id: ObjectId) -> Result<ApiAnswer, Failed> {
    answer_of(result).map_err(|why| {
        let message = format!(
            "The function's answer is not an HTTP answer: {why}. What it logged, a stack trace too, is in the logs of its \
             API Request: GET /tasks/v1/apiRequests/{id}/logs, or tasklane api-requests logs {id}."
        );
        let error = Error::new(ErrorKind::InvalidApiFunctionResult, message.clone());
        let kind = ApiRequestErrorKind::Response;
        Failed { record: ApiRequestError { kind, name: error.kind().name().to_owned(), message }, error }
    })
}

fn no_slot() -> Error {
    let message = "As many API functions are running as may run at once. Try again later.";
    Error::new(ErrorKind::ConcurrentApiFunctionLimit, message)
}

fn still_running(patience: Duration) -> Error {
    let text = format!(
        "The function has not answered within {} seconds, and nobody here can wait longer. Its answer is lost.",
        patience.as_secs()
    );
    Error::new(ErrorKind::LambdaInvocation, text)
}

/// The path of the record: without its leading slash, with the query, cut where it would not fit a record.
fn recorded_path(call: &ApiCall) -> String {
    const LONGEST: usize = 2048;
    let path = call.raw_path.strip_prefix('/').unwrap_or(&call.raw_path);
    let whole = match &call.raw_query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    whole.chars().take(LONGEST).collect()
}
