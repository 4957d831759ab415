//! Functions and their log lines in responses.

use std::collections::BTreeMap;

use serde::Serialize;
use tasklane_model::{
    AwsOptions, Canary, CanaryPercent, CodeSha256, Configuration, EndedCanary, EntryPoint, Environment,
    ExecutionOptions, FailWhen, Flow, Function, FunctionName, ImageReference, JsonSchema, MemoryLimit, Program,
    RetryPolicy, Runtime, SecretReference, Secrets, TaskEvents, TimeLimit, Timeouts, Timestamp, VersionLabel,
    VersionNumber,
};
use tasklane_ports::LogLine;
use utoipa::ToSchema;

/// A Function, without its code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionDetails {
    /// The name.
    name: FunctionName,
    /// What it is for. Empty by default.
    description: String,
    /// The handler that Lambda calls. Absent if it runs an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_point: Option<EntryPoint>,
    /// The Lambda runtime. Absent if it runs an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<Runtime>,
    /// The container image that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ImageReference>,
    /// How long one run may take.
    time_limit: TimeLimit,
    /// How much memory one run may use.
    memory_limit: MemoryLimit,
    /// The environment variables of its process, by name.
    environment_variables: BTreeMap<String, EnvironmentVariable>,
    /// More environment variables, by name, and where the value of each is. The values are never shown.
    #[serde(skip_serializing_if = "Secrets::is_empty")]
    #[schema(value_type = BTreeMap<String, SecretReference>, required = false)]
    secrets: Secrets,
    /// What only AWS can carry out.
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<AwsOptions>,
    /// What happens when a run fails.
    retry_policy: RetryPolicy,
    /// Who may run it, and how.
    execution_options: ExecutionOptions,
    /// How long its Tasks may wait, unless they set their own.
    #[serde(skip_serializing_if = "Timeouts::is_empty")]
    #[schema(required = false)]
    timeouts: Timeouts,
    /// Whether it can run. The Tasks of a disabled Function keep waiting.
    enabled: bool,
    /// When a caller last changed it.
    update_timestamp: Timestamp,
    /// The code's SHA-256 in base64: of a zip, so that a client sees whether it must upload its own, or the digest of an image.
    #[schema(value_type = String)]
    code_sha256: CodeSha256,
    /// Whether the results of its Tasks are kept. Absent if that was never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_result: Option<bool>,
    /// What its Tasks publish besides `task_failed`.
    #[serde(skip_serializing_if = "TaskEvents::is_empty")]
    #[schema(required = false)]
    events: TaskEvents,
    /// How its Tasks with the same key take turns and share limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Flow>,
    /// What the `data` of its Tasks must look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_schema: Option<JsonSchema>,
    /// What its results look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_schema: Option<JsonSchema>,
    /// The number of the version that it is.
    version: VersionNumber,
    /// What that version is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<VersionLabel>,
    /// The version that gets a part of the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<CanaryState>,
    /// How the last canary ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_canary: Option<EndedCanary>,
}

/// The value of an environment variable.
#[derive(Serialize, ToSchema)]
pub struct EnvironmentVariable {
    /// The value.
    value: String,
}

/// A version that a part of the runs is given to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Canary)]
pub struct CanaryState {
    /// Its number.
    version: VersionNumber,
    /// Which part of the runs it gets, in percent.
    percent: CanaryPercent,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_when: Option<FailWhen>,
    /// When it began.
    started_timestamp: Timestamp,
}

impl CanaryState {
    /// What callers see of a canary.
    pub fn of(canary: &Canary) -> Self {
        Self {
            version: canary.version,
            percent: canary.percent,
            fail_when: canary.fail_when,
            started_timestamp: canary.started_timestamp,
        }
    }
}

impl EnvironmentVariable {
    /// All variables of an environment, by name.
    pub fn all(environment: &Environment) -> BTreeMap<String, Self> {
        environment.iter().map(|(name, value)| (name.to_owned(), Self { value: value.to_owned() })).collect()
    }
}

impl From<Function> for FunctionDetails {
    fn from(function: Function) -> Self {
        let Configuration { description, program, time_limit, memory_limit, environment, secrets, aws } =
            function.configuration;
        let (entry_point, runtime, image) = parts_of(program);
        let environment_variables = EnvironmentVariable::all(&environment);
        Self {
            name: function.name,
            description: description.unwrap_or_default(),
            entry_point,
            runtime,
            image,
            time_limit,
            memory_limit,
            environment_variables,
            secrets,
            aws,
            retry_policy: function.retry_policy,
            execution_options: function.execution_options,
            timeouts: function.timeouts,
            enabled: function.enabled,
            update_timestamp: function.update_timestamp,
            code_sha256: function.deployment.code_sha256,
            store_result: function.store_result,
            events: function.events,
            flow: function.flow,
            data_schema: function.data_schema,
            result_schema: function.result_schema,
            version: function.history.current.number,
            label: function.history.current.label,
            canary: function.history.canary.as_ref().map(CanaryState::of),
            last_canary: function.history.last_canary,
        }
    }
}

/// What a program has of the three fields that describe one.
pub fn parts_of(program: Program) -> (Option<EntryPoint>, Option<Runtime>, Option<ImageReference>) {
    match program {
        Program::Zip { entry_point, runtime } => (Some(entry_point), Some(runtime), None),
        Program::Image { image } => (None, None, Some(image)),
    }
}

/// The lines that a Function logged, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
pub struct FunctionLogLines(Vec<FunctionLogLine>);

/// A line that a Function logged.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionLogLine {
    /// The line, without its line break.
    message: String,
    /// When it was logged.
    event_timestamp: Timestamp,
}

impl From<Vec<LogLine>> for FunctionLogLines {
    fn from(lines: Vec<LogLine>) -> Self {
        let shown = |line: LogLine| FunctionLogLine { message: line.message, event_timestamp: line.timestamp };
        Self(lines.into_iter().map(shown).collect())
    }
}
