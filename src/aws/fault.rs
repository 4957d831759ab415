//! The error of a failed AWS call, in one type for all services.

use std::{error::Error, fmt};

use aws_sdk_lambda::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use aws_smithy_runtime_api::client::{dns::ResolveDnsError, result::ConnectorError};
use tasklane_model::with_causes;
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
    /// It was never sent, because there was no connection: the name could not be resolved, or nobody answered there.
    NotConnected,
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
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let request_id = error.request_id().map(str::to_owned);
        let status = error.raw_response().map(|response| response.status().as_u16());
        let reach = match &error {
            SdkError::ConstructionFailure(_) => Reach::NotSent,
            SdkError::ServiceError(_) => Reach::Answered,
            SdkError::DispatchFailure(_) if was_not_connected(&error) => Reach::NotConnected,
            // The enum is non-exhaustive. An unknown error may have come after the call was carried out.
            _ => Reach::Unknown,
        };
        let (code, message) = match error.as_service_error() {
            Some(service) => {
                let meta = service.meta();
                let message = meta.message().map_or_else(|| service.to_string(), str::to_owned);
                (meta.code().unwrap_or_default().to_owned(), message)
            }
            None => (String::new(), without_answer(&error)),
        };
        Self { reach, code, message, status, request_id }
    }
}

/// Whether the request was not sent because no connection could be made.
fn was_not_connected(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source()).any(|cause| {
        let connector = cause.downcast_ref::<hyper_util::client::legacy::Error>();
        connector.is_some_and(hyper_util::client::legacy::Error::is_connect) || cause.is::<ResolveDnsError>()
    })
}

/// Why there was no answer. The SDK's own words for it ("dispatch failure") say little, and its `Debug` quotes the request.
fn without_answer<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let causes = || error.source().map_or_else(|| error.to_string(), with_causes);
    match error {
        SdkError::ConstructionFailure(_) => format!("the request is invalid: {}", causes()),
        SdkError::TimeoutError(_) => "AWS did not answer in time".to_owned(),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) if error.is_timeout() => "AWS did not answer in time".to_owned(),
            Some(error) if error.is_io() => format!("the connection to AWS failed: {}", unconnected(error)),
            Some(error) => unconnected(error),
            None => causes(),
        },
        SdkError::ResponseError(_) => format!("the answer of AWS cannot be read: {}", causes()),
        _ => with_causes(error),
    }
}

/// Why a connector has no response, without the layers ("io error", "client error (Connect)") that are about its own parts.
pub(crate) fn unconnected(error: &ConnectorError) -> String {
    let Some(mut cause) = error.source() else { return error.to_string() };
    if error.is_io() {
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
    }
    with_causes(cause)
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

impl Error for Fault {}

/// The error of a call that tried to do `action` and failed for a reason that is not the caller's.
pub(crate) fn port_error(action: &'static str, error: impl Into<Fault>) -> PortError {
    PortError::new(action, error.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_lambda::{
        Client, Config,
        config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
    };

    use super::*;
    use crate::{
        config::behavior_version,
        http_client,
        testing::{ReplayClient, Reply},
    };

    /// The configuration of a client that tries once.
    fn once(replies: impl IntoIterator<Item = Reply>) -> Builder {
        Builder::from(&ReplayClient::replaying(replies).sdk_config()).retry_config(RetryConfig::disabled())
    }

    async fn fault(config: Builder) -> Fault {
        let lambda = Client::from_conf(config.build());
        Fault::from(lambda.get_function_configuration().function_name("x").send().await.unwrap_err())
    }

    #[tokio::test]
    async fn a_call_without_an_answer_says_why_in_one_sentence() {
        // Bound and dropped: nothing listens there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nowhere = once([]).http_client(http_client::shared()).endpoint_url(format!("http://{free}"));
        let refused = fault(nowhere).await.to_string();
        assert_eq!(refused, "the connection to AWS failed: Connection refused (os error 111)");

        let broken = fault(once([Reply::Broken])).await.to_string();
        assert_eq!(broken, "the connection to AWS failed: the connection was reset");
        let hasty = TimeoutConfig::builder().operation_timeout(Duration::from_millis(10)).build();
        let silent = fault(once([Reply::Silence]).timeout_config(hasty)).await.to_string();
        assert_eq!(silent, "AWS did not answer in time");
        let cut = fault(once([Reply::Cut])).await.to_string();
        assert!(cut.starts_with("the answer of AWS cannot be read: ") && !cut.contains('{'), "{cut}");
    }

    #[tokio::test]
    async fn missing_credentials_are_named() {
        let region = aws_sdk_lambda::config::Region::from_static("eu-west-1");
        let nobody = Config::builder().behavior_version(behavior_version()).region(region);
        let anonymous = fault(nobody.http_client(http_client::shared())).await.to_string();
        assert!(anonymous.contains("credentials") && !anonymous.contains('{'), "{anonymous}");
    }
}
