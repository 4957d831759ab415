mod images;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use tasklane_model::{
    AwsOptions, CodeSha256, Configuration, EntryPoint, Environment, FunctionName, Runtime, SecretReference, Secrets,
};

use super::*;
use crate::{
    lambda::LambdaSettings,
    testing::{ReplayClient, Reply, SleeplessClock},
};

const LATEST: &str = "GET /2015-03-31/functions/dev-hello/configuration";
const VERSION_2: &str = "GET /2015-03-31/functions/dev-hello/configuration?Qualifier=2";
const VERSION_3: &str = "GET /2015-03-31/functions/dev-hello/configuration?Qualifier=3";
const FUNCTION: &str = "GET /2015-03-31/functions/dev-hello";
const CODE_OF_2: &str = "GET /2015-03-31/functions/dev-hello?Qualifier=2";
const CREATE: &str = "POST /2015-03-31/functions";
const UPDATE_CODE: &str = "PUT /2015-03-31/functions/dev-hello/code";
const UPDATE_CONFIG: &str = "PUT /2015-03-31/functions/dev-hello/configuration";
const PUBLISH: &str = "POST /2015-03-31/functions/dev-hello/versions";
const GET_ALIAS: &str = "GET /2015-03-31/functions/dev-hello/aliases/live";
const PUT_ALIAS: &str = "PUT /2015-03-31/functions/dev-hello/aliases/live";
const CREATE_ALIAS: &str = "POST /2015-03-31/functions/dev-hello/aliases";
const DELETE: &str = "DELETE /2015-03-31/functions/dev-hello";
const CREATE_GROUP: &str = "Logs_20140328.CreateLogGroup";
const RETENTION: &str = "Logs_20140328.PutRetentionPolicy";
const PARAMETERS: &str = "AmazonSSM.GetParameters";
const SECRET: &str = "secretsmanager.GetSecretValue";

const ZIP: &[u8] = b"PK new";
const OLD_ZIP: &[u8] = b"PK old";

fn spec() -> FunctionSpec {
    let entry_point = EntryPoint::parse("index.handler").unwrap();
    let mut configuration = Configuration::new(entry_point, Runtime::new("nodejs22.x"));
    configuration.environment = Environment::parse(BTreeMap::from([("GREETING".to_owned(), "hi".to_owned())])).unwrap();
    FunctionSpec { name: FunctionName::parse("hello").unwrap(), configuration }
}

/// The state of `hello` in Lambda: the wanted one, except for `changes`.
fn held(code: &[u8], changes: Value) -> Value {
    let mut held = json!({
        "FunctionName": "dev-hello", "Runtime": "nodejs22.x", "Role": "arn:aws:iam::1:role/functions",
        "Handler": "index.handler", "Description": "", "Timeout": 30, "MemorySize": 128,
        "Environment": { "Variables": { "GREETING": "hi" } }, "Architectures": ["arm64"],
        "CodeSha256": CodeSha256::of(code), "RevisionId": "rev-1", "State": "Active", "LastUpdateStatus": "Successful",
    });
    for (field, value) in changes.as_object().unwrap() {
        held[field] = value.clone();
    }
    held
}

fn stands(code: &[u8]) -> Reply {
    Reply::ok(held(code, json!({})))
}

fn with(code: &[u8], changes: Value) -> Reply {
    Reply::ok(held(code, changes))
}

fn missing() -> Reply {
    Reply::error(404, "ResourceNotFoundException", "Function not found")
}

fn tagged(prefix: &str) -> Reply {
    Reply::ok(json!({ "Tags": { PREFIX_TAG: prefix } }))
}

fn published(version: &str) -> [Reply; 2] {
    [with(ZIP, json!({ "Version": version })), with(ZIP, json!({ "Version": version }))]
}

fn current() -> Deployment {
    Deployment { version: "2".into(), code_sha256: CodeSha256::of(OLD_ZIP) }
}

struct Deployed {
    result: Result<Deployment, DeployError>,
    wire: ReplayClient,
    waited: Duration,
}

/// What was asked of Lambda, and of the log group when it was created.
fn asked(wire: &ReplayClient) -> Vec<String> {
    let asked = wire.asked();
    asked.strip_prefix(&[RETENTION.to_owned()]).unwrap_or(&asked).to_vec()
}

