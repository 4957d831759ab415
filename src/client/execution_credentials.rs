//! What a Function calls the service back with (contract §21).

use reqwest::Method;
use serde::{Deserialize, Serialize};
use tasklane_model::{EmailAddress, FunctionName, Permissions, RoleName, Secret};

use super::{Client, ClientError, Record, transport::Call};

/// The body of `PUT …/executionCredentials`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionCredentialsBody {
    /// The names in the Function's role.
    pub permissions: Permissions,
    /// The address of its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// The consumer key that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_key: Option<String>,
    /// The token that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whether only to say what would be done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What was done, or what would be.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionCredentials {
    /// The name of the role.
    pub role: RoleName,
    /// The address of the user.
    pub email: EmailAddress,
    /// Whether the role is new.
    pub role_created: bool,
    /// What was added to the role.
    pub permissions_added: Vec<String>,
    /// What was removed from it.
    pub permissions_removed: Vec<String>,
    /// Whether the user is new.
    pub user_created: bool,
    /// Whether a user that existed got the role.
    pub role_given: bool,
    /// Whether the Function needs a new credential.
    pub credential_created: bool,
    /// The new credential; `None` if it was not made.
    #[serde(default)]
    pub keys: Option<ExecutionKeys>,
}

/// The keys to sign requests with, which the service returns only once.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionKeys {
    /// The consumer key.
    pub consumer_key: String,
    /// The consumer secret.
    pub consumer_secret: Secret,
    /// The token.
    pub token: String,
    /// The token secret.
    pub token_secret: Secret,
}

impl Client {
    /// Sees to it that a Function can do what these permissions allow, and nothing else.
    pub async fn set_execution_credentials(
        &self,
        function: &FunctionName,
        body: &ExecutionCredentialsBody,
    ) -> Result<Record<ExecutionCredentials>, ClientError> {
        let path = format!("/tasklane/v1/functions/{function}/executionCredentials");
        self.call(Call::new(Method::PUT, path).json(body)?).await
    }
}
