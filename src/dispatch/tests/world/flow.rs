//! Tasks that take turns by key (contract §14).

use std::time::Duration;

use serde_json::json;
use tasklane_model::{
    Caller, Flow, FlowConcurrency, FlowKey, FlowPath, FlowRate, FunctionName, Json, NewTask, ObjectId, RateCount,
    RateSeconds, Reason, RetryPolicyChange, Task, TaskOptions, TaskStatus, Timestamp,
};
use tasklane_rql::{Query, Schema};
use tasklane_service::FunctionOptions;
use tasklane_testing::World;

fn flow(concurrent: Option<i64>, rate: Option<(i64, i64)>) -> Flow {
    let of = |(count, seconds)| FlowRate {
        count: RateCount::new(count).unwrap(),
        seconds: RateSeconds::new(seconds).unwrap(),
    };
    Flow {
        key: FlowPath::parse("data.tenant").unwrap(),
        concurrent: concurrent.map(|most| FlowConcurrency::new(most).unwrap()),
        rate: rate.map(of),
    }
}

fn with(flow: Flow) -> FunctionOptions {
    FunctionOptions { flow: Some(Some(flow)), ..FunctionOptions::default() }
}

async fn create(world: &World, tenant: Option<&str>) -> Task {
    create_at(world, tenant, None).await
}

async fn create_at(world: &World, tenant: Option<&str>, start: Option<Timestamp>) -> Task {
    let new = NewTask {
        data: tenant.map(|tenant| Json::from(json!({ "tenant": tenant }))),
        start_timestamp: start,
        ..NewTask::of(FunctionName::parse("f").unwrap())
    };
    world.service.create_task(&Caller::Nobody, new).await.unwrap()
}

async fn all_of(world: &World, tenant: &str, count: usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        tasks.push(create(world, Some(tenant)).await);
    }
    tasks
}

/// When each of these Tasks started, in milliseconds after the first call.
async fn starts(world: &World, tasks: &[Task]) -> Vec<u64> {
    for task in tasks {
        world.finished(task.id).await;
    }
    let calls = world.lambda.calls();
    let first = calls[0].at;
    let at = |task: &Task| calls.iter().find(|call| call.correlation == task.id).unwrap().at;
    tasks.iter().map(|task| u64::try_from(at(task).since(first).as_millis()).unwrap()).collect()
}

/// The place of a Task among all calls.
fn place(world: &World, id: ObjectId) -> usize {
    world.lambda.calls().iter().position(|call| call.correlation == id).unwrap()
}

