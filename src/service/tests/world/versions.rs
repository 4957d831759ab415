//! The versions of Functions, and canaries (contract §18).

use bytes::Bytes;
use tasklane_model::{
    Caller, CanaryEnd, CanaryPercent, CanaryRuns, ErrorKind, FailWhen, MemoryLimit, PermissionMode, TimeLimit, UserId,
    VersionField, VersionLabel, VersionNumber,
};
use tasklane_ports::HeldCode;
use tasklane_service::{FunctionChange, FunctionOptions, NewCanary};
use tasklane_testing::{TestLambda, World};

fn number(number: i64) -> VersionNumber {
    VersionNumber::new(number).unwrap()
}

fn public() -> FunctionOptions {
    FunctionOptions { permission_mode: Some(PermissionMode::Public), ..FunctionOptions::default() }
}

fn memory(megabytes: i64) -> FunctionChange {
    let options =
        FunctionOptions { memory_limit: Some(MemoryLimit::new(megabytes).unwrap()), ..FunctionOptions::default() };
    FunctionChange { options, ..FunctionChange::default() }
}

fn canary(version: i64, percent: i64, fail_when: Option<(i64, i64)>) -> NewCanary {
    let runs = |number| CanaryRuns::new(number).unwrap();
    let fail_when = fail_when.map(|(failures, of)| FailWhen { failures: runs(failures), of: runs(of) });
    NewCanary { version: number(version), percent: CanaryPercent::new(percent).unwrap(), fail_when }
}

async fn numbers(world: &World) -> Vec<(u32, bool, bool)> {
    let versions = world.service.list_versions("hello").await.unwrap();
    versions.iter().map(|listed| (listed.version.note.number.get(), listed.current, listed.runnable)).collect()
}

