//! Tests of concurrent calls of one kind on one record: the result is as if they came one after the other.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use tasklane_model::{
    AffectedRecords, Caller, EntryPoint, ErrorKind, FunctionName, Identity, Permissions, Result, Runtime, UserId,
};
use tasklane_service::{FunctionChange, FunctionOptions, NewCredential, NewFunction, NewProgram, Service};
use tasklane_testing::World;

const TWENTY: usize = 20;

/// How many calls ended in each way: `None` is success.
fn counted<T>(results: impl IntoIterator<Item = Result<T>>) -> BTreeMap<Option<u16>, usize> {
    let mut counts = BTreeMap::new();
    for result in results {
        let code = result.err().map(|error| error.kind().code().unwrap_or_default());
        *counts.entry(code).or_default() += 1;
    }
    counts
}

fn one_and(code: u16) -> BTreeMap<Option<u16>, usize> {
    BTreeMap::from([(None, 1), (Some(code), TWENTY - 1)])
}

fn described(text: impl ToString) -> FunctionChange {
    let options = FunctionOptions { description: Some(text.to_string()), ..FunctionOptions::default() };
    FunctionChange { options, ..FunctionChange::default() }
}

fn hello() -> NewFunction {
    NewFunction {
        name: FunctionName::parse("hello").unwrap(),
        program: NewProgram::Zip {
            code: Bytes::from_static(b"zip").into(),
            entry_point: EntryPoint::parse("index.handler").unwrap(),
            runtime: Runtime::new("nodejs20.x"),
        },
        options: FunctionOptions::default(),
        label: None,
        by: None,
    }
}

/// Two processes on the same tables. A deployment takes a moment in each.
async fn two_processes() -> (World, World) {
    let one = World::at_rest(5).await;
    let other = one.beside(5, "other");
    for world in [&one, &other] {
        world.lambda.on_change(|_| tokio::time::sleep(Duration::from_millis(20)));
    }
    (one, other)
}

