//! `/tasklane/v1/functions/{functionName}/versions`, `…/rollback` and `…/canary`: the versions of a Function (contract §18).
//! These endpoints have no counterpart upstream.

use std::collections::BTreeMap;

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, header};
use serde::Serialize;
use tasklane_model::{
    AffectedRecords, AwsOptions, CanaryPercent, CanaryRuns, CodeSha256, Configuration, EntryPoint, Error, ErrorKind,
    ExecutionOptions, FailWhen, ImageReference, JsonSchema, MemoryLimit, Page, PageWindow, Result, RetryPolicy,
    Runtime, SecretReference, Secrets, TaskEvents, TimeLimit, Timeouts, Timestamp, UserId, VersionField, VersionLabel,
    VersionNumber,
};
use tasklane_ports::HeldCode;
use tasklane_service::{ListedVersion, NewCanary, Service};
use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder,
        response::{Response as ResponseDoc, ResponseBuilder},
        schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type},
    },
};

use super::functions::details::{CanaryState, EnvironmentVariable, parts_of};
use crate::{
    access::{
        Allowed,
        permission::{UpdateTaskFunction, ViewTaskFunctionDetails},
    },
    answer::{Answer, Json, Unstored, elsewhere},
    body::Fields,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    openapi::Schemas,
    params::{Name, NamedVersion, UnreadQuery},
};

pub fn endpoints() -> Vec<Endpoint> {
    const VERSIONS: &str = "/tasklane/v1/functions/{functionName}/versions";
    const ONE: &str = "/tasklane/v1/functions/{functionName}/versions/{version}";
    const CODE: &str = "/tasklane/v1/functions/{functionName}/versions/{version}/code";
    const ROLLBACK: &str = "/tasklane/v1/functions/{functionName}/rollback";
    const CANARY: &str = "/tasklane/v1/functions/{functionName}/canary";
    let unknown = [ErrorKind::ResourceUnknown, ErrorKind::VersionUnknown];
    let changes = [ErrorKind::ResourceUnknown, ErrorKind::VersionUnknown, ErrorKind::ConflictingUpdate];
    let endpoints = vec![
        Endpoint::new(Method::GET, VERSIONS, "listFunctionVersions", list)
            .summary("List the versions of a Function")
            .about(
                "Newest first, at most a hundred besides the current one. Each change of its code or its configuration is one; \
                 enabling, disabling and its flow are none.",
            )
            .fails(&[ErrorKind::ResourceUnknown]),
        Endpoint::new(Method::GET, ONE, "getFunctionVersion", get)
            .summary("Read a version of a Function")
            .fails(&unknown),
        Endpoint::new(Method::GET, CODE, "getFunctionVersionCode", code)
            .summary("Download the code of a version")
            .about("The zip as it was uploaded; a version that runs an image has none (1504). On AWS the answer is status 303, and a `Location` that needs no credential and is valid for some minutes.")
            .fails(&unknown),
        Endpoint::new(Method::POST, ROLLBACK, "rollBackFunction", roll_back)
            .summary("Roll a Function back to a version")
            .about(
                "Makes a new version that is equal to that one, atomically like an update. Nothing changes if the Function is equal \
                 to it already. Also the way forward, to a version that was only published.",
            )
            .fails(&changes),
        Endpoint::new(Method::POST, CANARY, "startCanary", start_canary)
            .summary("Give a part of the runs to a version")
            .about(
                "That version runs them with its code and the configuration that Lambda holds: entry point, runtime, limits and \
                 environment. Everything else is the current version's. The first Task of a chain decides, so retries stay on \
                 their version. It replaces a canary that is running, and ends when another version becomes current.",
            )
            .fails(&changes),
        Endpoint::new(Method::DELETE, CANARY, "stopCanary", stop_canary)
            .summary("Stop the canary of a Function")
            .about("Every run gets the current version again. Nothing happens if there is no canary.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::ConflictingUpdate]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Functions")).collect()
}

async fn list(
    service: Service,
    _: Allowed<ViewTaskFunctionDetails>,
    (Name(name), UnreadQuery(query)): (Name, UnreadQuery),
) -> Result<Json<Page<Version>>> {
    let data: Vec<_> = service.list_versions(&name).await?.iter().map(Version::of).collect();
    let total = data.len() as u64;
    let page = PageWindow { total: Some(total), limit: total, ..PageWindow::default() };
    Ok(Json::of(Page { query, page, data }))
}

async fn get(
    service: Service,
    _: Allowed<ViewTaskFunctionDetails>,
    NamedVersion(name, number): NamedVersion,
) -> Result<Json<VersionDetails>> {
    service.get_version(&name, number).await.map(|version| Json::of(version.into()))
}

async fn code(
    service: Service,
    _: Allowed<ViewTaskFunctionDetails>,
    NamedVersion(name, number): NamedVersion,
) -> Result<Unstored<Code>> {
    service.version_code(&name, number).await.map(|code| Unstored(Code(code)))
}

async fn roll_back(
    service: Service,
    access: Allowed<UpdateTaskFunction>,
    Name(name): Name,
    JsonBody(body): JsonBody<Rollback>,
) -> Result<Json<Version>> {
    let by = access.caller().user_id().cloned();
    service.roll_back(&name, body.to, by).await.map(|version| Json::of(Version::of(&version)))
}

