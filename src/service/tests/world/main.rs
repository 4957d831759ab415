//! Tests with callers who cannot wait for their Function, and with Functions that another process changes.

// An error in a test's helper fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod failures;
mod images;
mod races;
mod uploads;
mod versions;
mod why;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use tasklane_dispatch::FunctionDirectory;
use tasklane_model::{
    Caller, ConcurrencyLimit, ErrorKind, Identity, Method, ObjectId, Permission, PermissionMode, Permissions, Runtime,
    TaskStatus, TimeLimit, UserId,
};
use tasklane_service::{ApiCall, FunctionChange, FunctionOptions, Service, Settings, UnknownRuntimes};
use tasklane_testing::World;

/// As on AWS, where the gateway gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(27);

/// The service of this world, with other settings.
fn with_settings(world: &World, settings: Settings) -> Service {
    let functions = Arc::new(FunctionDirectory::new(world.store.clone(), world.clock.clone()));
    let (slots, secrets) = (world.slots.clone(), world.secrets.clone());
    Service::new(world.store.clone(), world.ports.clone(), settings, slots, functions, secrets)
}

/// A service whose callers are told after [`PATIENCE`], with a Function `slow` that takes this long.
async fn with_slow_function(takes: Duration) -> (World, Service) {
    let world = World::at_rest(5).await;
    let options = FunctionOptions {
        time_limit: Some(TimeLimit::LONGEST_DIRECT),
        permission_mode: Some(PermissionMode::Public),
        ..FunctionOptions::default()
    };
    world.function("slow", options).await;
    world.lambda.take("slow", takes);
    let service = with_settings(&world, Settings { answer_within: Some(PATIENCE), ..Settings::default() });
    (world, service)
}

