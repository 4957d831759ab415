//! Deploys and runs Functions.

use bytes::Bytes;
use tasklane_model::{Deployment, FunctionName};

use super::{PortError, PortFuture};

pub use tasklane_model::{FunctionError, FunctionSpec, Invocation, InvokeError, InvokeRequest, Outcome};

/// AWS Lambda, or a stand-in for it.
pub trait Lambda: Send + Sync {
    /// Deploys this code and configuration, creating the Lambda function if there is none, and returns once it can be
    /// invoked. Earlier deployments stay invocable until [`Lambda::retire`] drops them, so that a caller who read the old
    /// record still runs the old code with the old configuration.
    ///
    /// `code` is absent when only the configuration changes; then `current` names the deployment that holds the code.
    /// Nothing is written when nothing changed.
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        code: Option<Bytes>,
        current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>>;

    /// Drops `replaced`, which no record names any more, and earlier deployments, once no run that was started with
    /// them can still be in progress. Callers who read the record a moment ago may still start one. A deployment that
    /// was repeated meanwhile stays. A failure here costs storage, never correctness.
    fn retire<'a>(
        &'a self,
        function: &'a FunctionName,
        replaced: &'a Deployment,
    ) -> PortFuture<'a, Result<(), PortError>>;

    /// Removes the Lambda function; its logs stay. It is not an error if there is none. A concurrent deployment stays.
    fn remove<'a>(&'a self, function: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>>;

    /// Runs the Function once and waits for its outcome. It never retries: a second run must never happen by accident.
    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>>;
}

/// A deployment failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The code is not a zip that Lambda accepts (1401).
    #[error("{0}")]
    InvalidCode(String),
    /// Lambda does not accept the configuration (1402).
    #[error("{0}")]
    InvalidConfiguration(String),
    /// The Lambda function is being changed concurrently (1502).
    #[error("{0}")]
    Conflict(String),
    /// The port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}