fn adapter(wire: &ReplayClient, clock: std::sync::Arc<SleeplessClock>) -> AwsLambda {
    let settings = LambdaSettings {
        prefix: "dev".into(),
        execution_role: "arn:aws:iam::1:role/functions".into(),
        architecture: aws_sdk_lambda::types::Architecture::Arm64,
        log_retention_days: Some(30),
        allow_vpc: false,
        code_bucket: None,
    };
    let downloads = aws_smithy_runtime_api::client::http::SharedHttpConnector::new(wire.clone());
    AwsLambda::new(&wire.sdk_config(), downloads, settings, clock)
}

async fn deploy(
    replies: impl IntoIterator<Item = Reply>,
    code: Option<&'static [u8]>,
    current: Option<Deployment>,
) -> Deployed {
    deploy_as(&spec(), replies, code, current).await
}

async fn deploy_as(
    spec: &FunctionSpec,
    replies: impl IntoIterator<Item = Reply>,
    code: Option<&'static [u8]>,
    current: Option<Deployment>,
) -> Deployed {
    // A Function that exists first gets its retention again.
    let renewed = current.iter().map(|_| Reply::ok(json!({})));
    let wire = ReplayClient::replaying(renewed.chain(replies));
    let started = "2026-01-31T08:00:00Z";
    let clock = SleeplessClock::at(started);
    let adapter = adapter(&wire, clock.clone());
    let result =
        adapter.deploy_function(spec, code.map(|code| Bytes::from_static(code).into()), current.as_ref()).await;
    wire.assert_used_up();
    use tasklane_ports::Clock as _;
    Deployed { result, wire, waited: clock.now().since(started.parse().unwrap()) }
}

