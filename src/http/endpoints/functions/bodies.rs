//! Request bodies for creating, updating and running Functions.

use std::collections::BTreeMap;

use tasklane_model::{
    AwsOptions, ConcurrencyLimit, EntryPoint, Environment, Error, ErrorKind, ErrorNames, Flow, FunctionName,
    IdempotencyKey, ImageReference, Json, JsonSchema, MemoryLimit, PermissionMode, Priority, QueuedTimeout, Result,
    RetryPolicyChange, RetryStrategy, RetryStrategyFields, Runtime, SecretReference, Secrets, TaskEvents, TimeLimit,
    Timeouts, UploadId, VersionLabel, Vpc, once::IDEMPOTENCY_KEY,
};
use tasklane_service::{FunctionChange, FunctionOptions, NewFunction, NewProgram, SentCode};
use utoipa::ToSchema;

use crate::{
    body::{Code, Description, Fields},
    config::BodyLimits,
    input::FromFields,
    once::HasKey,
};

/// A Function to create.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct FunctionCreation {
    /// Unique among all Functions.
    name: FunctionName,
    /// The zip, in base64. This, `codeUploadId` or `image` is required.
    code: Option<Code>,
    /// The id of an upload, in place of `code`.
    code_upload_id: Option<UploadId>,
    /// The handler that Lambda calls. Required, unless there is an `image`.
    entry_point: Option<EntryPoint>,
    /// The Lambda runtime. Required, unless there is an `image`.
    runtime: Option<Runtime>,
    /// A container image, in place of `code`, `entryPoint` and `runtime`.
    image: Option<ImageReference>,
    /// What the first version is called, e.g. a git commit.
    label: Option<VersionLabel>,
    #[schema(inline)]
    #[serde(flatten)]
    options: Options,
}

/// An update of a Function. Absent fields keep their values.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct FunctionUpdate {
    /// If present, the same name as in the path.
    pub(super) name: Option<String>,
    /// The zip, in base64.
    code: Option<Code>,
    /// The id of an upload, in place of `code`.
    code_upload_id: Option<UploadId>,
    /// The handler that Lambda calls.
    entry_point: Option<EntryPoint>,
    /// The Lambda runtime.
    runtime: Option<Runtime>,
    /// The container image of a Function that was created with one. The same name is followed again.
    image: Option<ImageReference>,
    /// What the new version is called, e.g. a git commit.
    label: Option<VersionLabel>,
    /// Whether only a version is made, and the Function stays as it is. Default: false.
    publish_only: Option<bool>,
    #[schema(inline)]
    #[serde(flatten)]
    options: Options,
}

/// The fields that have a default.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Options {
    /// What it is for. An empty string or `null` removes it.
    #[schema(value_type = Option<Description>)]
    description: Option<Option<Description>>,
    /// How long one run may take, in seconds. Default: 30.
    time_limit: Option<TimeLimit>,
    /// How much memory one run may use, in MB. Default: 128.
    memory_limit: Option<MemoryLimit>,
    /// The environment variables of its process, by name. Replaced as a whole. At most 4096 bytes.
    #[schema(value_type = Option<BTreeMap<String, super::details::EnvironmentVariable>>)]
    environment_variables: Option<Environment>,
    /// More environment variables, by name, and where the value of each is: the service reads it when it deploys the Function.
    /// Replaced as a whole; `null` or an empty object removes them.
    #[schema(value_type = Option<BTreeMap<String, SecretReference>>)]
    secrets: Option<Secrets>,
    /// What only AWS can carry out; on one machine, only layers have an effect. Replaced as a whole; `null` removes it.
    #[schema(value_type = Option<AwsOptions>)]
    aws: Option<Option<AwsOptions>>,
    /// What happens when a run fails. Default: no retry.
    #[schema(value_type = Option<RetryPolicyUpdate>)]
    retry_policy: Option<RetryPolicyChange>,
    /// Who may run it, and how.
    execution_options: Option<ExecutionOptionsUpdate>,
    /// Whether the results of its Tasks are kept, as long as the Tasks. A Task's own `storeResult` wins. `null` removes the option. Default: false.
    #[schema(value_type = Option<bool>)]
    store_result: Option<Option<bool>>,
    /// How long its Tasks may wait. Absent fields keep their values; `null` removes one, or all of them.
    #[schema(value_type = Option<Timeouts>)]
    timeouts: Option<TimeoutsUpdate>,
    /// What its Tasks publish besides `task_failed`. Replaced as a whole; `null` or an empty list removes the option.
    #[schema(value_type = Option<TaskEvents>)]
    events: Option<Option<TaskEvents>>,
    /// How its Tasks with the same key take turns and share limits. Replaced as a whole; `null` removes it.
    #[schema(value_type = Option<Flow>)]
    flow: Option<Option<Flow>>,
    /// What the `data` of its Tasks must look like: `data` that does not fit is refused. `null` removes it.
    #[schema(value_type = Option<JsonSchema>)]
    data_schema: Option<Option<JsonSchema>>,
    /// What its results look like, for `tasklane types` and for readers: results are not checked. `null` removes it.
    #[schema(value_type = Option<JsonSchema>)]
    result_schema: Option<Option<JsonSchema>>,
}

