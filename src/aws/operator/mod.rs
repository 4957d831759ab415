//! What an operator does with a deployed stack from outside, with nothing but AWS credentials.

mod checks;

use aws_config::SdkConfig;
use aws_sdk_lambda::{Client, operation::get_function_configuration::GetFunctionConfigurationOutput};

pub use checks::{Finding, examine};

use super::{Stack, StackSettings, fault::Fault, settings::InvalidSetting};
use crate::{
    auth::{self, NewCredential},
    model::{Identity, Permissions, Timestamp, UserId},
    ports::PortError,
    store::StoreError,
};

/// The tag of a handler that says which stack it belongs to.
const STACK_TAG: &str = "tasklane:stack";

/// Why an operator's wish was not met.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no such stack in this account and region.
    #[error(
        "there is no stack '{stack}' of tasklane in {region}: `--stack` takes the name that `sam deploy` was given, or \
         the stack's Prefix. Look at the region (AWS_REGION) and the account (AWS_PROFILE) too"
    )]
    NoStack {
        /// What was looked for.
        stack: String,
        /// Where.
        region: String,
    },
    /// Its handlers were deployed with other settings than this version knows.
    #[error(transparent)]
    Settings(#[from] InvalidSetting),
    /// AWS refused, or did not answer.
    #[error("AWS refused to {action}: {cause}")]
    Aws {
        /// What was being done.
        action: &'static str,
        /// What it said.
        cause: String,
    },
    /// A table could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key could not be used.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Opens the stack of this name, as CloudFormation or its `Prefix` names it.
///
/// Its settings are read from the environment of its own handlers, so whoever may read them needs to know nothing else.
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

/// Makes a credential with every permission, without asking the service: how the first one comes into being.
pub async fn bootstrap(stack: &Stack, user: UserId) -> Result<NewCredential, OperatorError> {
    let identity = Identity { user_id: user, application_id: None, permissions: Permissions::all() };
    let now: Timestamp = stack.ports.clock.now();
    let (shown, stored) = auth::issue(identity, None, now, &stack.ports.ids, &stack.secrets).await?;
    stack.store.credentials.put(&stored).await?;
    Ok(shown)
}

fn handler_name(prefix: &str) -> String {
    format!("handler-{prefix}-api")
}

async fn configuration(lambda: &Client, name: &str) -> Result<Option<GetFunctionConfigurationOutput>, OperatorError> {
    match lambda.get_function_configuration().function_name(name).send().await.map_err(Fault::from) {
        Ok(found) => Ok(Some(found)),
        // A name that no Lambda function can have is none either: a stack's name may be longer than a prefix.
        Err(fault) if fault.is("ResourceNotFoundException") || fault.is("ValidationException") => Ok(None),
        Err(fault) => Err(refused("read the configuration of the api handler", &fault)),
    }
}

/// The api handler whose tag names the stack.
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