#[tokio::test(start_paused = true)]
async fn a_slow_direct_execution_is_answered_with_its_task_and_runs_on() {
    let (world, service) = with_slow_function(Duration::from_secs(29)).await;
    let began = world.now();
    let error = service.execute(&Caller::Nobody, "slow", None).await.unwrap_err();
    let waited = world.now().since(began);
    assert!(waited >= PATIENCE && waited < PATIENCE + Duration::from_secs(1), "{waited:?}");
    assert_eq!(error.kind(), ErrorKind::LambdaInvocation);
    let body = serde_json::to_value(error.to_body()).unwrap();
    let task: ObjectId = body["taskId"].as_str().unwrap().parse().unwrap();
    assert_eq!(world.get(task).await.status, TaskStatus::InProgress);

    service.drain().await;
    assert_eq!(world.get(task).await.status, TaskStatus::Complete);
    assert_eq!(world.lambda.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_api_function_is_answered_and_recorded() {
    let (world, service) = with_slow_function(Duration::from_secs(29)).await;
    let call = ApiCall {
        method: Method::Get,
        raw_path: "/".to_owned(),
        raw_query: None,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        protocol: http::Version::HTTP_11,
        address: None,
    };
    let began = world.now();
    let error = service.call_api_function(&Caller::Nobody, "slow", call).await.unwrap_err();
    assert!(world.now().since(began) < PATIENCE + Duration::from_secs(1));
    assert_eq!(error.kind(), ErrorKind::LambdaInvocation);

    service.drain().await;
    let page = service.list_api_requests(&Caller::Nobody, &tasklane_rql::Query::everything()).await.unwrap();
    assert_eq!(page.data.len(), 1, "{:?}", page.data);
}

/// Two processes, of which the second has just executed `hello`, a Function that everybody may execute.
async fn two_processes() -> (World, World) {
    let one = World::at_rest(5).await;
    one.function("hello", public()).await;
    let other = one.beside(5, "other");
    other.service.execute(&Caller::Nobody, "hello", None).await.unwrap();
    (one, other)
}

fn public() -> FunctionOptions {
    FunctionOptions { permission_mode: Some(PermissionMode::Public), ..FunctionOptions::default() }
}

async fn change(world: &World, options: FunctionOptions) {
    let change = FunctionChange { options, ..FunctionChange::default() };
    world.service.update_function("hello", change).await.unwrap();
}

async fn kind_of_refusal(world: &World) -> ErrorKind {
    world.service.execute(&Caller::Nobody, "hello", None).await.unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn a_direct_execution_sees_a_change_of_another_process_immediately() {
    let (one, other) = two_processes().await;
    one.service.set_function_enabled("hello", false).await.unwrap();
    assert_eq!(kind_of_refusal(&other).await, ErrorKind::IllegalState);
    one.service.set_function_enabled("hello", true).await.unwrap();
    other.service.execute(&Caller::Nobody, "hello", None).await.unwrap();

    let closed = FunctionOptions { permission_mode: Some(PermissionMode::AllUsers), ..FunctionOptions::default() };
    change(&one, closed).await;
    assert_eq!(kind_of_refusal(&other).await, ErrorKind::UserNotAuthenticated);
    change(&one, public()).await;
    other.service.execute(&Caller::Nobody, "hello", None).await.unwrap();

    one.service.delete_function("hello").await.unwrap();
    assert_eq!(kind_of_refusal(&other).await, ErrorKind::UserNotAuthenticated);

    assert_eq!(other.lambda.calls().len(), 3, "refused executions did not run");
    let tasks = other.all_tasks().await;
    assert_eq!(tasks.len(), 3, "{tasks:?}");
    assert!(tasks.values().all(|task| task["status"] == "complete"), "{tasks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_direct_execution_runs_the_version_that_another_process_just_deployed() {
    let (one, other) = two_processes().await;
    let code = Some(Bytes::from_static(b"other code").into());
    let longer = FunctionOptions { time_limit: Some(TimeLimit::LONGEST_DIRECT), ..FunctionOptions::default() };
    one.service.update_function("hello", FunctionChange { code, options: longer, ..Default::default() }).await.unwrap();
    let version = one.service.get_function("hello").await.unwrap().deployment.version;
    let id = other.service.execute(&Caller::Nobody, "hello", None).await.unwrap().task.id;
    let calls = other.lambda.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!((&calls[1].version, calls[1].correlation), (&version, id));
    assert_ne!(calls[0].version, version);
    assert_eq!(other.all_tasks().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_direct_execution_respects_the_limit_that_another_process_just_set() {
    let (one, other) = two_processes().await;
    let limit = |most| FunctionOptions {
        concurrency_limit: Some(ConcurrencyLimit::new(most).ok()),
        ..FunctionOptions::default()
    };
    other.lambda.take("hello", Duration::from_secs(1));
    let execute = || other.service.execute(&Caller::Nobody, "hello", None);
    change(&one, limit(1)).await;
    let (first, second) = tokio::join!(execute(), execute());
    let mut refusals = [first, second].into_iter().filter_map(Result::err).map(|error| error.kind());
    assert_eq!(refusals.next(), Some(ErrorKind::ConcurrentExecutionLimit));
    assert_eq!(refusals.next(), None);

    change(&one, limit(2)).await;
    let (first, second) = tokio::join!(execute(), execute());
    first.unwrap();
    second.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_missing_function_is_cached_for_a_moment() {
    let one = World::at_rest(5).await;
    let other = one.beside(5, "other");
    let may_call = async |world: &World| {
        world.service.may_run(&Caller::Nobody, "hello", Permission::ExecuteApiFunction).await.is_ok()
    };
    assert!(!may_call(&one).await && !may_call(&other).await);
    one.function("hello", public()).await;
    assert!(may_call(&one).await, "a Function created here is visible immediately");
    assert!(!may_call(&other).await, "not every anonymous call reads the store");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(may_call(&other).await);
    let held = Caller::User(
        Identity {
            user_id: UserId::parse("ada").unwrap(),
            application_id: None,
            permissions: Permissions::parse(["EXECUTE_API_FUNCTION"]).unwrap(),
        }
        .into(),
    );
    let may = async |name: &str| other.service.may_run(&held, name, Permission::ExecuteApiFunction).await;
    assert_eq!(may("later").await.unwrap_err().kind(), ErrorKind::ResourceUnknown);
    one.function("later", FunctionOptions::default()).await;
    may("later").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_this_version_does_not_know_is_left_to_lambda_only_where_lambda_is() {
    let world = World::at_rest(5).await;
    let of = |runtime: &str| FunctionChange { runtime: Some(Runtime::new(runtime)), ..FunctionChange::default() };
    world.function("hello", FunctionOptions::default()).await;
    let on_aws =
        with_settings(&world, Settings { unknown_runtimes: UnknownRuntimes::LeftToLambda, ..Settings::default() });
    on_aws.update_function("hello", of("nodejs98.x")).await.unwrap();
    for (service, runtime) in
        [(&world.service, "nodejs99.x"), (&on_aws, "node js"), (&on_aws, ""), (&on_aws, "nodejs/9")]
    {
        let error = service.update_function("hello", of(runtime)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidFunctionConfiguration, "{runtime}");
    }
    assert_eq!(on_aws.get_function("hello").await.unwrap().configuration.runtime().unwrap().as_str(), "nodejs98.x");
}