/// Twenty concurrent calls of the same kind, half of them in each process.
async fn twenty<'a, T, F: Future<Output = Result<T>> + 'a>(
    (one, other): (&'a World, &'a World),
    call: impl Fn(&'a Service, usize) -> F,
) -> Vec<Result<T>> {
    let service = |number: usize| if number.is_multiple_of(2) { &one.service } else { &other.service };
    join_all((0..TWENTY).map(|number| call(service(number), number))).await
}

#[tokio::test(start_paused = true)]
async fn concurrent_updates_within_one_process_all_succeed() {
    let (world, _) = two_processes().await;
    world.service.create_function(hello()).await.unwrap();
    let updates = (0..TWENTY).map(|number| world.service.update_function("hello", described(number)));
    assert_eq!(counted(join_all(updates).await), BTreeMap::from([(None, TWENTY)]));
    let last = world.service.get_function("hello").await.unwrap();
    assert_eq!(last.configuration.description.as_deref(), Some("19"), "the order in which they came");
}

#[tokio::test(start_paused = true)]
async fn concurrent_updates_across_processes_succeed_or_conflict() {
    let (one, other) = two_processes().await;
    one.service.create_function(hello()).await.unwrap();
    let results = twenty((&one, &other), |service, number| service.update_function("hello", described(number))).await;
    let made: Vec<_> = (0..TWENTY).filter(|number| results[*number].is_ok()).map(|number| number.to_string()).collect();
    let stands = one.service.get_function("hello").await.unwrap().configuration.description.unwrap();
    assert!(made.contains(&stands), "{stands} of {made:?}");
    assert!(counted(results).keys().all(|code| matches!(code, None | Some(1502))));
}

#[tokio::test(start_paused = true)]
async fn an_update_that_keeps_losing_is_refused_as_a_conflict() {
    let (one, other) = two_processes().await;
    one.service.create_function(hello()).await.unwrap();
    let (elsewhere, enabled) = (other.service.clone(), Arc::new(AtomicBool::new(true)));
    one.lambda.on_change(move |_| {
        let (elsewhere, to) = (elsewhere.clone(), !enabled.fetch_xor(true, Ordering::SeqCst));
        async move {
            elsewhere.set_function_enabled("hello", to).await.unwrap();
        }
    });
    let began = one.now();
    let error = one.service.update_function("hello", described("mine")).await.unwrap_err();
    assert_eq!((error.kind(), error.kind().status()), (ErrorKind::ConflictingUpdate, 409));
    assert!(one.now().since(began) < Duration::from_secs(12), "the caller gets an error in time");
    assert!(one.lambda.deployments() > 5, "it was tried again");
}

#[tokio::test(start_paused = true)]
async fn a_function_can_be_disabled_during_a_deployment() {
    let world = World::at_rest(5).await;
    world.service.create_function(hello()).await.unwrap();
    world.lambda.on_change(|_| tokio::time::sleep(Duration::from_secs(4)));
    let began = world.now();
    let update = world.service.update_function("hello", described("new"));
    let disable = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.service.set_function_enabled("hello", false).await.unwrap();
        assert!(world.now().since(began) < Duration::from_secs(2), "it does not wait for the deployment");
    };
    let (updated, ()) = tokio::join!(update, disable);
    updated.unwrap();
    let function = world.service.get_function("hello").await.unwrap();
    assert_eq!((function.enabled, function.configuration.description.as_deref()), (false, Some("new")));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_created_once_and_deleted_once() {
    let (one, other) = two_processes().await;
    let created = twenty((&one, &other), |service, _| service.create_function(hello())).await;
    assert_eq!(counted(created), one_and(17));
    let switched = twenty((&one, &other), |service, number| service.set_function_enabled("hello", number > 9)).await;
    assert_eq!(counted(switched), BTreeMap::from([(None, TWENTY)]));
    let deleted = twenty((&one, &other), |service, _| service.delete_function("hello")).await;
    assert_eq!(counted(deleted), one_and(16));
}

#[tokio::test(start_paused = true)]
async fn an_update_after_a_concurrent_deletion_leaves_nothing_in_lambda() {
    let (one, other) = two_processes().await;
    one.service.create_function(hello()).await.unwrap();
    one.lambda.on_change(|_| tokio::time::sleep(Duration::from_secs(1)));
    let (updated, deleted) =
        tokio::join!(one.service.update_function("hello", described("x")), other.service.delete_function("hello"));
    assert_eq!(deleted.unwrap(), AffectedRecords::ONE);
    assert_eq!(updated.unwrap_err().kind(), ErrorKind::ResourceUnknown);
    assert_eq!(one.lambda.changes(), ["deploy", "deploy", "remove"]);
}

#[tokio::test(start_paused = true)]
async fn a_function_created_during_the_deletion_of_its_name_stays() {
    let world = World::at_rest(5).await;
    world.service.create_function(hello()).await.unwrap();
    world.lambda.on_change(|change| {
        let takes = if change == "remove" { 1000 } else { 10 };
        tokio::time::sleep(Duration::from_millis(takes))
    });
    let again = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.service.create_function(hello()).await
    };
    let (deleted, created) = tokio::join!(world.service.delete_function("hello"), again);
    deleted.unwrap();
    created.unwrap();
    assert_eq!(world.lambda.changes(), ["deploy", "remove", "deploy"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_canceled_once_and_a_schedule_and_a_credential_are_removed_once() {
    let (one, other) = two_processes().await;
    one.service.create_function(hello()).await.unwrap();
    let task = one.task("hello").await.id;
    let canceled = twenty((&one, &other), |service, _| service.cancel_task(task)).await;
    assert_eq!(counted(canceled), one_and(27));

    let schedule = one.schedule("hello", 60, None).await.id;
    let deleted = twenty((&one, &other), |service, _| service.delete_schedule(schedule)).await;
    assert_eq!(counted(deleted), one_and(16));

    let user_id = UserId::parse("ada").unwrap();
    let ada = Identity { user_id: user_id.clone(), application_id: None, permissions: Permissions::all() };
    let new =
        NewCredential { user_id, application_id: None, permissions: Permissions::none(), expires_timestamp: None };
    let credential = one.service.create_credential(&Caller::User(ada.into()), new).await.unwrap().credential.id;
    let revoked = twenty((&one, &other), |service, _| service.revoke_credential(credential, false)).await;
    assert_eq!(counted(revoked), one_and(16));
}