async fn keys(world: &World) -> Vec<(String, u64, u64)> {
    let page = world.service.flow_keys(&Caller::Nobody, "f", &Query::parse("", &Schema::FLOW_KEYS).unwrap()).await;
    page.unwrap().data.into_iter().map(|state| (state.key.into(), state.running, state.waiting)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_key_has_its_limit_and_others_are_not_held_up_by_it() {
    let world = World::running(10).await;
    world.function("f", with(flow(Some(2), None))).await;
    world.lambda.take("f", Duration::from_secs(1));
    let many = all_of(&world, "a", 6).await;
    let other = create(&world, Some("b")).await;
    let none = create(&world, None).await;
    assert_eq!(starts(&world, &[other, none]).await.iter().filter(|start| **start > 100).count(), 0);
    let begun = starts(&world, &many).await;
    for (start, wanted) in begun.iter().zip([0, 0, 1, 1, 2, 2]) {
        assert!(start.abs_diff(wanted * 1000) < 100, "{begun:?}");
    }
    assert_eq!(keys(&world).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_starts_after_at_most_two_of_each_key_that_waits() {
    let world = World::running(1).await;
    world.function("f", with(flow(None, None))).await;
    world.lambda.take("f", Duration::from_secs(1));
    let mut many = Vec::new();
    for key in ["a", "b", "c"] {
        many.extend(all_of(&world, key, 40).await);
    }
    world.finished(many[1].id).await;
    let before = world.lambda.calls().len();
    let newcomer = create(&world, Some("d")).await;
    world.finished(newcomer.id).await;
    let others = place(&world, newcomer.id) - before;
    assert!(others <= 6, "{others} others came first");
}

#[tokio::test(start_paused = true)]
async fn within_a_key_the_higher_priority_comes_first() {
    let world = World::at_rest(1).await;
    world.function("f", with(flow(Some(1), None))).await;
    let low = all_of(&world, "a", 3).await;
    let high = world.task_with("f", 5, None).await;
    let options = TaskOptions { flow_key: Some(FlowKey::parse("a").unwrap()), ..TaskOptions::default() };
    let new = NewTask { priority: high.priority.into(), options, ..NewTask::of(FunctionName::parse("f").unwrap()) };
    let keyed = world.service.create_task(&Caller::Nobody, new).await.unwrap();
    assert_eq!(keyed.options.flow_key.as_ref().map(FlowKey::as_str), Some("a"));
    world.start();
    world.finished(low[2].id).await;
    let places: Vec<_> = [high.id, keyed.id, low[0].id, low[1].id, low[2].id].map(|id| place(&world, id)).to_vec();
    assert_eq!(places, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn no_window_has_more_starts_than_the_rate() {
    let world = World::running(10).await;
    world.function("f", with(flow(None, Some((3, 10))))).await;
    let tasks = all_of(&world, "a", 10).await;
    let begun = starts(&world, &tasks).await;
    for (start, next) in begun.iter().zip(&begun[3..]) {
        assert!((10_000..10_300).contains(&(next - start)), "{begun:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_holds_nothing_while_it_waits() {
    let world = World::running(10).await;
    let options = FunctionOptions { retry_policy: Some(RetryPolicyChange::every_error()), ..with(flow(Some(1), None)) };
    world.function("f", options).await;
    world.lambda.throw("f", "Oops");
    let (first, second) = (create(&world, Some("a")).await, create(&world, Some("a")).await);
    let second = world.finished(second.id).await;
    let retry = world.finished(first.id).await.retried_by_task_id.unwrap();
    assert!(second.status_changed_timestamp < world.get(retry).await.start_timestamp);
    world.finished(retry).await;
}

#[tokio::test(start_paused = true)]
async fn cancellation_and_expiry_let_the_next_one_pass() {
    let world = World::at_rest(1).await;
    world.function("f", with(flow(Some(1), None))).await;
    let tasks = all_of(&world, "a", 3).await;
    // Sorted, but not claimed: its only slot is taken.
    world.function("slow", FunctionOptions::default()).await;
    world.lambda.take("slow", Duration::from_secs(20));
    let slow = world.task_with("slow", 9, None).await;
    world.start();
    world.when(slow.id, |status| status == TaskStatus::InProgress).await;
    world.service.cancel_task(tasks[0].id).await.unwrap();
    world.finished(tasks[2].id).await;
    assert_eq!(world.get(tasks[1].id).await.status, TaskStatus::Complete);
    assert_eq!(world.get(tasks[0].id).await.status, TaskStatus::Canceled);
}

#[tokio::test(start_paused = true)]
async fn removing_the_flow_or_the_function_lets_all_of_them_pass() {
    let world = World::running(10).await;
    world.function("f", with(flow(Some(1), None))).await;
    world.lambda.take("f", Duration::from_secs(60));
    let tasks = all_of(&world, "a", 5).await;
    world.when(tasks[0].id, |status| status == TaskStatus::InProgress).await;
    assert_eq!(keys(&world).await, [("a".to_owned(), 1, 4)]);
    let now = world.now();
    world.service.set_flow("f", None).await.unwrap();
    for task in &tasks {
        world.when(task.id, |status| status == TaskStatus::InProgress).await;
    }
    assert!(world.now().since(now) < Duration::from_secs(1));

    world.service.set_flow("f", Some(flow(Some(1), None))).await.unwrap();
    let more = all_of(&world, "b", 3).await;
    world.when(more[0].id, |status| status == TaskStatus::InProgress).await;
    world.service.delete_function("f").await.unwrap();
    for task in &more[1..] {
        assert_eq!(world.finished(task.id).await.error.unwrap().name, "ResourceNotFoundException");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_takes_effect_within_a_second() {
    let world = World::running(10).await;
    world.function("f", with(flow(Some(1), Some((1, 3600))))).await;
    world.lambda.take("f", Duration::from_secs(60));
    let tasks = all_of(&world, "a", 5).await;
    world.when(tasks[0].id, |status| status == TaskStatus::InProgress).await;
    let before = world.get(tasks[1].id).await;
    let version = world.service.get_function("f").await.unwrap().deployment;
    let now = world.now();
    world.service.set_flow("f", Some(flow(Some(3), None))).await.unwrap();
    for task in &tasks[..3] {
        world.when(task.id, |status| status == TaskStatus::InProgress).await;
    }
    assert!(world.now().since(now) < Duration::from_secs(1));
    assert_eq!(world.service.get_function("f").await.unwrap().deployment, version);
    assert_eq!(before.status, TaskStatus::New);
    assert_eq!(keys(&world).await, [("a".to_owned(), 3, 2)]);
}

#[tokio::test(start_paused = true)]
async fn why_names_the_key_the_rate_and_how_many_come_first() {
    let world = World::running(10).await;
    world.function("f", with(flow(Some(1), None))).await;
    world.lambda.take("f", Duration::from_secs(60));
    let tasks = all_of(&world, "a", 4).await;
    world.when(tasks[0].id, |status| status == TaskStatus::InProgress).await;
    let reason = world.service.why(tasks[3].id).await.unwrap().reason;
    let key = FlowKey::parse("a").unwrap();
    assert_eq!(reason, Reason::FlowKey { key: key.clone(), running: 1, limit: 1, ahead: 2 });

    world.service.set_flow("f", Some(flow(None, Some((1, 3600))))).await.unwrap();
    let other = all_of(&world, "b", 2).await;
    world.when(other[0].id, |status| status == TaskStatus::InProgress).await;
    match world.service.why(other[1].id).await.unwrap().reason {
        Reason::Rate { key, until } => {
            assert_eq!((key.as_str(), until.since(world.now()).as_secs()), ("b", 3599));
        }
        reason => panic!("{reason:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_left_in_a_gate_is_found_within_a_minute() {
    let world = World::at_rest(10).await;
    world.function("f", with(flow(Some(1), None))).await;
    let tasks = all_of(&world, "a", 2).await;
    // The first is claimed, and ends without a word to its gate.
    world.dispatcher.claim_next(&world.woken).await.unwrap();
    world.dispatcher.drain().await;
    let function = FunctionName::parse("f").unwrap();
    let id = tasklane_store::GateId::of(&FlowKey::parse("a").unwrap());
    let read = world.store.gates.get(&function, &id).await.unwrap().unwrap();
    let mut gate = read.gate.clone();
    gate.admitted.clear();
    gate.running = [tasks[0].id].into();
    assert!(world.store.gates.put(&function, &read, &gate).await.unwrap());
    let now = world.now();
    world.start();
    world.finished(tasks[1].id).await;
    assert!(world.now().since(now) < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_task_takes_its_key_when_it_is_due_and_gates_are_forgotten() {
    let world = World::running(10).await;
    world.function("f", with(flow(Some(1), None))).await;
    world.lambda.take("f", Duration::from_secs(5));
    let start = world.now().saturating_add(Duration::from_secs(2));
    let later = create_at(&world, Some("a"), Some(start)).await;
    let first = create(&world, Some("a")).await;
    let begun = starts(&world, &[first, later]).await;
    assert!(begun[1].abs_diff(5000) < 100, "{begun:?}");
    tokio::time::sleep(Duration::from_secs(45 * 60)).await;
    let function = FunctionName::parse("f").unwrap();
    assert!(world.store.gates.of_function(&function, 10).await.unwrap().is_empty());
}