/// How long the Tasks of a Function may wait.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct TimeoutsUpdate {
    #[schema(value_type = Option<QueuedTimeout>)]
    queued: Option<Option<QueuedTimeout>>,
}

/// What happens when a run fails.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // only described, because each field is read by its own rule
pub struct RetryPolicyUpdate {
    /// Whether failed runs are retried. Default: false.
    enabled: Option<bool>,
    /// The names of the errors that are retried. Default: every error.
    errors_to_retry: Option<Vec<String>>,
    /// The names of the errors that are never retried, whatever `errorsToRetry` says. If absent, the list stays as it is; `null`
    /// removes it.
    errors_not_to_retry: Option<ErrorNames>,
    /// How often and when. Without a strategy, three times: after 2, 5 and 10 seconds. Replaced as a whole. If absent, it stays
    /// as it is; `null` removes it.
    strategy: Option<RetryStrategyFields>,
}

/// Who may run a Function, and how. Absent fields keep their values.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ExecutionOptionsUpdate {
    /// Who may execute it directly or call it as an API Function. Default: `permissionRequired`.
    permission_mode: Option<PermissionMode>,
    /// The priority of Tasks that are created without one. Default: 0.
    default_priority: Option<Priority>,
    /// How many of its runs may be in progress at once. `null` removes the limit.
    #[schema(value_type = Option<ConcurrencyLimit>)]
    concurrency_limit: Option<Option<ConcurrencyLimit>>,
}

/// The input of a direct execution.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ExecutionInput {
    /// The Function's input: any JSON, at most 250 KB.
    pub(super) data: Option<Json>,
    /// The same as the header `Idempotency-Key`.
    idempotency_key: Option<IdempotencyKey>,
}

impl FromFields for FunctionCreation {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        if fields.has_value("image") {
            fields.require(&["name", "image"])?;
        } else {
            let code = if fields.has_value("codeUploadId") { "codeUploadId" } else { "code" };
            fields.require(&["name", code, "entryPoint", "runtime"])?;
        }
        Ok(Self {
            name: new_name(fields)?,
            entry_point: fields.optional("entryPoint")?,
            runtime: fields.optional("runtime")?,
            image: fields.optional("image")?,
            label: fields.optional("label")?,
            options: Options::from_fields(fields)?,
            // Last, because it takes the most work to read.
            code_upload_id: fields.optional("codeUploadId")?,
            code: fields.optional("code")?,
        })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.function
    }

    fn errors() -> Vec<ErrorKind> {
        vec![
            ErrorKind::InvalidFunctionName,
            ErrorKind::UploadUnknown,
            ErrorKind::IllegalArgument,
            ErrorKind::InvalidFunctionCode,
            ErrorKind::InvalidFunctionConfiguration,
            ErrorKind::ConflictingUpdate,
        ]
    }
}

impl FromFields for FunctionUpdate {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            name: fields.optional("name")?,
            entry_point: fields.optional("entryPoint")?,
            runtime: fields.optional("runtime")?,
            image: fields.optional("image")?,
            label: fields.optional("label")?,
            publish_only: fields.optional("publishOnly")?,
            options: Options::from_fields(fields)?,
            code_upload_id: fields.optional("codeUploadId")?,
            code: fields.optional("code")?,
        })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.function
    }

    fn errors() -> Vec<ErrorKind> {
        vec![
            ErrorKind::UploadUnknown,
            ErrorKind::IllegalArgument,
            ErrorKind::InvalidFunctionCode,
            ErrorKind::InvalidFunctionConfiguration,
            ErrorKind::ConflictingUpdate,
        ]
    }
}

impl FromFields for ExecutionInput {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self { data: fields.json("data")?, idempotency_key: fields.optional(IDEMPOTENCY_KEY)? })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}

impl HasKey for ExecutionInput {
    fn key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }
}

