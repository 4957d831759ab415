use std::time::Duration;

use serde_json::json;
use tasklane_model::{CodeSha256, Deployment, FunctionName, ObjectId, TimeLimit, Timestamp};

use super::*;
use crate::{
    lambda::LambdaSettings,
    testing::{Counted, ReplayClient, Reply, SleeplessClock},
};

pub(super) fn settings() -> LambdaSettings {
    LambdaSettings {
        prefix: "dev".into(),
        execution_role: "arn:aws:iam::1:role/functions".into(),
        architecture: aws_sdk_lambda::types::Architecture::Arm64,
        log_retention_days: None,
        allow_vpc: false,
        code_bucket: None,
    }
}

fn adapter(wire: &ReplayClient) -> AwsLambda {
    let downloads = aws_smithy_runtime_api::client::http::SharedHttpConnector::new(wire.clone());
    AwsLambda::new(&wire.sdk_config(), downloads, settings(), SleeplessClock::at("2026-01-31T08:00:00Z"))
}

async fn run(wire: &ReplayClient, payload: &str) -> Result<Invocation, InvokeError> {
    run_on(&adapter(wire), payload).await
}

/// Runs the Function `hello`, which may take three seconds.
pub(super) async fn run_on(lambda: &AwsLambda, payload: &str) -> Result<Invocation, InvokeError> {
    let function = FunctionName::parse("hello").unwrap();
    let deployment = Deployment { version: "7".into(), code_sha256: CodeSha256::of(b"") };
    lambda
        .run(InvokeRequest {
            function: &function,
            deployment: &deployment,
            payload: Bytes::from(payload.to_owned()),
            correlation: ObjectId::first_at(Timestamp::EPOCH),
            time_limit: TimeLimit::new(3).unwrap(),
        })
        .await
}

fn answer(error: Option<&str>, payload: &str) -> Reply {
    let mut headers = vec![("x-amzn-requestid", "run-1".to_owned())];
    headers.extend(error.map(|error| ("x-amz-function-error", error.to_owned())));
    Reply::Answer(200, headers, payload.to_owned())
}

async fn failure(payload: &str) -> FunctionError {
    let wire = ReplayClient::replaying([answer(Some("Unhandled"), payload)]);
    match run(&wire, "{}").await.unwrap().outcome {
        Outcome::Failed(error) => error,
        Outcome::Returned(_) => panic!("it failed"),
    }
}

#[tokio::test]
async fn a_run_names_the_version_and_keeps_the_id() {
    let wire = ReplayClient::replaying([answer(None, "{\"a\":1.0}")]);
    let run = run(&wire, "{\"x\":1}").await.unwrap();
    assert_eq!(run.request_id, "run-1");
    assert!(matches!(run.outcome, Outcome::Returned(body) if body == "{\"a\":1.0}"));
    assert_eq!(wire.asked(), ["POST /2015-03-31/functions/dev-hello/invocations?Qualifier=7"]);
    assert_eq!(wire.bodies("POST /2015-03-31/functions/dev-hello/invocations?Qualifier=7"), [json!({ "x": 1 })]);
}

