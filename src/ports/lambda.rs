//! Deploys and runs Functions.

use bytes::Bytes;
use tasklane_model::{CodeSha256, Deployment, FunctionName, Upload};

use super::{PortError, PortFuture};

pub use tasklane_model::{FunctionError, FunctionSpec, Invocation, InvokeError, InvokeRequest, Outcome};

/// AWS Lambda, or a stand-in for it.
pub trait Lambda: Send + Sync {
    /// Deploys this code and configuration, creating the Lambda function if there is none, and returns once it can be
    /// invoked. Earlier deployments stay invocable until [`Lambda::retire`] drops them, so that a caller who read the old
    /// record still runs the old code with the old configuration. [`Lambda::point_at`] makes it the one that people see.
    ///
    /// `code` is absent when the code stays as it is; then `current` names the deployment that holds the code.
    /// Nothing is written when nothing changed.
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        code: Option<Code>,
        current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>>;

    /// Whether this deployment can be invoked.
    fn holds<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<bool, PortError>>;

    /// Shows this deployment, which must be held, as the current one to people and their tools. Runs do not depend on it:
    /// they name their deployment.
    fn point_at<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<(), PortError>>;

    /// The zip of a deployment; `None` if it is no longer held.
    fn code_of<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<Option<HeldCode>, PortError>>;

    /// Drops the deployments of a Function except these, which its record and its versions name, and except those that were
    /// made at the same time or later. Callers who read the record a moment ago may still start one of them, so they are
    /// dropped some time later, and one that is deployed again meanwhile stays. A failure here costs storage, never
    /// correctness.
    fn retire<'a>(
        &'a self,
        function: &'a FunctionName,
        kept: &'a [Deployment],
    ) -> PortFuture<'a, Result<(), PortError>>;

    /// Removes the Lambda function; its logs stay. It is not an error if there is none. A concurrent deployment stays.
    fn remove<'a>(&'a self, function: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>>;

    /// Runs the Function once and waits for its outcome. It never retries: a second run must never happen by accident.
    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>>;
}

/// Code to be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// A zip that is here.
    Zip(Bytes),
    /// A zip where [`Uploads`](super::Uploads) received it.
    Uploaded(Upload),
    /// The container image that the configuration names, as it is now: the same name may have led to another one before.
    Image,
}

impl Code {
    /// Its hash. That of an image is known once Lambda has found it.
    pub fn sha256(&self) -> Option<CodeSha256> {
        match self {
            Self::Zip(zip) => Some(CodeSha256::of(zip)),
            Self::Uploaded(upload) => Some(upload.sha256),
            Self::Image => None,
        }
    }
}

impl From<Bytes> for Code {
    fn from(zip: Bytes) -> Self {
        Self::Zip(zip)
    }
}

/// Where the code of a deployment is: a zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldCode {
    /// Here.
    Bytes(Bytes),
    /// Behind a URL that anybody can read for a few minutes.
    Url(String),
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
