//! Overlap, catch-up, pauses, and dispatchers that create the Tasks of Schedules (contract §15).

use std::time::Duration;

use serde_json::Value;
use tasklane_dispatch::work_shift;
use tasklane_model::{
    BulkStatus, Caller, CatchUp, FunctionName, Interval, NewSchedule, Overlap, Recurrence, Schedule, ScheduleChange,
    SkipReason, TaskStatus, Timestamp,
};
use tasklane_service::{Backfill, FunctionOptions};
use tasklane_testing::World;

use super::{bob, shift_for};

const HOUR: Duration = Duration::from_secs(3600);

fn every(function: &str, seconds: i64) -> NewSchedule {
    let interval = Interval::from_secs(seconds).unwrap();
    NewSchedule::of(FunctionName::parse(function).unwrap(), Recurrence::Every(interval))
}

async fn create(world: &World, new: NewSchedule) -> Schedule {
    world.service.create_schedule(&Caller::Nobody, new).await.unwrap()
}

/// The occurrences for which there are Tasks, in seconds after the Schedule's start, in the order of their Tasks.
async fn occurrences(world: &World, schedule: &Schedule) -> Vec<u64> {
    let of_schedule = schedule.id.to_string();
    let tasks = world.all_tasks().await;
    let of = tasks.values().filter(|task| task["scheduleId"] == of_schedule);
    of.map(|task| after_start(schedule, task)).collect()
}