#[tokio::test]
async fn a_new_function_is_awaited_and_published() {
    let replies = [
        missing(),
        Reply::ok(json!({})),
        Reply::ok(json!({})),
        Reply::ok(json!({ "State": "Pending" })),
        with(ZIP, json!({ "State": "Pending", "StateReason": "The function is being created." })),
        stands(ZIP),
        with(ZIP, json!({ "Version": "3" })),
        with(ZIP, json!({ "Version": "3", "State": "Pending" })),
        with(ZIP, json!({ "Version": "3" })),
    ];
    let done = deploy(replies, Some(ZIP), None).await;
    assert_eq!(done.result.unwrap(), Deployment { version: "3".into(), code_sha256: CodeSha256::of(ZIP) });
    assert_eq!(
        asked(&done.wire),
        [LATEST, CREATE_GROUP, RETENTION, CREATE, LATEST, LATEST, PUBLISH, VERSION_3, VERSION_3]
    );
    assert!(done.waited < Duration::from_secs(1), "looks before it waits: {:?}", done.waited);
    assert_eq!(
        done.wire.bodies(CREATE)[0],
        json!({
            "FunctionName": "dev-hello", "Runtime": "nodejs22.x", "Role": "arn:aws:iam::1:role/functions",
            "Handler": "index.handler", "Description": "", "Timeout": 30, "MemorySize": 128, "Architectures": ["arm64"],
            "Environment": { "Variables": { "GREETING": "hi" } }, "Code": { "ZipFile": "UEsgbmV3" },
            "Tags": { "tasklane:prefix": "dev" },
        })
    );
    assert_eq!(
        done.wire.bodies(RETENTION)[0],
        json!({ "logGroupName": "/aws/lambda/dev-hello", "retentionInDays": 30 })
    );
    assert_eq!(done.wire.bodies(PUBLISH)[0], json!({ "CodeSha256": CodeSha256::of(ZIP), "RevisionId": "rev-1" }));
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed() {
    let done = deploy([stands(OLD_ZIP)], Some(OLD_ZIP), Some(current())).await;
    assert_eq!(done.result.unwrap(), current());
    assert_eq!(asked(&done.wire), [VERSION_2]);
    let done = deploy([stands(OLD_ZIP)], None, Some(current())).await;
    assert_eq!(done.result.unwrap(), current());
}

#[tokio::test]
async fn the_alias_is_moved_only_if_it_names_another_version_and_made_if_it_is_gone() {
    let at = |version: &str| Reply::ok(json!({ "Name": "live", "FunctionVersion": version }));
    let cases: [(Vec<Reply>, &[&str]); 3] = [
        (vec![at("2")], &[GET_ALIAS]),
        (vec![at("1"), at("2")], &[GET_ALIAS, PUT_ALIAS]),
        (vec![missing(), at("2")], &[GET_ALIAS, CREATE_ALIAS]),
    ];
    for (replies, asked) in cases {
        let wire = ReplayClient::replaying(replies);
        let adapter = adapter(&wire, SleeplessClock::at("2026-01-31T08:00:00Z"));
        adapter.point_live_at(&spec().name, &current()).await.unwrap();
        wire.assert_used_up();
        assert_eq!(wire.asked(), asked);
    }
}

#[tokio::test]
async fn code_and_configuration_are_written_only_if_they_changed() {
    let other = json!({ "Timeout": 3, "RevisionId": "rev-2" });
    let replies = [
        with(OLD_ZIP, other.clone()),
        with(OLD_ZIP, other.clone()),
        Reply::ok(json!({})),
        with(ZIP, other),
        Reply::ok(json!({})),
        stands(ZIP),
    ];
    let done = deploy(replies.into_iter().chain(published("3")), Some(ZIP), Some(current())).await;
    assert_eq!(done.result.unwrap().version, "3");
    assert_eq!(asked(&done.wire), [VERSION_2, LATEST, UPDATE_CODE, LATEST, UPDATE_CONFIG, LATEST, PUBLISH, VERSION_3]);
    assert_eq!(done.wire.bodies(UPDATE_CODE)[0]["RevisionId"], "rev-2");

    let replies = [stands(OLD_ZIP), stands(OLD_ZIP), Reply::ok(json!({})), stands(ZIP)];
    let done = deploy(replies.into_iter().chain(published("3")), Some(ZIP), Some(current())).await;
    assert!(!asked(&done.wire).contains(&UPDATE_CONFIG.to_owned()));
}

#[tokio::test]
async fn an_update_in_progress_is_waited_for() {
    let busy = || with(ZIP, json!({ "LastUpdateStatus": "InProgress" }));
    let replies = [stands(OLD_ZIP), stands(OLD_ZIP), Reply::ok(json!({})), busy(), busy(), stands(ZIP)];
    let done = deploy(replies.into_iter().chain(published("3")), Some(ZIP), Some(current())).await;
    assert_eq!(done.result.unwrap().version, "3");
    assert_eq!(done.waited, Duration::from_millis(300));
}

#[tokio::test]
async fn a_concurrent_deployment_is_noticed_and_not_mixed_with() {
    let replies = [
        stands(OLD_ZIP),
        stands(OLD_ZIP),
        Reply::error(409, "ResourceConflictException", "An update is in progress"),
        // Somebody else's code and configuration.
        with(b"PK other", json!({ "Handler": "other.handler", "RevisionId": "rev-9" })),
        Reply::error(412, "PreconditionFailedException", "The RevisionId provided does not match"),
        with(b"PK other", json!({ "Handler": "other.handler", "RevisionId": "rev-10" })),
        Reply::ok(json!({})),
        with(ZIP, json!({ "Handler": "other.handler", "RevisionId": "rev-11" })),
        Reply::ok(json!({})),
        stands(ZIP),
        Reply::error(412, "PreconditionFailedException", "The RevisionId provided does not match"),
        stands(ZIP),
    ];
    let done = deploy(replies.into_iter().chain(published("3")), Some(ZIP), Some(current())).await;
    assert_eq!(done.result.unwrap().version, "3");
    let revisions: Vec<_> = done.wire.bodies(UPDATE_CODE).iter().map(|body| body["RevisionId"].clone()).collect();
    assert_eq!(revisions, ["rev-1", "rev-9", "rev-10"]);
}

#[tokio::test]
async fn a_creation_that_fails_says_why_and_leaves_nothing() {
    let replies = [
        missing(),
        Reply::error(400, "ResourceAlreadyExistsException", "The specified log group already exists"),
        Reply::ok(json!({})),
        Reply::ok(json!({ "State": "Pending" })),
        with(
            ZIP,
            json!({ "State": "Failed", "StateReasonCode": "InvalidZipFileException", "StateReason": "Lambda could not unzip it." }),
        ),
        Reply::Answer(204, vec![], String::new()),
    ];
    let done = deploy(replies, Some(ZIP), None).await;
    assert!(
        matches!(done.result, Err(DeployError::InvalidCode(message)) if message.contains("Lambda could not unzip it"))
    );
    assert_eq!(asked(&done.wire).last().unwrap(), DELETE);
}

#[tokio::test]
async fn an_update_that_fails_says_why_and_keeps_the_function() {
    let failed = json!({ "LastUpdateStatus": "Failed", "LastUpdateStatusReasonCode": "InvalidConfiguration", "LastUpdateStatusReason": "No." });
    let replies = [stands(OLD_ZIP), stands(OLD_ZIP), Reply::ok(json!({})), with(ZIP, failed)];
    let done = deploy(replies, Some(ZIP), Some(current())).await;
    assert!(matches!(done.result, Err(DeployError::InvalidConfiguration(message)) if message.contains("No")));
    assert!(!asked(&done.wire).contains(&DELETE.to_owned()));
}

#[tokio::test]
async fn an_interrupted_deployment_is_continued() {
    // First a function that was created but never published, then one whose last update failed.
    let done = deploy([stands(ZIP), tagged("dev")].into_iter().chain(published("3")), Some(ZIP), None).await;
    assert_eq!(done.result.unwrap().version, "3");
    assert_eq!(asked(&done.wire), [LATEST, FUNCTION, PUBLISH, VERSION_3]);

    let broken = with(ZIP, json!({ "LastUpdateStatus": "Failed" }));
    let replies = [broken, tagged("dev"), Reply::ok(json!({})), stands(ZIP)];
    let done = deploy(replies.into_iter().chain(published("3")), Some(ZIP), None).await;
    assert_eq!(asked(&done.wire)[2], UPDATE_CODE);
    assert!(done.result.is_ok());
}

#[tokio::test]
async fn a_foreign_function_with_the_same_name_is_left_alone() {
    let done = deploy([stands(ZIP), tagged("other")], Some(ZIP), None).await;
    assert!(
        matches!(done.result, Err(DeployError::InvalidConfiguration(message)) if message.contains("does not belong to this deployment"))
    );
}

#[tokio::test]
async fn code_left_behind_by_a_dead_deployment_is_not_published_with_a_configuration() {
    let replies = [
        // The published version has another time limit, and $LATEST has code that was never published.
        with(OLD_ZIP, json!({ "Timeout": 3 })),
        with(b"PK unpublished", json!({ "Timeout": 3 })),
        Reply::ok(json!({ "Code": { "Location": "https://bucket.s3.eu-west-1.amazonaws.com/code.zip" } })),
        Reply::Answer(200, vec![], "PK old".to_owned()),
        Reply::ok(json!({})),
        with(OLD_ZIP, json!({ "Timeout": 3 })),
        Reply::ok(json!({})),
        stands(OLD_ZIP),
        with(OLD_ZIP, json!({ "Version": "3" })),
        with(OLD_ZIP, json!({ "Version": "3" })),
    ];
    let done = deploy(replies, None, Some(current())).await;
    assert_eq!(done.result.unwrap(), Deployment { version: "3".into(), code_sha256: CodeSha256::of(OLD_ZIP) });
    assert_eq!(asked(&done.wire)[2..5], [CODE_OF_2, "GET /code.zip", UPDATE_CODE]);
}

#[tokio::test]
async fn a_new_role_is_waited_for() {
    let replies = [
        missing(),
        Reply::ok(json!({})),
        Reply::ok(json!({})),
        Reply::error(
            400,
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ),
        missing(),
        Reply::ok(json!({})),
        Reply::ok(json!({})),
        Reply::ok(json!({ "State": "Active" })),
        stands(ZIP),
    ];
    let done = deploy(replies.into_iter().chain(published("3")), Some(ZIP), None).await;
    assert_eq!(done.result.unwrap().version, "3");
}

#[tokio::test]
async fn throttling_is_retried_and_then_reported_with_its_request_id() {
    let throttled = || Reply::error(429, "TooManyRequestsException", "Rate exceeded");
    let done = deploy([throttled(), stands(OLD_ZIP)], Some(OLD_ZIP), Some(current())).await;
    assert_eq!(done.result.unwrap(), current());

    let done = deploy([throttled(), throttled(), throttled()], Some(OLD_ZIP), Some(current())).await;
    let Err(DeployError::Port(error)) = done.result else { panic!("no caller's fault") };
    assert!(error.to_string().contains("Rate exceeded") && error.to_string().contains("req-error"), "{error}");
}

#[tokio::test]
async fn a_change_that_takes_too_long_is_given_up_before_the_gateway_times_out() {
    let busy = || {
        with(
            OLD_ZIP,
            json!({ "LastUpdateStatus": "InProgress", "LastUpdateStatusReason": "The function is being updated." }),
        )
    };
    let replies = std::iter::once(with(OLD_ZIP, json!({ "Timeout": 3 }))).chain(std::iter::repeat_with(busy).take(28));
    let done = deploy(replies, None, Some(current())).await;
    let Err(DeployError::Conflict(why)) = done.result else { panic!("somebody else's change") };
    assert!(why.contains("The function is being updated"), "{why}");
    assert!(done.waited >= PATIENCE && done.waited < PATIENCE + Duration::from_secs(2), "{:?}", done.waited);
}

#[tokio::test]
async fn an_unfinished_change_of_its_own_is_not_a_conflict() {
    let busy = || with(ZIP, json!({ "LastUpdateStatus": "InProgress" }));
    let replies = [stands(OLD_ZIP), stands(OLD_ZIP), Reply::ok(json!({}))].into_iter();
    let done = deploy(replies.chain(std::iter::repeat_with(busy).take(28)), Some(ZIP), Some(current())).await;
    let Err(DeployError::Port(error)) = done.result else { panic!("no caller's fault") };
    assert!(error.to_string().contains("has not finished in time"), "{error}");
}

#[tokio::test]
async fn a_concurrently_deleted_function_is_created_again_and_one_taken_over_by_others_is_kept() {
    let replies = [
        stands(OLD_ZIP),
        stands(OLD_ZIP),
        // The function is gone when its code should be updated.
        Reply::error(404, "ResourceNotFoundException", "Function not found"),
        missing(),
        Reply::ok(json!({})),
        Reply::ok(json!({})),
        Reply::ok(json!({})),
        stands(ZIP),
    ];
    let done = deploy(replies.into_iter().chain(published("3")), Some(ZIP), Some(current())).await;
    assert_eq!(done.result.unwrap().version, "3");
    assert!(asked(&done.wire).contains(&CREATE.to_owned()));

    let conflict =
        || [stands(ZIP), Reply::error(409, "ResourceConflictException", "An update is in progress")].into_iter();
    let replies = [missing(), Reply::ok(json!({})), Reply::ok(json!({})), Reply::ok(json!({}))].into_iter();
    let conflicts = std::iter::repeat_with(conflict).flatten().take(98);
    let done = deploy(replies.chain(conflicts), Some(ZIP), None).await;
    assert!(matches!(done.result, Err(DeployError::Conflict(_))), "{:?}", done.result);
    assert!(!asked(&done.wire).contains(&DELETE.to_owned()), "others use it by now");
}

#[tokio::test]
async fn a_name_too_long_for_the_prefix_makes_no_call() {
    let wire = ReplayClient::replaying([]);
    let mut spec = spec();
    spec.name = FunctionName::parse("a".repeat(61)).unwrap();
    let settings = LambdaSettings {
        prefix: "dev".into(),
        execution_role: String::new(),
        architecture: aws_sdk_lambda::types::Architecture::Arm64,
        log_retention_days: None,
        allow_vpc: false,
        code_bucket: None,
    };
    let downloads = aws_smithy_runtime_api::client::http::SharedHttpConnector::new(wire.clone());
    let adapter = AwsLambda::new(&wire.sdk_config(), downloads, settings, SleeplessClock::at("2026-01-31T08:00:00Z"));
    assert!(matches!(
        adapter.deploy_function(&spec, Some(Bytes::from_static(ZIP).into()), None).await,
        Err(DeployError::InvalidConfiguration(_))
    ));
}

fn with_options(change: impl FnOnce(&mut Configuration)) -> FunctionSpec {
    let mut spec = spec();
    change(&mut spec.configuration);
    spec
}

fn options() -> AwsOptions {
    serde_json::from_value(json!({
        "role": "arn:aws:iam::123456789012:role/tasklane/dev/hello", "architecture": "x86_64", "ephemeralStorage": 2048,
        "layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:b:2", "arn:aws:lambda:eu-west-1:123456789012:layer:a:1"],
        "tracing": "Active", "logRetentionDays": 7, "snapStart": "PublishedVersions",
    }))
    .unwrap()
}

