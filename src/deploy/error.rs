//! Why a stack was not deployed.

use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// Why a stack was not deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// AWS refused a call, or did not answer.
    #[error("could not {action}: {cause}")]
    Aws {
        /// The call, as an infinitive.
        action: &'static str,
        /// The error.
        cause: String,
    },
    /// CloudFormation does not accept the template with these parameters.
    #[error("CloudFormation refuses the change: {0}")]
    Refused(String),
    /// Another change of the stack is in progress.
    #[error("the stack {stack} is {status}: wait until that has finished, and deploy again")]
    Busy {
        /// Its name.
        stack: String,
        /// Its status in CloudFormation.
        status: String,
    },
    /// A change failed; CloudFormation has undone it, or is about to.
    #[error("the stack {stack} is {status}{}", reasons(.why))]
    Failed {
        /// Its name.
        stack: String,
        /// Its status in CloudFormation.
        status: String,
        /// The resources that failed, and why: the first ones are the causes.
        why: Vec<String>,
    },
    /// There is no such stack.
    #[error(
        "there is no stack {stack} in {region}: check the name, the region (AWS_REGION) and the account (AWS_PROFILE)"
    )]
    NoStack {
        /// The name that was given.
        stack: String,
        /// The region.
        region: String,
    },
    /// A zip of a handler cannot be read.
    #[error("{0}")]
    Handlers(String),
}

fn reasons(why: &[String]) -> String {
    why.iter().map(|why| format!("\n  {why}")).collect()
}

impl DeployError {
    /// The error of a call.
    pub(crate) fn of<E, R>(action: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        let cause = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => DisplayErrorContext(error).to_string(),
        };
        Self::Aws { action, cause }
    }
}