/// How many seconds after the Schedule's start the occurrence of this Task is.
fn after_start(schedule: &Schedule, task: &Value) -> u64 {
    let at: Timestamp = task["occurrenceTimestamp"].as_str().unwrap().parse().unwrap();
    at.since(schedule.start_timestamp).as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_schedule_of_a_second_has_a_task_each_second_from_the_first() {
    let world = World::running(20).await;
    world.function("hello", FunctionOptions::default()).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    let schedule = create(&world, every("hello", 1)).await;
    tokio::time::sleep(Duration::from_millis(9500)).await;
    assert_eq!(occurrences(&world, &schedule).await, (0..10).collect::<Vec<_>>());
    for (number, call) in world.lambda.calls().iter().enumerate() {
        let due = schedule.start_timestamp.saturating_add(Duration::from_secs(number as u64));
        assert!(call.at.since(due) < Duration::from_millis(50), "{number}");
        assert_eq!(call.event["scheduleId"], schedule.id.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_of_an_hour_each_schedule_makes_up_for_what_it_says() {
    for (catch_up, wanted) in [
        (Some(CatchUp::None), vec![0, 3660]),
        (None, vec![0, 3600, 3660]),
        (Some(CatchUp::Latest), vec![0, 3600, 3660]),
        (Some(CatchUp::All), (0..=61).map(|minute| minute * 60).collect()),
    ] {
        let world = World::at_rest(100).await;
        world.function("hello", FunctionOptions::default()).await;
        let schedule = create(&world, NewSchedule { catch_up, ..every("hello", 60) }).await;
        tokio::time::sleep(HOUR + Duration::from_secs(30)).await;
        world.start();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut found: Vec<_> = world.lambda.calls().iter().map(|call| after_start(&schedule, &call.event)).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "{catch_up:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_most_a_hundred_missed_occurrences_are_made_up_for() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    create(&world, NewSchedule { catch_up: Some(CatchUp::All), ..every("hello", 1) }).await;
    tokio::time::sleep(HOUR).await;
    let before = world.now();
    world.start();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // The first one, at its time, the last 100 that were missed, and the one that is due now.
    assert_eq!(world.lambda.calls().len(), 102);
    assert!(world.now().since(before) < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn where_a_clock_starts_the_ticker_late_occurrences_are_not_missed() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let rule = |catch_up| NewSchedule { catch_up: Some(catch_up), ..every("hello", 60) };
    let (none, latest) = (create(&world, rule(CatchUp::None)).await, create(&world, rule(CatchUp::Latest)).await);
    tokio::time::sleep(Duration::from_secs(100)).await;
    world.ticker.tick().await.unwrap();
    for schedule in [&none, &latest] {
        assert_eq!(occurrences(&world, schedule).await, [0, 60]);
    }
    tokio::time::sleep(HOUR).await;
    world.ticker.tick().await.unwrap();
    // At 3700 s, what was due before 3520 s was missed.
    assert_eq!(occurrences(&world, &none).await[2..], [3540, 3600, 3660]);
    assert_eq!(occurrences(&world, &latest).await[2..], [3480, 3540, 3600, 3660]);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_skips_has_no_task_while_one_of_its_chain_has_not_ended() {
    let world = World::running(5).await;
    let retried = FunctionOptions {
        retry_policy: Some(tasklane_model::RetryPolicyChange::every_error()),
        ..FunctionOptions::default()
    };
    world.function("flaky", retried).await;
    world.lambda.throw("flaky", "Oops");
    let schedule = create(&world, NewSchedule { overlap: Some(Overlap::Skip), ..every("flaky", 5) }).await;
    tokio::time::sleep(Duration::from_secs(39)).await;
    // A chain takes 17 seconds: retries after 2, 5 and 10.
    let mut distinct = occurrences(&world, &schedule).await;
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct, [0, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_queues_runs_one_after_the_other_and_loses_none() {
    let world = World::running(5).await;
    world.function("slow", FunctionOptions::default()).await;
    world.lambda.take("slow", Duration::from_secs(4));
    let new = NewSchedule { overlap: Some(Overlap::Queue), ..every("slow", 1) };
    let end = world.now().saturating_add(Duration::from_secs(5));
    let schedule = create(&world, NewSchedule { end_timestamp: Some(end), ..new }).await;
    tokio::time::sleep(Duration::from_secs(23)).await;
    assert_eq!(world.lambda.most_running(), 1);
    let calls = world.lambda.calls();
    let at: Vec<_> = calls.iter().map(|call| call.at.since(schedule.start_timestamp).as_secs()).collect();
    assert_eq!(at, [0, 4, 8, 12, 16, 20], "each begins when the one before has ended");
    assert_eq!(occurrences(&world, &schedule).await, [0, 1, 2, 3, 4, 5]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.lambda.calls().len(), 6, "there is none after the end");
}

#[tokio::test(start_paused = true)]
async fn a_canceled_task_makes_room_for_the_next() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = create(&world, NewSchedule { overlap: Some(Overlap::Queue), ..every("hello", 60) }).await;
    tokio::time::sleep(Duration::from_secs(130)).await;
    world.ticker.tick().await.unwrap();
    assert_eq!(occurrences(&world, &schedule).await, [0]);
    let first = world.all_tasks().await.keys().next().unwrap().parse().unwrap();
    world.service.cancel_task(first).await.unwrap();
    assert_eq!(occurrences(&world, &schedule).await, [0, 60]);
}

#[tokio::test(start_paused = true)]
async fn at_most_a_hundred_occurrences_wait() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let new = NewSchedule { overlap: Some(Overlap::Queue), catch_up: Some(CatchUp::All), ..every("hello", 1) };
    let schedule = create(&world, new).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.ticker.tick().await.unwrap();
    }
    let record = world.store.schedules.record(schedule.id).await.unwrap().unwrap();
    assert_eq!((record.waiting.len(), record.schedule.next_timestamp > Some(world.now())), (100, true));
}

#[tokio::test(start_paused = true)]
async fn what_comes_due_during_a_pause_is_not_made_up_for() {
    let world = World::running(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = create(&world, NewSchedule { catch_up: Some(CatchUp::All), ..every("hello", 10) }).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.service.enable_schedule(schedule.id, false).await.unwrap();
    let paused = world.service.get_schedule(schedule.id).await.unwrap();
    assert_eq!((paused.enabled, paused.next_timestamp), (false, None));
    tokio::time::sleep(Duration::from_secs(20)).await;
    world.service.enable_schedule(schedule.id, true).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(occurrences(&world, &schedule).await, [0, 10, 40]);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_schedule_has_no_occurrence_twice_even_if_the_clock_was_set_back() {
    let world = World::running(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = create(&world, every("hello", 10)).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.service.enable_schedule(schedule.id, false).await.unwrap();
    let record = world.store.schedules.record(schedule.id).await.unwrap().unwrap();
    // As a process with a fast clock would have left it.
    let update_timestamp = schedule.start_timestamp.saturating_add(Duration::from_secs(30));
    let fast = Schedule { update_timestamp, ..record.schedule.clone() };
    assert!(world.store.schedules.replace(&record, &fast, world.now()).await.unwrap());
    world.service.enable_schedule(schedule.id, true).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(occurrences(&world, &schedule).await, [0, 10, 40]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_schedule_goes_on_with_its_new_times() {
    let world = World::running(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = create(&world, every("hello", 3600)).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    let interval = Some(Interval::from_secs(5).unwrap());
    let recurrence = tasklane_model::RecurrenceFields { interval, ..Default::default() };
    let change = ScheduleChange { recurrence, ..ScheduleChange::default() };
    world.service.update_schedule(schedule.id, change).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(occurrences(&world, &schedule).await, [0, 10, 15]);
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_creates_the_tasks_of_occurrences_that_are_due() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = create(&world, every("hello", 10)).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    work_shift(&world.dispatcher, &world.slots, &world.ports, shift_for(&world, [])).await.unwrap();
    assert_eq!(occurrences(&world, &schedule).await, [0, 10]);
    let tasks = world.all_tasks().await;
    assert!(tasks.values().all(|task| task["status"] == TaskStatus::Complete.as_str()), "{tasks:?}");
}

fn backfill(from: Timestamp, to: Timestamp) -> Backfill {
    Backfill { from, to, dry_run: false, per_second: None, reason: None }
}

#[tokio::test(start_paused = true)]
async fn past_occurrences_get_tasks_also_before_the_start() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = create(&world, every("hello", 10)).await;
    let start = schedule.start_timestamp;
    tokio::time::sleep(Duration::from_secs(25)).await;
    // One that the Schedule has created a Task for; the next two will come from it.
    let range = backfill(start.saturating_sub(Duration::from_secs(25)), start.saturating_add(Duration::from_secs(60)));
    let counted =
        world.service.backfill_schedule(&bob(), schedule.id, Backfill { dry_run: true, ..range.clone() }).await;
    let counted = counted.unwrap();
    assert_eq!((counted.id, counted.matches, counted.matches_is_exact), (None, 3, true));
    let begun = world.service.backfill_schedule(&bob(), schedule.id, range).await.unwrap();
    let before = world.now();
    world.ticker.tick().await.unwrap();
    let bulk = world.service.bulk(begun.id.unwrap()).await.unwrap();
    assert_eq!((bulk.status, bulk.done, bulk.matches), (BulkStatus::Complete, 3, 3));
    assert_eq!(bulk.schedule_id, Some(schedule.id));
    let tasks = world.all_tasks().await;
    let of_bob: Vec<_> = tasks.values().filter(|task| task["createdByUserId"] == "bob").collect();
    let mut times: Vec<Timestamp> =
        of_bob.iter().map(|task| task["occurrenceTimestamp"].as_str().unwrap().parse().unwrap()).collect();
    times.sort_unstable();
    let ten = Duration::from_secs(10);
    assert_eq!(times, [start.saturating_sub(2 * ten), start.saturating_sub(ten), start]);
    for task in of_bob {
        assert_eq!(task["scheduleId"], schedule.id.to_string());
        let starts: Timestamp = task["startTimestamp"].as_str().unwrap().parse().unwrap();
        assert!(starts >= before, "each starts at once: {task}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_is_repeated_creates_each_task_once() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = create(&world, every("hello", 10)).await;
    let start = schedule.start_timestamp;
    let range = backfill(start.saturating_sub(Duration::from_secs(30)), start.saturating_sub(Duration::from_secs(1)));
    let begun = world.service.backfill_schedule(&bob(), schedule.id, range.clone()).await.unwrap();
    let id = begun.id.unwrap();
    // A worker that writes its slice down and dies after one of its Tasks.
    let tasklane_store::BulkTaken::Work(mut work) = world.store.bulks.take(id, "dies").await.unwrap() else {
        panic!("nobody else works on it")
    };
    let ids: Vec<_> = (1..=3).rev().map(|n| start.saturating_sub(Duration::from_secs(10 * n))).collect();
    let ids: Vec<_> = ids.into_iter().map(tasklane_model::ObjectId::first_at).collect();
    let at = world.now().saturating_add(Duration::from_millis(1));
    work.slice = Some(tasklane_store::Slice { at, ids, next: None });
    assert!(world.store.bulks.save(&mut work).await.unwrap());
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(61)).await;
        world.ticker.tick().await.unwrap();
    }
    let bulk = world.service.bulk(id).await.unwrap();
    assert_eq!((bulk.status, bulk.done), (BulkStatus::Complete, 3));
    let made = world.all_tasks().await.values().filter(|task| task["createdByUserId"] == "bob").count();
    assert_eq!(made, 3);

    // A Schedule that is gone.
    let begun = world.service.backfill_schedule(&bob(), schedule.id, range).await.unwrap();
    world.service.delete_schedule(schedule.id).await.unwrap();
    world.ticker.tick().await.unwrap();
    let bulk = world.service.bulk(begun.id.unwrap()).await.unwrap();
    let skipped: Vec<_> = bulk.skipped.iter().map(|skipped| (skipped.reason, skipped.count.get())).collect();
    assert_eq!((bulk.status, skipped), (BulkStatus::Complete, vec![(SkipReason::NotFound, 3)]));
}
