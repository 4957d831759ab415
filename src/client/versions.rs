//! The versions of Functions (contract §18).

use bytes::Bytes;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use tasklane_model::{AffectedRecords, CanaryPercent, FailWhen, FunctionName, Page, Timestamp, VersionNumber};

use super::{
    Client, ClientError, Record,
    transport::{Call, UPLOAD},
};

/// A version of a Function.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Its number.
    pub number: VersionNumber,
    /// When it was made.
    pub created_timestamp: Timestamp,
    /// The user who made it.
    #[serde(default)]
    pub created_by_user_id: Option<String>,
    /// The SHA-256 of its code, in base64.
    pub code_sha256: String,
    /// What it is called.
    #[serde(default)]
    pub label: Option<String>,
    /// In what it differs from the version that was current before it. A newer service may know other fields.
    #[serde(default)]
    pub changed: Vec<String>,
    /// When another version took its place as the current one.
    #[serde(default)]
    pub replaced_timestamp: Option<Timestamp>,
    /// Whether the Function is this version.
    #[serde(default)]
    pub current: bool,
    /// Whether the Function can be rolled back to it.
    #[serde(default)]
    pub runnable: bool,
}

/// A version that gets a part of the runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryState {
    /// Its number.
    pub version: VersionNumber,
    /// Which part of the runs it gets, in percent.
    pub percent: CanaryPercent,
    /// When it ends by itself.
    #[serde(default)]
    pub fail_when: Option<FailWhen>,
    /// When it began.
    pub started_timestamp: Timestamp,
}

/// The body of a new canary.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryBody {
    /// The version's number.
    pub version: VersionNumber,
    /// Which part of the runs it gets, in percent.
    pub percent: CanaryPercent,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_when: Option<FailWhen>,
}

impl Client {
    /// The versions of a Function, newest first.
    pub async fn versions(&self, function: &FunctionName) -> Result<Vec<Record<Version>>, ClientError> {
        Ok(self.call::<Page<_>>(Call::get(path(function, "versions"))).await?.value.data)
    }

    /// One version with its configuration.
    pub async fn version(
        &self,
        function: &FunctionName,
        number: VersionNumber,
    ) -> Result<Record<Version>, ClientError> {
        self.call(Call::get(path(function, &format!("versions/{number}")))).await
    }

    /// The zip of a version.
    pub async fn version_code(&self, function: &FunctionName, number: VersionNumber) -> Result<Bytes, ClientError> {
        self.bytes(&Call::get(path(function, &format!("versions/{number}/code"))).within(UPLOAD)).await
    }

    /// Rolls a Function back to a version.
    pub async fn roll_back(&self, function: &FunctionName, to: VersionNumber) -> Result<Record<Version>, ClientError> {
        #[derive(Serialize)]
        struct Body {
            to: VersionNumber,
        }
        self.call(Call::post(path(function, "rollback")).json(&Body { to })?).await
    }

    /// Gives a part of the runs to a version.
    pub async fn start_canary(
        &self,
        function: &FunctionName,
        body: &CanaryBody,
    ) -> Result<Record<CanaryState>, ClientError> {
        self.call(Call::post(path(function, "canary")).json(body)?).await
    }

    /// Gives every run to the current version.
    pub async fn stop_canary(&self, function: &FunctionName) -> Result<Record<AffectedRecords>, ClientError> {
        self.call(Call::new(Method::DELETE, path(function, "canary"))).await
    }
}

fn path(function: &FunctionName, rest: &str) -> String {
    format!("/tasklane/v1/functions/{function}/{rest}")
}