/// The same in Lambda's words, as requests have it.
fn options_in_lambda() -> Value {
    json!({
        "Role": "arn:aws:iam::123456789012:role/tasklane/dev/hello", "EphemeralStorage": { "Size": 2048 },
        "Layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:b:2", "arn:aws:lambda:eu-west-1:123456789012:layer:a:1"],
        "TracingConfig": { "Mode": "Active" }, "SnapStart": { "ApplyOn": "PublishedVersions" },
    })
}

/// The state in Lambda of a Function with these options.
fn held_with_options(code: &[u8]) -> Value {
    let mut changes = options_in_lambda();
    changes["Architectures"] = json!(["x86_64"]);
    let arns = changes["Layers"].as_array().unwrap().iter().map(|arn| json!({ "Arn": arn, "CodeSize": 1 }));
    changes["Layers"] = arns.collect();
    held(code, changes)
}

#[tokio::test]
async fn options_for_aws_reach_lambda_and_leave_it_again() {
    let spec = with_options(|configuration| configuration.aws = Some(options()));
    let replies = [missing(), Reply::ok(json!({})), Reply::ok(json!({})), Reply::ok(json!({}))];
    let mut version = held_with_options(ZIP);
    version["Version"] = json!("3");
    let after = [held_with_options(ZIP), version.clone(), version].map(Reply::ok);
    let done = deploy_as(&spec, replies.into_iter().chain(after), Some(ZIP), None).await;
    assert_eq!(done.result.unwrap().version, "3");
    let created = &done.wire.bodies(CREATE)[0];
    for (field, value) in options_in_lambda().as_object().unwrap() {
        assert_eq!(created[field], *value, "{field}");
    }
    assert_eq!(created["Architectures"], json!(["x86_64"]));
    assert_eq!(done.wire.bodies(RETENTION)[0]["retentionInDays"], 7);

    // With the same options nothing is written, and without them Lambda's defaults are.
    let done = deploy_as(&spec, [Reply::ok(held_with_options(OLD_ZIP))], None, Some(current())).await;
    assert_eq!(asked(&done.wire), [VERSION_2]);
    let plain = json!({ "Architectures": ["arm64"] });
    let mut before = held_with_options(ZIP);
    before["Architectures"] = plain["Architectures"].clone();
    let replies = [Reply::ok(before.clone()), Reply::ok(before), Reply::ok(json!({})), stands(ZIP)];
    let done = deploy(replies.into_iter().chain(published("3")), Some(ZIP), Some(current())).await;
    assert_eq!(done.result.unwrap().version, "3");
    let removed = &done.wire.bodies(UPDATE_CONFIG)[0];
    for (field, value) in [
        ("Role", json!("arn:aws:iam::1:role/functions")),
        ("EphemeralStorage", json!({ "Size": 512 })),
        ("Layers", json!([])),
        ("TracingConfig", json!({ "Mode": "PassThrough" })),
        ("SnapStart", json!({ "ApplyOn": "None" })),
    ] {
        assert_eq!(removed[field], value, "{field}");
    }
    assert_eq!(done.wire.bodies(RETENTION)[0]["retentionInDays"], 30, "the stack's again");
}

