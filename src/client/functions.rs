//! Functions (contract §2, §3).

use std::{collections::BTreeMap, fmt};

use reqwest::Method;
use serde::{Deserialize, Serialize};
use tasklane_model::{
    AffectedRecords, AwsOptions, EndedCanary, Flow, FunctionName, FunctionSummary, IdempotencyKey, ImageReference,
    Json, JsonSchema, Page, QueuedTimeout, RetryPolicy, RetryPolicyChange, Secrets, Task, TaskEvents, Timeouts,
    Timestamp, UploadId, VersionLabel, VersionNumber, json::even_null,
};

use super::{
    Client, ClientError, Record,
    transport::{Call, EXECUTION, UPLOAD},
    versions::CanaryState,
};

/// The response of `GET /functions/{name}`. Lenient, because an older or newer service may send fewer or more fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionDetails {
    /// The Function's name.
    pub name: FunctionName,
    /// What it is for. Services send an empty string if there is none.
    #[serde(default, deserialize_with = "unless_empty")]
    pub description: Option<String>,
    /// The entry point that Lambda calls. Absent if it runs an image.
    #[serde(default)]
    pub entry_point: Option<String>,
    /// The runtime of AWS Lambda. Absent if it runs an image.
    #[serde(default)]
    pub runtime: Option<String>,
    /// The container image that it runs.
    #[serde(default)]
    pub image: Option<String>,
    /// How long one run may take, in seconds.
    #[serde(default)]
    pub time_limit: Option<i64>,
    /// How much memory one run may use, in MB.
    #[serde(default)]
    pub memory_limit: Option<i64>,
    /// The environment variables of its process.
    #[serde(default)]
    pub environment_variables: BTreeMap<String, Variable>,
    /// More variables, and where the value of each is.
    #[serde(default)]
    pub secrets: Secrets,
    /// What only AWS can carry out.
    #[serde(default)]
    pub aws: Option<AwsOptions>,
    /// What happens after a failed run.
    #[serde(default)]
    pub retry_policy: RetryPolicy,
    /// Who may execute it, and its Tasks' default priority.
    #[serde(default)]
    pub execution_options: OptionsBody,
    /// How long its Tasks may wait.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whether it may run.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When it last changed.
    #[serde(default)]
    pub update_timestamp: Option<Timestamp>,
    /// The SHA-256 of its zip in base64. The upstream service does not send it.
    #[serde(default)]
    pub code_sha256: Option<String>,
    /// Whether the results of its Tasks are kept.
    #[serde(default)]
    pub store_result: Option<bool>,
    /// What its Tasks publish besides `task_failed`.
    #[serde(default)]
    pub events: TaskEvents,
    /// How its Tasks with the same key take turns and share limits.
    #[serde(default)]
    pub flow: Option<Flow>,
    /// What the `data` of its Tasks must look like.
    #[serde(default)]
    pub data_schema: Option<JsonSchema>,
    /// What its results look like.
    #[serde(default)]
    pub result_schema: Option<JsonSchema>,
    /// The number of the version that it is. The upstream service has no versions.
    #[serde(default)]
    pub version: Option<VersionNumber>,
    /// What that version is called.
    #[serde(default)]
    pub label: Option<String>,
    /// The version that gets a part of the runs.
    #[serde(default)]
    pub canary: Option<CanaryState>,
    /// How the last canary ended.
    #[serde(default)]
    pub last_canary: Option<EndedCanary>,
}

fn unless_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

fn yes() -> bool {
    true
}

/// One environment variable: `{value}`. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its value.
    pub value: String,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variable(…)")
    }
}

/// `executionOptions`. `None` means unknown, or not to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OptionsBody {
    /// Who may execute it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub permission_mode: Option<String>,
    /// The default priority of its Tasks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_priority: Option<i64>,
    /// How many of its runs may be in progress at once; `Some(None)` removes the limit. The upstream service does not know it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrency_limit: Option<Option<i64>>,
}

/// The body of `POST` and `PUT` of a Function. An absent field keeps its value, or gets the service's default.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the fields of `FunctionDetails`
pub struct FunctionBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<FunctionName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Base64 of a zip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// In place of `code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_upload_id: Option<UploadId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// In place of code, entry point and runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_variables: Option<BTreeMap<String, Variable>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Secrets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<Option<AwsOptions>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicyChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_options: Option<OptionsBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_result: Option<Option<bool>>,
    /// `null` removes the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutsBody>,
    /// An empty list removes the option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<TaskEvents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<Option<Flow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_schema: Option<Option<JsonSchema>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_schema: Option<Option<JsonSchema>>,
    /// What the new version is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<VersionLabel>,
    /// Whether only a version is made, and the Function stays as it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub publish_only: bool,
}