#[tokio::test(start_paused = true)]
async fn each_change_of_code_or_configuration_is_a_version_and_nothing_else_is() {
    let world = World::at_rest(5).await;
    world.function("hello", public()).await;
    let change = FunctionChange {
        label: Some(VersionLabel::parse("4f2c1ab").unwrap()),
        by: Some(UserId::parse("ada").unwrap()),
        code: Some(Bytes::from_static(b"other zip").into()),
        ..memory(256)
    };
    world.service.update_function("hello", change.clone()).await.unwrap();
    // The same once more changes nothing.
    world.service.update_function("hello", change).await.unwrap();
    world.service.set_function_enabled("hello", false).await.unwrap();
    world.service.set_function_enabled("hello", true).await.unwrap();
    world.service.set_flow("hello", None).await.unwrap();
    assert_eq!(numbers(&world).await, [(2, true, true), (1, false, true)]);
    let versions = world.service.list_versions("hello").await.unwrap();
    let note = &versions[0].version.note;
    assert_eq!(note.changed, [VersionField::Code, VersionField::MemoryLimit]);
    assert_eq!(note.label.as_ref().unwrap().as_str(), "4f2c1ab");
    assert_eq!(note.created_by_user_id.as_ref().unwrap().as_str(), "ada");
    assert_eq!(versions[1].version.note.changed, []);
    assert!(versions[0].replaced.is_none() && versions[1].replaced.is_some());
    assert_eq!(
        world.service.version_code("hello", number(1)).await.unwrap(),
        HeldCode::Bytes(Bytes::from_static(b"zip"))
    );
    let error = world.service.get_version("hello", number(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::VersionUnknown);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_a_new_version_that_is_equal_to_the_old_one() {
    let world = World::at_rest(5).await;
    world.function("hello", public()).await;
    for megabytes in [256, 512] {
        world.service.update_function("hello", memory(megabytes)).await.unwrap();
    }
    let deployments = world.lambda.deployments();
    let rolled = world.service.roll_back("hello", number(1), None).await.unwrap();
    assert_eq!((rolled.version.note.number.get(), rolled.current), (4, true));
    assert_eq!(rolled.version.note.changed, [VersionField::MemoryLimit]);
    assert_eq!(world.lambda.deployments(), deployments, "nothing is deployed again");
    assert_eq!(world.lambda.pointed_at(), Some("1".to_owned()));
    let now = world.service.get_function("hello").await.unwrap();
    assert_eq!((now.configuration.memory_limit.get(), now.deployment.version.as_str()), (128, "1"));
    // A repeated request finds nothing to change.
    let again = world.service.roll_back("hello", number(1), None).await.unwrap();
    assert_eq!(again.version.note.number.get(), 4);
    world.service.execute(&Caller::Nobody, "hello", None).await.unwrap();
    assert_eq!(world.lambda.calls().last().unwrap().version, "1");

    // Somebody removed the version in Lambda.
    world.lambda.lose("2");
    let error = world.service.roll_back("hello", number(2), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::VersionUnknown);
    assert!(error.message().contains("can no longer run"), "{}", error.message());
    assert_eq!(world.service.get_function("hello").await.unwrap().history.current.number.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_versions_can_run_and_the_others_are_retired() {
    let world = World::at_rest(5).await;
    world.function("hello", public()).await;
    for step in 1..=11 {
        world.service.update_function("hello", memory(128 + step)).await.unwrap();
    }
    world.service.drain().await;
    let listed = numbers(&world).await;
    assert_eq!(listed.len(), 12);
    let runnable: Vec<_> = listed.iter().filter(|(_, _, runnable)| *runnable).map(|(number, ..)| *number).collect();
    assert_eq!(runnable, (3..=12).rev().collect::<Vec<_>>());
    // What was replaced a moment ago may still be started by somebody who read the Function before.
    assert_eq!(world.lambda.kept().len(), 12);
    let error = world.service.roll_back("hello", number(2), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::VersionUnknown);
    world.clock.jump(3600);
    world.service.update_function("hello", memory(1024)).await.unwrap();
    world.service.drain().await;
    let kept: Vec<u32> = world.lambda.kept().iter().map(|version| version.parse().unwrap()).collect();
    assert_eq!(kept.len(), 10, "{kept:?}");
    assert!(!kept.contains(&1) && kept.contains(&13) && kept.contains(&4), "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_only_published_runs_when_it_is_tried_or_switched_to() {
    let world = World::at_rest(5).await;
    world.function("hello", public()).await;
    world.service.update_function("hello", FunctionChange { publish_only: true, ..memory(256) }).await.unwrap();
    let function = world.service.get_function("hello").await.unwrap();
    assert_eq!((function.configuration.memory_limit.get(), function.history.current.number.get()), (128, 1));
    assert_eq!(numbers(&world).await, [(2, false, true), (1, true, true)]);
    world.service.execute(&Caller::Nobody, "hello", None).await.unwrap();
    assert_eq!(world.lambda.calls().last().unwrap().version, "1");

    world.service.start_canary("hello", canary(2, 50, None)).await.unwrap();
    for _ in 0..60 {
        world.service.execute(&Caller::Nobody, "hello", None).await.unwrap();
    }
    let calls = world.lambda.calls();
    let tried = calls.iter().filter(|call| call.version == "2").count();
    assert!((15..45).contains(&tried), "{tried} of 60 at 50 %");
    // Each Task says which version ran it, also to the Function.
    for call in &calls {
        assert_eq!(call.event["functionVersion"].to_string(), call.version);
        let task = world.store.tasks.get(call.correlation).await.unwrap().unwrap().task;
        assert_eq!(task.function_version.unwrap().to_string(), call.version);
    }
    world.service.stop_canary("hello").await.unwrap();
    world.service.stop_canary("hello").await.unwrap();
    let ended = world.service.get_function("hello").await.unwrap().history.last_canary.unwrap();
    assert_eq!((ended.version.get(), ended.reason), (2, CanaryEnd::Stopped));
    let rolled = world.service.roll_back("hello", number(2), None).await.unwrap();
    assert_eq!(rolled.version.note.number.get(), 3);
    assert_eq!(world.service.get_function("hello").await.unwrap().configuration.memory_limit.get(), 256);
}

#[tokio::test(start_paused = true)]
async fn a_canary_ends_when_so_many_of_its_last_runs_have_failed() {
    let world = World::at_rest(5).await;
    world.function("hello", public()).await;
    world.service.update_function("hello", FunctionChange { publish_only: true, ..memory(256) }).await.unwrap();
    world.lambda.behave("hello", |call| async move {
        Ok(if call.version == "2" { TestLambda::threw("Boom") } else { TestLambda::returned("1") })
    });
    world.service.start_canary("hello", canary(2, 50, Some((3, 5)))).await.unwrap();
    let mut failed = 0;
    for _ in 0..100 {
        failed += usize::from(world.service.execute(&Caller::Nobody, "hello", None).await.is_err());
        // The end of a run is counted after its answer.
        world.service.drain().await;
    }
    assert_eq!(failed, 3);
    let history = world.service.get_function("hello").await.unwrap().history;
    assert_eq!(history.canary, None);
    assert_eq!(history.last_canary.unwrap().reason, CanaryEnd::Failed);
    assert_eq!(history.current.number.get(), 1, "a canary makes no version");
}

#[tokio::test(start_paused = true)]
async fn an_update_ends_the_canary_and_a_canary_of_the_current_version_is_refused() {
    let world = World::at_rest(5).await;
    world.function("hello", public()).await;
    let refused =
        async |version| world.service.start_canary("hello", canary(version, 10, None)).await.unwrap_err().kind();
    assert_eq!(refused(1).await, ErrorKind::FieldFormat);
    assert_eq!(refused(2).await, ErrorKind::VersionUnknown);
    world.service.update_function("hello", FunctionChange { publish_only: true, ..memory(256) }).await.unwrap();
    world.service.start_canary("hello", canary(2, 10, None)).await.unwrap();
    world.service.set_function_enabled("hello", false).await.unwrap();
    world.service.set_function_enabled("hello", true).await.unwrap();
    assert!(world.service.get_function("hello").await.unwrap().history.canary.is_some());
    let longer = FunctionOptions { time_limit: Some(TimeLimit::new(60).unwrap()), ..FunctionOptions::default() };
    world
        .service
        .update_function("hello", FunctionChange { options: longer, ..FunctionChange::default() })
        .await
        .unwrap();
    let history = world.service.get_function("hello").await.unwrap().history;
    assert_eq!((history.canary, history.last_canary.unwrap().reason), (None, CanaryEnd::Replaced));
    assert_eq!(history.current.number.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_created_again_has_a_history_of_its_own() {
    let world = World::at_rest(5).await;
    world.function("hello", public()).await;
    world.service.update_function("hello", memory(256)).await.unwrap();
    world.service.delete_function("hello").await.unwrap();
    world.function("hello", public()).await;
    assert_eq!(numbers(&world).await, [(1, true, true)]);
}