#[tokio::test]
async fn what_the_stack_may_not_do_is_refused_without_a_call() {
    let network = json!({ "subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"] });
    for (aws, why) in [
        (json!({ "role": "arn:aws:iam::123456789012:role/tasklane/prod/hello" }), "not below the path /tasklane/dev/"),
        (json!({ "vpc": network }), "AllowVpc=true"),
    ] {
        let spec = with_options(|configuration| configuration.aws = Some(serde_json::from_value(aws).unwrap()));
        let done = deploy_as(&spec, [], Some(ZIP), None).await;
        let Err(DeployError::InvalidConfiguration(message)) = done.result else { panic!("{:?}", done.result) };
        assert!(message.contains(why), "{message}");
    }
}

fn secrets(secrets: &[(&str, &str)]) -> FunctionSpec {
    with_options(|configuration| {
        configuration.environment = Environment::default();
        let secrets = secrets.iter().map(|(name, at)| ((*name).to_owned(), SecretReference::parse(*at).unwrap()));
        configuration.secrets = Secrets::new(secrets.collect()).unwrap();
    })
}

#[tokio::test]
async fn secrets_are_read_once_each_and_set_as_variables() {
    let spec = secrets(&[
        ("PASSWORD", "secretsmanager:tasklane/dev/db#password"),
        ("PORT", "secretsmanager:tasklane/dev/db#port"),
        ("TOKEN", "ssm:/tasklane/dev/token"),
    ]);
    let replies = [
        Reply::ok(json!({ "Parameters": [{ "Name": "/tasklane/dev/token", "Value": "t0ken" }] })),
        Reply::ok(json!({ "SecretString": "{\"password\":\"s3cret\",\"port\":5432}" })),
        missing(),
        Reply::ok(json!({})),
        Reply::ok(json!({})),
        Reply::ok(json!({})),
    ];
    let variables = json!({ "PASSWORD": "s3cret", "PORT": "5432", "TOKEN": "t0ken" });
    let changes = json!({ "Environment": { "Variables": variables }, "Version": "3" });
    let after = std::iter::repeat_with(|| with(ZIP, changes.clone())).take(3);
    let done = deploy_as(&spec, replies.into_iter().chain(after), Some(ZIP), None).await;
    assert_eq!(done.result.unwrap().version, "3");
    assert_eq!(done.wire.bodies(CREATE)[0]["Environment"]["Variables"], variables);
    assert_eq!(done.wire.bodies(PARAMETERS), [json!({ "Names": ["/tasklane/dev/token"], "WithDecryption": true })]);
    assert_eq!(done.wire.bodies(SECRET), [json!({ "SecretId": "tasklane/dev/db" })]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_named_and_its_value_is_not() {
    let stored = |text: &str| Reply::ok(json!({ "SecretString": text }));
    let denied = "User: handler is not authorized to perform: kms:Decrypt";
    let cases = [
        ("ssm:/tasklane/prod/token", None, "reads only what is below tasklane/dev/"),
        (
            "ssm:/tasklane/dev/token",
            Some(Reply::ok(json!({ "InvalidParameters": ["/tasklane/dev/token"] }))),
            "it does not exist",
        ),
        (
            "secretsmanager:tasklane/dev/db",
            Some(Reply::error(400, "ResourceNotFoundException", "no")),
            "it does not exist",
        ),
        ("secretsmanager:tasklane/dev/db", Some(Reply::ok(json!({ "SecretBinary": "AA==" }))), "it is binary"),
        ("secretsmanager:tasklane/dev/db#key", Some(stored("s3cret")), "it is not a JSON object"),
        (
            "secretsmanager:tasklane/dev/db",
            Some(Reply::error(400, "AccessDeniedException", denied)),
            "its policy must let",
        ),
        ("secretsmanager:tasklane/dev/db", Some(stored(&"s3cret".repeat(700))), "Lambda accepts at most 4096"),
    ];
    for (at, reply, why) in cases {
        let done = deploy_as(&secrets(&[("TOKEN", at)]), reply, Some(ZIP), None).await;
        let Err(DeployError::InvalidConfiguration(message)) = done.result else { panic!("{at}: {:?}", done.result) };
        assert!(message.contains(why) && !message.contains("s3cret"), "{at}: {message}");
    }
}
