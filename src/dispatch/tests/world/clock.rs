//! Contract tests with a clock that is set forward and back, by an hour or by a day.
//!
//! A wrong clock may cost time, or a run that it makes look dead. It must not lose a Task or run one twice.

use std::{collections::BTreeSet, time::Duration};

use tasklane_model::{RetryPolicyChange, TaskStatus, Timestamp};
use tasklane_service::FunctionOptions;
use tasklane_testing::World;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The number of invocations. Panics if a Task was invoked more than once.
fn invoked(world: &World) -> usize {
    let calls = world.lambda.calls();
    let tasks: BTreeSet<_> = calls.iter().map(|call| call.correlation).collect();
    assert_eq!(tasks.len(), calls.len(), "a Task was invoked twice");
    calls.len()
}

fn retrying() -> FunctionOptions {
    FunctionOptions { retry_policy: Some(RetryPolicyChange::every_error()), ..FunctionOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn due_tasks_run_when_the_clock_jumps_in_either_direction() {
    let world = World::running(2).await;
    world.function("hello", FunctionOptions::default()).await;
    let mut ids = BTreeSet::new();
    for seconds in [0, HOUR, -DAY, DAY, -2 * DAY, 3 * DAY] {
        // Created before the jump and claimed after it, or vice versa.
        world.lambda.take("hello", Duration::from_millis(50));
        let before = world.task("hello").await;
        world.clock.jump(seconds);
        let after = world.task("hello").await;
        for task in [before, after] {
            assert_eq!(world.finished(task.id).await.status, TaskStatus::Complete, "after a jump by {seconds} s");
            assert!(ids.insert(task.id), "an id was given twice");
        }
    }
    assert_eq!(invoked(&world), ids.len());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_looks_dead_after_a_jump_forward_is_ended_and_not_repeated() {
    let world = World::running(1).await;
    world.function("slow", retrying()).await;
    world.lambda.take("slow", Duration::from_secs(20));
    let task = world.task("slow").await;
    world.when(task.id, |status| status == TaskStatus::InProgress).await;
    let next = world.task("slow").await;
    world.clock.jump(DAY);
    let ended = world.finished(task.id).await;
    assert_eq!((ended.status, ended.error.unwrap().name.as_str()), (TaskStatus::Failed, "zombieTaskCleaned"));
    assert_eq!(world.finished(next.id).await.status, TaskStatus::Complete);
    assert_eq!(world.get(task.id).await.status, TaskStatus::Failed, "a final state changed");
    assert_eq!(world.lambda.most_running(), 1, "the ended run was still in progress, and held its slot");
    assert_eq!(invoked(&world), 2);
    let published: Vec<_> = world.events.published().into_iter().map(|event| event.content.id).collect();
    assert_eq!(published, [task.id]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_its_time_again_after_a_jump_back() {
    let world = World::running(1).await;
    world.function("failing", retrying()).await;
    world.lambda.throw("failing", "MINE");
    let first = world.task("failing").await;
    let next = world.when(first.id, |status| status == TaskStatus::Retried).await.retried_by_task_id.unwrap();
    world.clock.jump(-HOUR);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.get(next).await.status, TaskStatus::New);
    world.clock.jump(HOUR);
    let mut last = next;
    while let Some(after) = world.finished(last).await.retried_by_task_id {
        last = after;
    }
    assert_eq!(world.get(last).await.status, TaskStatus::Failed);
    assert_eq!(invoked(&world), 4);
}

#[tokio::test(start_paused = true)]
async fn no_occurrence_runs_twice_when_the_clock_jumps_in_either_direction() {
    let world = World::running(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = world.schedule("hello", 60, None).await;
    let minutes = async |minutes: u64| tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
    let occurrences = async || {
        let tasks = world.all_tasks().await;
        let starts = tasks.values().map(|task| task["startTimestamp"].as_str().unwrap().parse::<Timestamp>().unwrap());
        let starts: Vec<_> = starts.collect();
        let unique: BTreeSet<_> = starts.iter().copied().collect();
        assert_eq!(unique.len(), starts.len(), "an occurrence became two Tasks: {starts:?}");
        let off = |at: &&Timestamp| !at.since(schedule.start_timestamp).as_millis().is_multiple_of(60_000);
        assert_eq!(unique.iter().find(off), None, "it drifted");
        starts.len()
    };
    minutes(3).await;
    let before = occurrences().await;
    assert!((3..=4).contains(&before), "{before}");

    world.clock.jump(DAY);
    minutes(1).await;
    // One for all that were missed, and those of the current minute.
    let forward = occurrences().await;
    assert!((before + 1..=before + 3).contains(&forward), "{before}, then {forward}");

    world.clock.jump(-DAY);
    minutes(5).await;
    assert_eq!(occurrences().await, forward, "nothing is due until the time comes again");

    world.clock.jump(DAY);
    minutes(3).await;
    assert!(occurrences().await > forward, "it went on");
    invoked(&world);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_published_even_after_a_jump_back() {
    let world = World::running(1).await;
    world.function("failing", FunctionOptions::default()).await;
    world.lambda.throw("failing", "MINE");
    world.events.refuse(1);
    let task = world.task("failing").await;
    world.finished(task.id).await;
    world.clock.jump(-DAY);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let published: Vec<_> = world.events.published().into_iter().map(|event| event.content.id).collect();
    assert_eq!(published, [task.id]);
}
