//! The error of a failed AWS call, in one type for all services.

use std::fmt;

use aws_sdk_lambda::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use tasklane_ports::PortError;

/// A failed call. Its text is for the log: it has the error, the message and the request id that AWS support asks for.
#[derive(Debug)]
pub(crate) struct Fault {
    /// How far the call got.
    pub reach: Reach,
    /// AWS's name for the error, such as `ResourceNotFoundException`. Empty when there was no response.
    pub code: String,
    /// The message from AWS, or the reason why there was no response.
    pub message: String,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// AWS's id of the request, if there was a response.
    pub request_id: Option<String>,
}

/// How far a failed call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It was never sent: there were no credentials, or the request was invalid.
    NotSent,
    /// It may have been carried out: the connection broke, or the response was missing or malformed.
    Unknown,
    /// The service answered with an error.
    Answered,
}

impl Fault {
    /// Whether the service answered with this error.
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Fault
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let request_id = error.request_id().map(str::to_owned);
        let status = error.raw_response().map(|response| response.status().as_u16());
        let reach = match &error {
            SdkError::ConstructionFailure(_) => Reach::NotSent,
            SdkError::ServiceError(_) => Reach::Answered,
            // The enum is non-exhaustive. An unknown error may have come after the call was carried out.
            _ => Reach::Unknown,
        };
        let (code, message) = match error.as_service_error() {
            Some(service) => {
                let meta = service.meta();
                let message = meta.message().map_or_else(|| service.to_string(), str::to_owned);
                (meta.code().unwrap_or_default().to_owned(), message)
            }
            None => (String::new(), DisplayErrorContext(&error).to_string()),
        };
        Self { reach, code, message, status, request_id }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.code.is_empty() {
            write!(f, "{}: ", self.code)?;
        }
        f.write_str(&self.message)?;
        if let Some(status) = self.status {
            write!(f, " (HTTP {status})")?;
        }
        match &self.request_id {
            Some(id) => write!(f, " (AWS request {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// The error of a call that tried to do `action` and failed for a reason that is not the caller's.
pub(crate) fn port_error(action: &'static str, error: impl Into<Fault>) -> PortError {
    PortError::new(action, error.into())
}