async fn start_canary(
    service: Service,
    _: Allowed<UpdateTaskFunction>,
    Name(name): Name,
    JsonBody(body): JsonBody<CanaryStart>,
) -> Result<Json<CanaryState>> {
    service.start_canary(&name, body.into()).await.map(|canary| Json::of(CanaryState::of(&canary)))
}

async fn stop_canary(
    service: Service,
    _: Allowed<UpdateTaskFunction>,
    Name(name): Name,
) -> Result<Json<AffectedRecords>> {
    service.stop_canary(&name).await.map(Json::of)
}

/// A version of a Function.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FunctionVersion)]
pub struct Version {
    /// Its number, counted from 1.
    number: VersionNumber,
    /// When it was made.
    created_timestamp: Timestamp,
    /// The user who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by_user_id: Option<UserId>,
    /// The SHA-256 of its code, in base64: of the zip, or the digest of the image.
    #[schema(value_type = String)]
    code_sha256: CodeSha256,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<VersionLabel>,
    /// In what it differs from the version before it.
    changed: Vec<VersionField>,
    /// When another version took its place. Absent for the current one, and for one that was only published.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_timestamp: Option<Timestamp>,
    /// Whether the Function is this version.
    current: bool,
    /// Whether the Function can be rolled back to it, and whether it can be tried.
    runnable: bool,
}

impl Version {
    fn of(listed: &ListedVersion) -> Self {
        let note = listed.version.note.clone();
        Self {
            number: note.number,
            created_timestamp: note.created_timestamp,
            created_by_user_id: note.created_by_user_id,
            code_sha256: listed.version.deployment.code_sha256,
            label: note.label,
            changed: note.changed,
            replaced_timestamp: listed.replaced,
            current: listed.current,
            runnable: listed.runnable,
        }
    }
}

/// A version of a Function with its configuration.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FunctionVersionDetails)]
pub struct VersionDetails {
    #[serde(flatten)]
    #[schema(inline)]
    version: Version,
    /// What the Function is for. Empty by default.
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
    /// Whether the results of its Tasks are kept. Absent if that was never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_result: Option<bool>,
    /// What its Tasks publish besides `task_failed`.
    #[serde(skip_serializing_if = "TaskEvents::is_empty")]
    #[schema(required = false)]
    events: TaskEvents,
    /// What the `data` of its Tasks must look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_schema: Option<JsonSchema>,
    /// What its results look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_schema: Option<JsonSchema>,
}

impl From<ListedVersion> for VersionDetails {
    fn from(listed: ListedVersion) -> Self {
        let version = Version::of(&listed);
        let listed = listed.version;
        let Configuration { description, program, time_limit, memory_limit, environment, secrets, aws } =
            listed.configuration;
        let (entry_point, runtime, image) = parts_of(program);
        Self {
            version,
            description: description.unwrap_or_default(),
            entry_point,
            runtime,
            image,
            time_limit,
            memory_limit,
            environment_variables: EnvironmentVariable::all(&environment),
            secrets,
            aws,
            retry_policy: listed.retry_policy,
            execution_options: listed.execution_options,
            timeouts: listed.timeouts,
            store_result: listed.store_result,
            events: listed.events,
            data_schema: listed.data_schema,
            result_schema: listed.result_schema,
        }
    }
}

/// The version to roll back to.
#[derive(ToSchema)]
pub struct Rollback {
    /// Its number.
    to: VersionNumber,
}

impl FromFields for Rollback {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self { to: fields.required("to")? })
    }
}

/// A version to be tried.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CanaryStart {
    /// Its number.
    version: VersionNumber,
    /// Which part of the runs it gets, in percent.
    percent: CanaryPercent,
    /// When it ends by itself. Without it, only a caller ends it.
    fail_when: Option<FailWhen>,
}

impl FromFields for CanaryStart {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        fields.require(&["version", "percent"])?;
        Ok(Self {
            version: fields.required("version")?,
            percent: fields.required("percent")?,
            fail_when: fields.object("failWhen")?.map(|fail_when| fail_when_of(&fail_when)).transpose()?,
        })
    }
}

fn fail_when_of(fields: &Fields<'_>) -> Result<FailWhen> {
    fields.require(&["failures", "of"])?;
    let (failures, of): (CanaryRuns, CanaryRuns) = (fields.required("failures")?, fields.required("of")?);
    if failures > of {
        return Err(Error::field_format(&fields.path_of("failures"), "must be at most 'of'"));
    }
    Ok(FailWhen { failures, of })
}

impl From<CanaryStart> for NewCanary {
    fn from(body: CanaryStart) -> Self {
        Self { version: body.version, percent: body.percent, fail_when: body.fail_when }
    }
}

/// The code of a version.
#[derive(Debug)]
pub struct Code(HeldCode);

impl Answer for Code {
    fn into_response(self) -> Result<Response> {
        match self.0 {
            HeldCode::Bytes(zip) => {
                let mut response = Response::new(Body::from(zip));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
                headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                Ok(response)
            }
            HeldCode::Url(url) => elsewhere(url),
        }
    }

    fn response(_: &mut Schemas) -> ResponseDoc {
        let zip =
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        let content = ContentBuilder::new().schema(Some(zip)).build();
        ResponseBuilder::new().description("The zip.").content("application/zip", content).build()
    }
}
