//! Operations on a deployed stack from outside, which need only AWS credentials.

mod checks;

use aws_config::SdkConfig;
use aws_sdk_lambda::{Client, operation::get_function_configuration::GetFunctionConfigurationOutput};
use tasklane_auth::IssuedCredential;
use tasklane_model::{Identity, Permissions, Timestamp, UserId};
use tasklane_ports::PortError;
use tasklane_store::StoreError;

pub use checks::{EXPIRING_TABLES, Finding, Health, examine};

use super::{Stack, StackSettings, fault::Fault, settings::InvalidSetting};

/// The tag with the name of the stack that a handler belongs to.
const STACK_TAG: &str = "tasklane:stack";

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no such stack in this account and region.
    #[error(
        "there is no tasklane stack '{stack}' in {region}: `--stack` takes the name that was given to `sam deploy`, or the \
         stack's Prefix. Also check the region (AWS_REGION) and the account (AWS_PROFILE)"
    )]
    NoStack {
        /// The name that was given.
        stack: String,
        /// The region.
        region: String,
    },
    /// Its handlers have settings that this version does not understand.
    #[error(transparent)]
    Settings(#[from] InvalidSetting),
    /// AWS refused, or did not respond.
    #[error("could not {action}: {cause}")]
    Aws {
        /// The call.
        action: &'static str,
        /// The error.
        cause: String,
    },
    /// A table could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key could not be used.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Opens a stack by its name in CloudFormation or by its `Prefix`.
///
/// The settings are read from the environment of its own handlers, so an operator who may read that needs to know
/// nothing else.
pub async fn open(sdk: &SdkConfig, stack: &str) -> Result<Stack, OperatorError> {
    let lambda = Client::new(sdk);
    let by_prefix = configuration(&lambda, &handler_name(stack)).await?;
    let handler = match by_prefix {
        Some(handler) => Some(handler),
        None => match handler_of_stack(&lambda, stack).await? {
            Some(name) => configuration(&lambda, &name).await?,
            None => None,
        },
    };
    let Some(handler) = handler else {
        let region = sdk.region().map_or("no region", |region| region.as_ref()).to_owned();
        return Err(OperatorError::NoStack { stack: stack.to_owned(), region });
    };
    let variables = handler.environment().and_then(|environment| environment.variables());
    let settings = StackSettings::read(|name| variables.and_then(|variables| variables.get(name)).cloned())?;
    Ok(Stack::new(sdk, settings))
}

/// Creates a credential with every permission, without going through the service. The first credential is created like
/// this.
pub async fn bootstrap(stack: &Stack, user: UserId) -> Result<IssuedCredential, OperatorError> {
    let identity = Identity { user_id: user, application_id: None, permissions: Permissions::all() };
    let now: Timestamp = stack.ports.clock.now();
    let (shown, stored) = tasklane_auth::issue(identity, None, now, &stack.ports.ids, &stack.secrets).await?;
    stack.store.credentials.put(&stored).await?;
    Ok(shown)
}

fn handler_name(prefix: &str) -> String {
    format!("handler-{prefix}-api")
}

async fn configuration(lambda: &Client, name: &str) -> Result<Option<GetFunctionConfigurationOutput>, OperatorError> {
    match lambda.get_function_configuration().function_name(name).send().await.map_err(Fault::from) {
        Ok(found) => Ok(Some(found)),
        // The name of a stack may be longer than a prefix can be, and then it is not a valid name of a Lambda function.
        Err(fault) if fault.is("ResourceNotFoundException") || fault.is("ValidationException") => Ok(None),
        Err(fault) => Err(refused("read the configuration of the api handler", &fault)),
    }
}

/// The name of the api handler whose tag names the stack.
async fn handler_of_stack(lambda: &Client, stack: &str) -> Result<Option<String>, OperatorError> {
    let mut functions = lambda.list_functions().into_paginator().items().send();
    while let Some(function) = functions.next().await {
        let function = function.map_err(|error| refused("list Lambda functions", &Fault::from(error)))?;
        let (Some(name), Some(arn)) = (function.function_name(), function.function_arn()) else { continue };
        if !name.starts_with("handler-") || !name.ends_with("-api") {
            continue;
        }
        let tags = lambda.list_tags().resource(arn).send().await;
        let tags = tags.map_err(|error| refused("read the tags of a Lambda function", &Fault::from(error)))?;
        if tags.tags().and_then(|tags| tags.get(STACK_TAG)).is_some_and(|owner| owner == stack) {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

fn refused(action: &'static str, fault: &Fault) -> OperatorError {
    OperatorError::Aws { action, cause: fault.to_string() }
}
