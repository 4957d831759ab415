//! The register of runs: what AWS has instead of a lane for Tasks in progress.

use std::time::Duration;

use futures::future::try_join_all;
use tasklane::{
    model::{ObjectId, TaskStatus},
    rql::{Query, Schema},
    store::{RegisteredRun, Run, RunnerId, RunsIn},
};

use super::{World, boom, run_of};

const MINUTE: Duration = Duration::from_secs(60);

async fn world() -> World {
    World::with(|config| config.runs_in = RunsIn::Register).await
}

/// A Task that `runner` has registered and claimed. Its lease ends in half a minute.
async fn claimed_by(world: &World, runner: &str) -> (ObjectId, Run, RegisteredRun) {
    let id = world.create(&world.task()).await;
    let candidate = world.candidates().await.into_iter().find(|candidate| candidate.id == id).unwrap();
    let run = Run { lease_expires: world.now().saturating_add(MINUTE / 2), ..run_of(world.now(), runner) };
    let registered = world.store.runs.register_one(id, &run).await.unwrap();
    world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    (id, run, registered)
}

async fn expired(world: &World) -> Vec<ObjectId> {
    let records = world.store.tasks.expired_runs(world.now(), 100).await.unwrap();
    records.iter().map(|record| record.task.id).collect()
}

