//! The options of a Function: everything about it that has a default.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AwsOptions, ConcurrencyLimit, Configuration, Environment, Flow, Function, JsonSchema, Lane, MemoryLimit, Priority,
    QueuedTimeout, RetryPolicyChange, Secrets, TaskEvents, TimeLimit,
};

/// The options that a caller sets: an absent one gets its default when a Function is created, and keeps its value when
/// one is changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionOptions {
    /// At most 256 characters; an empty description removes it.
    pub description: Option<String>,
    /// How long one run may take.
    pub time_limit: Option<TimeLimit>,
    /// How much memory one run may use.
    pub memory_limit: Option<MemoryLimit>,
    /// The whole environment.
    pub environment: Option<Environment>,
    /// All secrets; none removes them.
    pub secrets: Option<Secrets>,
    /// What only AWS can carry out. Replaced as a whole; `Some(None)` removes it.
    pub aws: Option<Option<AwsOptions>>,
    /// The retry policy.
    pub retry_policy: Option<RetryPolicyChange>,
    /// `executionOptions.permissionMode`.
    pub permission_mode: Option<PermissionMode>,
    /// `executionOptions.defaultPriority`.
    pub default_priority: Option<Priority>,
    /// `timeouts.queued`; `Some(None)` removes it.
    pub queued_timeout: Option<Option<QueuedTimeout>>,
    /// `executionOptions.concurrencyLimit`; `Some(None)` removes it.
    pub concurrency_limit: Option<Option<ConcurrencyLimit>>,
    /// Whether results are kept; `Some(None)` removes the option.
    pub store_result: Option<Option<bool>>,
    /// What its Tasks publish besides their failures. Replaced as a whole; an empty list removes the option.
    pub events: Option<TaskEvents>,
    /// How its Tasks with the same key take turns. Replaced as a whole; `Some(None)` removes it.
    pub flow: Option<Option<Flow>>,
    /// What the `data` of its Tasks must look like. Replaced as a whole; `Some(None)` removes it.
    pub data_schema: Option<Option<JsonSchema>>,
    /// What its results look like. Replaced as a whole; `Some(None)` removes it.
    pub result_schema: Option<Option<JsonSchema>>,
}

impl FunctionOptions {
    /// Sets the options that Lambda must know.
    pub fn configure(&self, configuration: &mut Configuration) {
        if let Some(description) = &self.description {
            configuration.description = Some(description.clone()).filter(|text| !text.is_empty());
        }
        set(&mut configuration.time_limit, &self.time_limit);
        set(&mut configuration.memory_limit, &self.memory_limit);
        set(&mut configuration.environment, &self.environment);
        set(&mut configuration.secrets, &self.secrets);
        set(&mut configuration.aws, &self.aws);
    }

    /// Sets all options.
    pub fn apply_to(&self, function: &mut Function) {
        self.configure(&mut function.configuration);
        if let Some(change) = &self.retry_policy {
            change.apply_to(&mut function.retry_policy);
        }
        set(&mut function.timeouts.queued, &self.queued_timeout);
        let execution = &mut function.execution_options;
        set(&mut execution.permission_mode, &self.permission_mode);
        set(&mut execution.default_priority, &self.default_priority);
        set(&mut execution.concurrency_limit, &self.concurrency_limit);
        set(&mut function.store_result, &self.store_result);
        set(&mut function.events, &self.events);
        set(&mut function.flow, &self.flow);
        set(&mut function.data_schema, &self.data_schema);
        set(&mut function.result_schema, &self.result_schema);
        if function.execution_options.concurrency_limit.is_some() || function.flow.is_some() {
            function.lane = Lane::Own;
        }
    }
}

fn set<T: Clone>(option: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        option.clone_from(value);
    }
}

/// Who may run a Function, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionOptions {
    /// Who may execute it directly or call it as an API Function.
    #[serde(default)]
    pub permission_mode: PermissionMode,
    /// The priority of its Tasks unless they set their own.
    #[serde(default)]
    pub default_priority: Priority,
    /// How many of its runs may be in progress at once, within the deployment's own limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrency_limit: Option<ConcurrencyLimit>,
}

/// Who may execute a Function directly or call it as an API Function (contract §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(description = "Who may execute a Function directly or call it as an API Function.")]
pub enum PermissionMode {
    /// Callers who hold the permission.
    #[default]
    PermissionRequired,
    /// Every logged-in user.
    AllUsers,
    /// Anybody.
    Public,
}

impl PermissionMode {
    /// Every mode with its name.
    pub const NAMES: [(&'static str, Self); 3] = [
        (Self::PermissionRequired.as_str(), Self::PermissionRequired),
        (Self::AllUsers.as_str(), Self::AllUsers),
        (Self::Public.as_str(), Self::Public),
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PermissionRequired => "permissionRequired",
            Self::AllUsers => "allUsers",
            Self::Public => "public",
        }
    }
}
