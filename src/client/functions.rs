//! Functions (contract §2, §3).

use std::{collections::BTreeMap, fmt};

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{
    Client, ClientError, Record,
    transport::{Call, EXECUTION, UPLOAD},
};
use crate::model::{
    AffectedRecords, FunctionName, FunctionSummary, Json, Page, RetryPolicy, Task, Timestamp, json::even_null,
};

/// What `GET /functions/{name}` answers. Held loosely: an older service, or a newer one, may say less or more.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionDetails {
    /// Its name.
    pub name: FunctionName,
    /// What it is for. Services answer an empty one where there is none.
    #[serde(default, deserialize_with = "unless_empty")]
    pub description: Option<String>,
    /// What Lambda calls.
    pub entry_point: String,
    /// What runs it.
    pub runtime: String,
    /// How long one run may take, in seconds.
    #[serde(default)]
    pub time_limit: Option<i64>,
    /// How much memory one run may take, in MB.
    #[serde(default)]
    pub memory_limit: Option<i64>,
    /// What its process finds in its environment.
    #[serde(default)]
    pub environment_variables: BTreeMap<String, Variable>,
    /// What happens after a run failed.
    #[serde(default)]
    pub retry_policy: RetryPolicy,
    /// Who may run it, and how.
    #[serde(default)]
    pub execution_options: OptionsBody,
    /// Whether it runs at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When it last changed.
    #[serde(default)]
    pub update_timestamp: Option<Timestamp>,
    /// The SHA-256 of its zip in base64. The upstream service does not tell.
    #[serde(default)]
    pub code_sha256: Option<String>,
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

/// `executionOptions`, as far as it is known or to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OptionsBody {
    /// Who may execute it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub permission_mode: Option<String>,
    /// The priority of its Tasks when nobody says otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_priority: Option<i64>,
}

/// What `POST` and `PUT` of a Function send; what is absent keeps its value, or gets the service's default.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_variables: Option<BTreeMap<String, Variable>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_options: Option<OptionsBody>,
}

/// A direct execution that came to its end: the Task, and what the Function returned.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The finished Task.
    pub task: Task,
    /// What the Function returned, as it was written.
    pub result: Json,
}

impl<'de> Deserialize<'de> for Executed {
    // Flattening `Task` would copy its `data` and the result through a form that loses how they were written.
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
    /// Every Function, in brief.
    pub async fn functions(&self) -> Result<Vec<Record<FunctionSummary>>, ClientError> {
        Ok(self.call::<Page<_>>(Call::get(FUNCTIONS)).await?.value.data)
    }

    /// One Function.
    pub async fn function(&self, name: &FunctionName) -> Result<Record<FunctionDetails>, ClientError> {
        self.call(Call::get(format!("{FUNCTIONS}/{name}"))).await
    }

    /// One Function, or `None` when there is none of that name.
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

    /// Lets a Function run again, or nothing of it run any more.
    pub async fn set_function_enabled(
        &self,
        name: &FunctionName,
        enabled: bool,
    ) -> Result<Record<AffectedRecords>, ClientError> {
        let verb = if enabled { "enable" } else { "disable" };
        self.call(Call::post(format!("{FUNCTIONS}/{name}/{verb}")).empty_object()).await
    }

    /// Runs a Function at once and waits for its result.
    pub async fn execute(&self, name: &FunctionName, data: Option<&Json>) -> Result<Record<Executed>, ClientError> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a Json>,
        }
        let call = Call::post(format!("{FUNCTIONS}/{name}/execute"));
        self.call(call.json(&Body { data })?.within(EXECUTION)).await
    }

    /// Calls a Function as an HTTP endpoint, with GET and once; `path` begins with a slash. Answers its body.
    pub async fn call_api_function(&self, name: &FunctionName, path: &str) -> Result<String, ClientError> {
        self.once(&Call::get(format!("/tasks/v1/api/{name}{path}")).within(EXECUTION)).await
    }
}