#[tokio::test]
async fn the_error_of_the_code_is_passed_on() {
    let error =
        failure(r#"{"errorType":"RangeError","errorMessage":"too far","trace":["RangeError: too far","    at x"]}"#)
            .await;
    assert_eq!((error.name.as_str(), error.message.as_str(), error.trace.len()), ("RangeError", "too far", 2));
    let error =
        failure(r#"{"errorType":"KeyError","errorMessage":"'a'","stackTrace":["  File"],"requestId":"run-1"}"#).await;
    assert_eq!((error.name.as_str(), error.message.as_str(), error.trace.len()), ("KeyError", "'a'", 1));
}

#[tokio::test]
async fn a_message_of_lambdas_own_is_the_same_for_every_run() {
    for payload in [
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: run-1 Error: Task timed out after 3.00 seconds"}"#,
        r#"{"errorMessage":"2026-01-31T08:15:30.123Z run-1 Task timed out after 3.00 seconds"}"#,
    ] {
        let error = failure(payload).await;
        assert_eq!(
            (error.name.as_str(), error.message.as_str()),
            ("Sandbox.Timedout", "Task timed out after 3.00 seconds")
        );
    }
    let error = failure(r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: run-1 Error: Runtime exited with error: exit status 1"}"#).await;
    assert_eq!(error.message, "Runtime exited with error: exit status 1");
    // A message of the user's code that mentions the run is unchanged.
    assert_eq!(failure(r#"{"errorType":"E","errorMessage":"run-1 is my id"}"#).await.message, "run-1 is my id");
    // Text that may be a stack trace is not used as the message.
    let cut = failure(r#"{"errorType":"E","errorMessage":"bad: \ud83d","trace":["E: bad","    at secret.js"]}"#).await;
    assert_eq!((cut.name.as_str(), cut.message.as_str()), ("E", "bad: \u{FFFD}"));
    for report in
        [r#"{"errorType":"E","trace":["    at secret.js"]}"#, r#"{"errorType":"E","trace":["    at secret.js"#]
    {
        assert!(!failure(report).await.message.contains("secret"), "{report}");
    }
    // Not JSON at all.
    assert_eq!(failure("oops").await.message, "oops");
}

#[tokio::test]
async fn throttling_has_an_error_of_its_own_and_is_not_retried() {
    let wire = ReplayClient::replaying([Reply::error(429, "TooManyRequestsException", "Rate Exceeded.")]);
    let counted = Counted::begin();
    assert!(matches!(run(&wire, "{}").await, Err(InvokeError::Throttled(_))));
    assert_eq!(wire.asked().len(), 1);
    assert_eq!(counted.names(), ["Throttled"]);
    assert_eq!(counted.lines()[0]["function"], "hello");
}

/// A Function that is being prepared, and a refusal for another reason, do not mean that too many are running.
#[tokio::test]
async fn only_throttling_is_counted_as_such() {
    let counted = Counted::begin();
    let wire = ReplayClient::replaying([
        Reply::error(502, "ENILimitReachedException", "soon"),
        answer(None, "1"),
        Reply::error(403, "AccessDeniedException", "no"),
    ]);
    run(&wire, "{}").await.unwrap();
    run(&wire, "{}").await.unwrap_err();
    assert_eq!(counted.names(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_keeps_its_name_from_lambda() {
    for (status, name) in [
        (404, "ResourceNotFoundException"),
        (413, "RequestTooLargeException"),
        (502, "KMSDisabledException"),
        (403, "AccessDeniedException"),
    ] {
        let wire = ReplayClient::replaying([Reply::error(status, name, "because")]);
        match run(&wire, "{}").await {
            Err(InvokeError::Refused { name: given, message }) => {
                assert_eq!((given.as_str(), message.as_str()), (name, "because"))
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Lambda prepares a Function again that was idle for weeks. Its first run fails until then.
#[tokio::test]
async fn a_function_that_is_not_ready_is_run_as_soon_as_it_is() {
    for name in NOT_READY {
        let refused = || Reply::error(502, name, "it is being prepared");
        let wire = ReplayClient::replaying([refused(), refused(), answer(None, "1")]);
        assert!(run(&wire, "{}").await.is_ok(), "{name}");
        assert_eq!(wire.asked().len(), 3);
        // The clock of this test jumps to the end of each pause.
        let wire = ReplayClient::replaying(std::iter::repeat_with(refused).take(8));
        match run(&wire, "{}").await {
            Err(InvokeError::Throttled(why)) => assert!(why.contains(name), "{why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_payload_that_lambda_would_refuse_is_not_sent() {
    let wire = ReplayClient::replaying([]);
    let payload = format!("\"{}\"", "a".repeat(MAX_PAYLOAD_BYTES));
    assert!(
        matches!(run(&wire, &payload).await, Err(InvokeError::Refused { name, .. }) if name == "RequestEntityTooLargeException")
    );
}

/// The most important test: the code may have run, so the request is not sent again, and the error does not deny the
/// run.
#[tokio::test]
async fn a_request_is_never_repeated_after_its_response_was_lost() {
    for reply in [
        Reply::Broken,
        Reply::error(500, "ServiceException", "internal"),
        Reply::error(503, "", "no server"),
        answer_cut_short(),
    ] {
        let wire = ReplayClient::replaying([reply]);
        assert!(matches!(run(&wire, "{}").await, Err(InvokeError::OutcomeUnknown(_))));
        assert_eq!(wire.asked().len(), 1);
    }
}

/// Headers and half a body.
fn answer_cut_short() -> Reply {
    Reply::Cut
}

#[tokio::test]
async fn waiting_for_a_response_ends_after_the_time_limit_and_some_slack() {
    let wire = ReplayClient::replaying([Reply::Silence]);
    // Three seconds plus SLACK of real time are too long for a test, so this checks the override itself.
    let config = once_and_within(Duration::from_millis(20));
    let answer = adapter(&wire).lambda.invoke().function_name("x").customize().config_override(config).send().await;
    assert!(matches!(not_run(Fault::from(answer.unwrap_err())), InvokeError::OutcomeUnknown(_)));
    assert_eq!(wire.asked().len(), 1);
}