/// `timeouts` in [`FunctionBody`].
#[derive(Clone, Debug, Serialize)]
pub struct TimeoutsBody {
    /// `None` removes it.
    pub queued: Option<QueuedTimeout>,
}

/// A completed direct execution: the Task, and the Function's result.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The finished Task.
    pub task: Task,
    /// The Function's result, exactly as the service sent it.
    pub result: Json,
}

impl<'de> Deserialize<'de> for Executed {
    // Flattening `Task` would pass `data` and the result through a form that loses their notation.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default, deserialize_with = "even_null")]
            result: Option<Json>,
        }
        let json = Json::deserialize(deserializer)?;
        let task = serde_json::from_str(json.as_str()).map_err(serde::de::Error::custom)?;
        let answer: Answer = serde_json::from_str(json.as_str()).map_err(serde::de::Error::custom)?;
        Ok(Self { task, result: answer.result.unwrap_or_else(Json::null) })
    }
}

const FUNCTIONS: &str = "/tasks/v1/functions";

impl Client {
    /// A summary of every Function.
    pub async fn functions(&self) -> Result<Vec<Record<FunctionSummary>>, ClientError> {
        Ok(self.call::<Page<_>>(Call::get(FUNCTIONS)).await?.value.data)
    }

    /// One Function.
    pub async fn function(&self, name: &FunctionName) -> Result<Record<FunctionDetails>, ClientError> {
        self.call(Call::get(format!("{FUNCTIONS}/{name}"))).await
    }

    /// One Function, or `None` if it does not exist.
    pub async fn find_function(&self, name: &FunctionName) -> Result<Option<Record<FunctionDetails>>, ClientError> {
        match self.function(name).await {
            Ok(function) => Ok(Some(function)),
            Err(e) if e.code() == Some(16) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Creates a Function.
    pub async fn create_function(&self, body: &FunctionBody) -> Result<Record<FunctionDetails>, ClientError> {
        self.call(Call::post(FUNCTIONS).json(body)?.within(UPLOAD)).await
    }

    /// Changes a Function.
    pub async fn update_function(
        &self,
        name: &FunctionName,
        body: &FunctionBody,
    ) -> Result<Record<AffectedRecords>, ClientError> {
        let call = Call::new(Method::PUT, format!("{FUNCTIONS}/{name}"));
        self.call(call.json(body)?.within(UPLOAD)).await
    }

    /// Deletes a Function. Its Tasks, API Requests and logs stay.
    pub async fn delete_function(&self, name: &FunctionName) -> Result<Record<AffectedRecords>, ClientError> {
        self.call(Call::new(Method::DELETE, format!("{FUNCTIONS}/{name}"))).await
    }

    /// Enables or disables a Function.
    pub async fn set_function_enabled(
        &self,
        name: &FunctionName,
        enabled: bool,
    ) -> Result<Record<AffectedRecords>, ClientError> {
        let verb = if enabled { "enable" } else { "disable" };
        self.call(Call::post(format!("{FUNCTIONS}/{name}/{verb}")).empty_object()).await
    }

    /// Runs a Function now, bypassing the queue, and waits for its result. With a key, it runs only once.
    pub async fn execute(
        &self,
        name: &FunctionName,
        data: Option<&Json>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Record<Executed>, ClientError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a Json>,
            #[serde(skip_serializing_if = "Option::is_none")]
            idempotency_key: Option<&'a IdempotencyKey>,
        }
        let call = Call::post(format!("{FUNCTIONS}/{name}/execute"));
        self.call(call.json(&Body { data, idempotency_key: key })?.within(EXECUTION).once_if(key)).await
    }

    /// Calls a Function over HTTP with GET, without retries; `path` begins with a slash. Returns the body.
    pub async fn call_api_function(&self, name: &FunctionName, path: &str) -> Result<String, ClientError> {
        self.once(&Call::get(format!("/tasks/v1/api/{name}{path}")).within(EXECUTION)).await
    }
}
