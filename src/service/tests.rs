//! Callers who cannot be kept waiting until their Function ends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;

use super::{ApiCall, FunctionOptions, Service, Settings};
use crate::{
    dispatch::FunctionDirectory,
    model::{Caller, ErrorKind, Method, ObjectId, PermissionMode, TaskStatus, TimeLimit},
    testing::World,
};

/// As on AWS, where the gateway gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(27);

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
    let functions = Arc::new(FunctionDirectory::new(world.store.clone(), world.clock.clone()));
    let settings = Settings { answer_within: Some(PATIENCE), ..Settings::default() };
    let (slots, secrets) = (world.slots.clone(), world.secrets.clone());
    let service = Service::new(world.store.clone(), world.ports.clone(), settings, slots, functions, secrets);
    (world, service)
}

#[tokio::test(start_paused = true)]
async fn a_direct_execution_that_takes_too_long_is_answered_with_its_task_which_ends_as_it_ends() {
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
async fn an_api_function_that_takes_too_long_is_answered_and_recorded() {
    let (world, service) = with_slow_function(Duration::from_secs(29)).await;
    let call = ApiCall {
        method: Method::Get,
        raw_path: "/".to_owned(),
        raw_query: None,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    let began = world.now();
    let error = service.call_api_function(&Caller::Nobody, "slow", call).await.unwrap_err();
    assert!(world.now().since(began) < PATIENCE + Duration::from_secs(1));
    assert_eq!(error.kind(), ErrorKind::LambdaInvocation);

    service.drain().await;
    let page = service.list_api_requests(&crate::rql::Query::everything()).await.unwrap();
    assert_eq!(page.data.len(), 1, "{:?}", page.data);
}