async fn in_progress(world: &World) -> Vec<ObjectId> {
    let query = Query::parse("status=inProgress", &Schema::TASKS).unwrap();
    let page = world.store.tasks.list(&query, world.now()).await.unwrap();
    page.data.iter().map(|task| task.to_value()["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn the_runs_of_a_dead_process_are_found_when_their_leases_have_expired() {
    let world = world().await;
    let (id, run, registered) = claimed_by(&world, "dead").await;
    drop(registered);
    assert_eq!(expired(&world).await, []);
    assert_eq!(in_progress(&world).await, [id]);
    assert_eq!(world.store.tasks.runs_of(&RunnerId::new("dead")).await.unwrap().len(), 1);
    assert_eq!(world.store.tasks.runs_of(&RunnerId::new("another")).await.unwrap(), []);
    world.clock.advance(MINUTE);
    // Another process finds it: nothing of this depends on the memory of the one that died.
    let other = world.another_store(|config| config.runs_in = RunsIn::Register);
    let found = other.tasks.expired_runs(world.now(), 100).await.unwrap();
    assert_eq!(found.iter().map(|record| record.task.id).collect::<Vec<_>>(), [id]);
    assert!(other.tasks.fail(id, &run.attempt, &boom(), None, world.now()).await.unwrap());
    assert_eq!(expired(&world).await, []);
    assert_eq!(world.status(id).await, TaskStatus::Failed);
}

#[tokio::test]
async fn a_page_is_removed_when_its_runs_have_ended_and_not_before() {
    let world = world().await;
    let (first, run, registered) = claimed_by(&world, "runner").await;
    let (second, other, _kept) = claimed_by(&world, "runner").await;
    assert!(world.store.tasks.complete(first, &run.attempt, None, world.now()).await.unwrap());
    registered.end();
    world.clock.advance(MINUTE);
    world.wire.forget();
    assert_eq!(expired(&world).await, [second]);
    assert_eq!(world.wire.calls("DeleteItem"), 0);
    assert!(world.store.tasks.complete(second, &other.attempt, None, world.now()).await.unwrap());
    assert_eq!(expired(&world).await, []);
    assert_eq!(world.wire.calls("DeleteItem"), 1);
    assert_eq!(expired(&world).await, []);
    assert_eq!(world.wire.calls("DeleteItem"), 1, "it is gone");
}

#[tokio::test]
async fn a_registered_task_that_nobody_has_claimed_yet_stays_registered() {
    let world = world().await;
    let id = world.create(&world.task()).await;
    let candidate = world.candidates().await.remove(0);
    let run = Run { lease_expires: world.now().saturating_add(MINUTE), ..world.run() };
    let registered = world.store.runs.register_one(id, &run).await.unwrap();
    // The process is suspended before its claim, for longer than its lease.
    world.clock.advance(5 * MINUTE);
    assert_eq!(expired(&world).await, []);
    world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    drop(registered);
    assert_eq!(expired(&world).await, [id]);
}

#[tokio::test]
async fn a_task_that_a_process_sees_again_while_it_runs_it_stays_registered() {
    let world = world().await;
    let (id, ..) = claimed_by(&world, "runner").await;
    // The index lags: the process chooses the Task once more, and its claim is refused.
    let again = Run { lease_expires: world.now().saturating_add(MINUTE), ..run_of(world.now(), "runner") };
    world.store.runs.register_one(id, &again).await.unwrap().end();
    // The next group rewrites the page.
    claimed_by(&world, "runner").await.2.end();
    world.clock.advance(2 * MINUTE);
    assert!(expired(&world).await.contains(&id));
}

#[tokio::test]
async fn what_has_ended_is_dropped_with_the_next_group_and_a_page_has_a_bound() {
    let world = world().await;
    let runs: Vec<_> = (0..150).map(|_| (world.id(), run_of(world.now(), "runner"))).collect();
    let register = &world.store.runs;
    let groups = runs.chunks(50).map(|group| {
        let group: Vec<_> = group.iter().map(|(id, run)| (*id, run)).collect();
        async move { register.register(&group).await }
    });
    let registered: Vec<_> = try_join_all(groups).await.unwrap().into_iter().flatten().collect();
    // 150 runs have three pages of 64; 50 more have room once the first 100 have ended.
    let query = world.client.query().table_name(format!("{}-control", world.prefix));
    let pages = async || {
        let mut sizes = Vec::new();
        for part in 0..8 {
            let query = query.clone().key_condition_expression("pk = :pk");
            let pk = aws_sdk_dynamodb::types::AttributeValue::S(format!("runs#{part}"));
            let found = query.expression_attribute_values(":pk", pk).send().await.unwrap();
            for row in found.items() {
                let runs: serde_json::Value = serde_json::from_str(row["runs"].as_s().unwrap()).unwrap();
                sizes.push(runs.as_object().unwrap().len());
            }
        }
        sizes
    };
    assert_eq!(pages().await, [64, 64, 22]);
    registered.into_iter().take(100).for_each(RegisteredRun::end);
    let (id, run) = (world.id(), run_of(world.now(), "runner"));
    let _registered = world.store.runs.register_one(id, &run).await.unwrap();
    assert_eq!(pages().await, [1, 64, 22], "the first page has room again");
}

#[tokio::test]
async fn groups_that_arrive_together_are_written_together() {
    let world = world().await;
    let runs: Vec<_> = (0..20).map(|_| (world.id(), run_of(world.now(), "runner"))).collect();
    world.wire.forget();
    let registered = try_join_all(runs.iter().map(|(id, run)| world.store.runs.register_one(*id, run))).await.unwrap();
    assert_eq!(registered.len(), 20);
    assert!(world.wire.calls("PutItem") <= 2, "{} writes", world.wire.calls("PutItem"));
}

#[tokio::test]
async fn a_registration_succeeds_even_if_its_response_is_lost_or_its_page_is_known_from_before() {
    let world = world().await;
    world.wire.lose_answers("PutItem", 1);
    let (id, run) = (world.id(), run_of(world.now(), "runner"));
    let _first = world.store.runs.register_one(id, &run).await.unwrap();
    // A process with the same name starts with revision 1 again.
    let restarted = world.another_store(|config| config.runs_in = RunsIn::Register);
    let _second = restarted.runs.register_one(world.id(), &run_of(world.now(), "runner")).await.unwrap();
}

#[tokio::test]
async fn runs_that_an_older_version_started_are_found_beside_registered_ones() {
    let world = world().await;
    let older = world.another_store(|config| config.runs_in = RunsIn::Lane);
    let in_lane = world.create(&world.task()).await;
    let candidate = world.candidates().await.remove(0);
    let run = Run { lease_expires: world.now().saturating_add(MINUTE / 2), ..run_of(world.now(), "older") };
    older.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    let (registered, ..) = claimed_by(&world, "newer").await;
    let mut both = in_progress(&world).await;
    both.sort();
    assert_eq!(both, [in_lane, registered]);
    world.clock.advance(MINUTE);
    assert_eq!(expired(&world).await, [in_lane, registered]);
    assert_eq!(world.store.tasks.runs_of(&RunnerId::new("older")).await.unwrap().len(), 1);
    // The older version reads what the newer one claimed.
    assert_eq!(older.tasks.get(registered).await.unwrap().unwrap().task.status, TaskStatus::InProgress);
}

#[tokio::test]
async fn a_direct_execution_is_registered_too() {
    let world = world().await;
    let mut task = world.task();
    task.status = TaskStatus::InProgress;
    let run = world.run();
    let registered = world.store.runs.register_one(task.id, &run).await.unwrap();
    assert!(world.store.tasks.create_running(&task, &run).await.unwrap());
    assert_eq!(in_progress(&world).await, [task.id]);
    assert!(world.store.tasks.complete(task.id, &run.attempt, None, world.now()).await.unwrap());
    registered.end();
    assert_eq!(in_progress(&world).await, []);
}
