//! `/tasklane/v1/functions/{functionName}/executionCredentials`: what a Function calls the service back with (contract §21).
//! This endpoint has no counterpart upstream.

use http::Method;
use tasklane_model::{EmailAddress, Error, ErrorKind, FunctionName, Permissions, Result};
use tasklane_service::{ExecutionCredentials, HeldKeys, NewExecutionCredentials, Service};
use utoipa::ToSchema;

use crate::{
    access::{Allowed, permission::UpdateTaskFunction},
    answer::{Json, Unstored},
    body::Fields,
    config::BodyLimits,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    params::Name,
};

pub fn endpoints() -> Vec<Endpoint> {
    use ErrorKind as Kind;
    const PATH: &str = "/tasklane/v1/functions/{functionName}/executionCredentials";
    let set = Endpoint::new(Method::PUT, PATH, "setExecutionCredentials", set_credentials)
        .summary("Set what a Function may do with the service")
        .about(
            "Makes a role with exactly these permissions, a user who has it, and a credential of that user, as far as they are \
             missing; repeating it changes nothing. The Function need not exist yet, and is not changed: write the keys to its \
             environment variables. What is created takes CREATE_ROLE, ADD_ROLE_PERMISSION, REMOVE_ROLE_PERMISSION and \
             ADD_ROLE_TO_USER as well, a new credential of an existing user CREATE_CREDENTIALS_FOR_OTHERS, and all of it the \
             permissions themselves.",
        )
        .fails(&[
            Kind::InvalidFunctionName,
            Kind::IllegalArgument,
            Kind::IllegalState,
            Kind::ConflictingUpdate,
            Kind::TooManyRequests,
        ]);
    vec![set.tag("Functions")]
}

async fn set_credentials(
    service: Service,
    access: Allowed<UpdateTaskFunction>,
    Name(name): Name,
    JsonBody(body): JsonBody<ExecutionCredentialsOfFunction>,
) -> Result<Unstored<Json<ExecutionCredentials>>> {
    let name = FunctionName::parse(name)
        .map_err(|rule| Error::new(ErrorKind::InvalidFunctionName, format!("The name of the function {rule}.")))?;
    let set = service.set_execution_credentials(access.caller(), &name, body.into()).await?;
    Ok(Unstored(Json::of(set)))
}

/// What a Function shall be able to do.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ExecutionCredentialsOfFunction {
    /// The permissions of its role. Names that are no permissions of this service are kept and grant nothing.
    permissions: Permissions,
    /// The email address of its user. Default: `exh.tasks+<name>@extrahorizon.com`, as the official CLI makes it.
    email: Option<EmailAddress>,
    /// The consumer key that the Function has.
    consumer_key: Option<String>,
    /// The token that it has. If both are valid, no credential is created.
    token: Option<String>,
    /// Whether only to say what would be done. Default: false.
    dry_run: Option<bool>,
}

impl FromFields for ExecutionCredentialsOfFunction {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            permissions: fields.required("permissions")?,
            email: fields.optional("email")?,
            consumer_key: fields.optional("consumerKey")?,
            token: fields.optional("token")?,
            dry_run: fields.optional("dryRun")?,
        })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}

impl From<ExecutionCredentialsOfFunction> for NewExecutionCredentials {
    fn from(body: ExecutionCredentialsOfFunction) -> Self {
        let ExecutionCredentialsOfFunction { permissions, email, consumer_key, token, dry_run } = body;
        let held = consumer_key.zip(token).map(|(consumer_key, token)| HeldKeys { consumer_key, token });
        Self { permissions, email, held, dry_run: dry_run.unwrap_or(false) }
    }
}