impl Options {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            description: fields.clearable("description")?,
            time_limit: fields.optional("timeLimit")?,
            memory_limit: fields.optional("memoryLimit")?,
            environment_variables: environment(fields)?,
            secrets: secrets(fields)?,
            aws: aws_options(fields)?,
            retry_policy: retry_policy(fields)?,
            execution_options: execution_options(fields)?,
            store_result: fields.clearable("storeResult")?,
            timeouts: timeouts(fields)?,
            events: fields.clearable("events")?,
            flow: flow_option(fields)?,
            data_schema: fields.clearable("dataSchema")?,
            result_schema: fields.clearable("resultSchema")?,
        })
    }
}

/// A string that is not a valid name has an error of its own (1407).
fn new_name(fields: &Fields<'_>) -> Result<FunctionName> {
    let name: String = fields.required("name")?;
    let refused = |rule| Error::new(ErrorKind::InvalidFunctionName, format!("The field 'name' {rule}."));
    FunctionName::parse(name).map_err(refused)
}

fn environment(fields: &Fields<'_>) -> Result<Option<Environment>> {
    let Some(variables) = fields.object("environmentVariables")? else { return Ok(None) };
    let mut values = BTreeMap::new();
    for name in variables.names() {
        let variable = variables
            .object(name)?
            .ok_or_else(|| Error::field_format(&variables.path_of(name), "must be an object with a 'value'"))?;
        values.insert(name.to_owned(), variable.required("value")?);
    }
    // 1402 and not 15, because Lambda itself would refuse it.
    let refused =
        |rule| Error::new(ErrorKind::InvalidFunctionConfiguration, format!("In 'environmentVariables', {rule}."));
    Environment::parse(values).map(Some).map_err(refused)
}

fn secrets(fields: &Fields<'_>) -> Result<Option<Secrets>> {
    let Some(references) = fields.object("secrets")? else {
        return Ok(fields.has("secrets").then(Secrets::default));
    };
    let mut secrets = BTreeMap::new();
    for name in references.names() {
        secrets.insert(name.to_owned(), references.required(name)?);
    }
    let refused = |rule| Error::new(ErrorKind::InvalidFunctionConfiguration, format!("In 'secrets', {rule}."));
    Secrets::new(secrets).map(Some).map_err(refused)
}

fn aws_options(fields: &Fields<'_>) -> Result<Option<Option<AwsOptions>>> {
    let Some(aws) = fields.object("aws")? else { return Ok(fields.has("aws").then_some(None)) };
    let vpc = match aws.object("vpc")? {
        None => None,
        Some(vpc) => {
            Some(Vpc { subnet_ids: vpc.required("subnetIds")?, security_group_ids: vpc.required("securityGroupIds")? })
        }
    };
    Ok(Some(Some(AwsOptions {
        role: aws.optional("role")?,
        architecture: aws.optional("architecture")?,
        ephemeral_storage: aws.optional("ephemeralStorage")?,
        layers: aws.optional("layers")?,
        vpc,
        tracing: aws.optional("tracing")?,
        log_retention_days: aws.optional("logRetentionDays")?,
        snap_start: aws.optional("snapStart")?,
    })))
}

fn retry_policy(fields: &Fields<'_>) -> Result<Option<RetryPolicyChange>> {
    let Some(policy) = fields.object("retryPolicy")? else { return Ok(None) };
    Ok(Some(RetryPolicyChange {
        enabled: policy.optional("enabled")?.unwrap_or_default(),
        errors_to_retry: policy.optional("errorsToRetry")?.unwrap_or_default(),
        errors_not_to_retry: policy.clearable("errorsNotToRetry")?,
        strategy: match policy.object("strategy")? {
            Some(strategy) => Some(Some(retry_strategy(&strategy)?)),
            None if policy.has("strategy") => Some(None),
            None => None,
        },
    }))
}

fn retry_strategy(fields: &Fields<'_>) -> Result<RetryStrategy> {
    let strategy = RetryStrategyFields {
        max_retries: fields.optional("maxRetries")?,
        backoff: fields.optional("backoff")?,
        base_seconds: fields.optional("baseSeconds")?,
        max_seconds: fields.optional("maxSeconds")?,
        jitter: fields.optional("jitter")?,
    };
    strategy.try_into().map_err(|contradiction| {
        Error::new(ErrorKind::IllegalArgument, format!("In 'retryPolicy.strategy', {contradiction}."))
    })
}

fn timeouts(fields: &Fields<'_>) -> Result<Option<TimeoutsUpdate>> {
    Ok(match fields.object("timeouts")? {
        Some(timeouts) => Some(TimeoutsUpdate { queued: timeouts.clearable("queued")? }),
        None if fields.has("timeouts") => Some(TimeoutsUpdate { queued: Some(None) }),
        None => None,
    })
}

fn flow_option(fields: &Fields<'_>) -> Result<Option<Option<Flow>>> {
    Ok(match fields.object("flow")? {
        Some(found) => Some(Some(Flow::from_fields(&found)?)),
        None if fields.has("flow") => Some(None),
        None => None,
    })
}

fn execution_options(fields: &Fields<'_>) -> Result<Option<ExecutionOptionsUpdate>> {
    let Some(options) = fields.object("executionOptions")? else { return Ok(None) };
    Ok(Some(ExecutionOptionsUpdate {
        permission_mode: options.optional("permissionMode")?,
        default_priority: options.optional("defaultPriority")?,
        concurrency_limit: options.clearable("concurrencyLimit")?,
    }))
}

impl TryFrom<FunctionCreation> for NewFunction {
    type Error = Error;

    fn try_from(body: FunctionCreation) -> Result<Self> {
        let FunctionCreation { code, code_upload_id, entry_point, runtime, image, .. } = body;
        refuse_beside_image(
            image.as_ref(),
            &[code.is_some(), code_upload_id.is_some(), entry_point.is_some(), runtime.is_some()],
        )?;
        let program = match image {
            Some(image) => NewProgram::Image(image),
            None => NewProgram::Zip {
                code: sent_code(code, code_upload_id)?.ok_or_else(|| Error::missing_fields(&["code"]))?,
                entry_point: entry_point.ok_or_else(|| Error::missing_fields(&["entryPoint"]))?,
                runtime: runtime.ok_or_else(|| Error::missing_fields(&["runtime"]))?,
            },
        };
        Ok(Self { name: body.name, program, options: body.options.into(), label: body.label, by: None })
    }
}

impl TryFrom<FunctionUpdate> for FunctionChange {
    type Error = Error;

    fn try_from(body: FunctionUpdate) -> Result<Self> {
        let FunctionUpdate { code, code_upload_id, entry_point, runtime, image, .. } = body;
        refuse_beside_image(
            image.as_ref(),
            &[code.is_some(), code_upload_id.is_some(), entry_point.is_some(), runtime.is_some()],
        )?;
        Ok(Self {
            code: sent_code(code, code_upload_id)?,
            entry_point,
            runtime,
            image,
            options: body.options.into(),
            label: body.label,
            publish_only: body.publish_only.unwrap_or_default(),
            by: None,
        })
    }
}

/// An image takes the place of these fields, of which each is there or not.
fn refuse_beside_image(image: Option<&ImageReference>, others: &[bool]) -> Result<()> {
    if image.is_none() || !others.contains(&true) {
        return Ok(());
    }
    let message = "A Function has either an 'image', or code with 'entryPoint' and 'runtime': leave one of them out.";
    Err(Error::new(ErrorKind::IllegalArgument, message))
}

fn sent_code(code: Option<Code>, upload: Option<UploadId>) -> Result<Option<SentCode>> {
    match (code, upload) {
        (Some(_), Some(_)) => {
            let message = "A Function has either 'code' or 'codeUploadId': leave one of them out.";
            Err(Error::new(ErrorKind::IllegalArgument, message))
        }
        (Some(Code(zip)), None) => Ok(Some(SentCode::Zip(zip))),
        (None, upload) => Ok(upload.map(SentCode::Upload)),
    }
}

impl From<Options> for FunctionOptions {
    fn from(options: Options) -> Self {
        let (permission_mode, default_priority, concurrency_limit) = match options.execution_options {
            Some(options) => (options.permission_mode, options.default_priority, options.concurrency_limit),
            None => (None, None, None),
        };
        Self {
            description: options.description.map(|text| text.map_or_else(String::new, |Description(text)| text)),
            time_limit: options.time_limit,
            memory_limit: options.memory_limit,
            environment: options.environment_variables,
            secrets: options.secrets,
            aws: options.aws,
            retry_policy: options.retry_policy,
            queued_timeout: options.timeouts.and_then(|timeouts| timeouts.queued),
            permission_mode,
            default_priority,
            concurrency_limit,
            store_result: options.store_result,
            events: options.events.map(Option::unwrap_or_default),
            flow: options.flow,
            data_schema: options.data_schema,
            result_schema: options.result_schema,
        }
    }
}
