//! Large data: it has a row of its own, and readers of the Task cannot tell.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tasklane::{
    model::{Json, Lane, ObjectId, Task, TaskEvents, TaskStatus},
    rql::{Query, Schema},
    store::{CancelOutcome, DataPlace, NextTask},
};

use super::{World, boom};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A Task whose data has `bytes` bytes, and a field to filter by.
fn large(world: &World, bytes: usize, n: u64) -> Task {
    let frame = json!({ "n": n, "text": "" }).to_string().len();
    let data = json!({ "n": n, "text": "x".repeat(bytes - frame) }).to_string();
    assert_eq!(data.len(), bytes);
    Task { data: Some(Json::parse(data).unwrap()), ..world.task() }
}

/// The rows of large data: the size of each, and when it expires.
async fn data_rows(world: &World) -> Vec<(String, usize, Option<i64>)> {
    let rows = world.client.scan().table_name(format!("{}-tasks", world.prefix)).send().await.unwrap();
    let rows = rows.items.unwrap_or_default().into_iter().filter(|row| row["pk"].as_s().unwrap().starts_with("data:"));
    let mut rows: Vec<_> = rows
        .map(|row| {
            let expires = row.get("expires").map(|expires| expires.as_n().unwrap().parse().unwrap());
            (row["sk"].as_s().unwrap().clone(), row["data"].as_s().unwrap().len(), expires)
        })
        .collect();
    rows.sort();
    rows
}

async fn list(world: &World, query: &str) -> Vec<Value> {
    let query = Query::parse(query, &Schema::TASKS).unwrap();
    let page = world.store.tasks.list(&query, world.now()).await.unwrap();
    page.data.iter().map(Json::to_value).collect()
}

#[tokio::test]
async fn data_of_four_kilobytes_or_more_has_its_own_row() {
    let world = World::new().await;
    let (below, from) = (large(&world, 4095, 1), large(&world, 4096, 2));
    for task in [&below, &from] {
        world.create(task).await;
        assert_eq!(world.get(task.id).await.task, *task);
    }
    assert_eq!(world.get(below.id).await.data, DataPlace::Inside);
    assert_eq!(world.get(from.id).await.data, DataPlace::Apart(from.id));
    assert_eq!(data_rows(&world).await, [(from.id.to_string(), 4096, None)]);
}

#[tokio::test]
async fn a_claim_and_a_retry_come_with_the_data_and_share_its_row() {
    let world = World::new().await;
    let task = large(&world, 300_000, 1);
    world.create(&task).await;
    let (candidate, run) = (world.candidates().await.remove(0), world.run());
    let claimed = world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    assert_eq!(claimed.task.data, task.data);

    let next = Task::retry_of(&claimed.task, world.id(), world.now(), Duration::ZERO);
    let retry =
        NextTask { task: &next, queue: Lane::Shared, data: claimed.data, events: TaskEvents::default(), ran: None };
    assert!(world.store.tasks.retry(task.id, &run.attempt, &boom(), None, retry, world.now()).await.unwrap());
    for id in [task.id, next.id] {
        assert_eq!(world.get(id).await.task.data, task.data);
    }
    let (candidate, run) = (world.candidates().await.remove(0), world.run());
    assert_eq!(candidate.id, next.id);
    let claimed = world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    assert_eq!((claimed.task.data, claimed.data), (task.data, DataPlace::Apart(task.id)));
    assert_eq!(data_rows(&world).await.len(), 1);
}

#[tokio::test]
async fn a_claim_gets_the_data_even_if_responses_are_lost() {
    let world = World::new().await;
    let task = large(&world, 5000, 1);
    world.create(&task).await;
    let (candidate, run) = (world.candidates().await.remove(0), world.run());
    world.wire.lose_answers("GetItem", 3);
    let claimed = world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    assert_eq!(claimed.task.data, task.data);
}

#[tokio::test]
async fn lists_show_large_data_and_filter_and_sort_by_it() {
    let world = World::new().await;
    let mut tasks = Vec::new();
    for n in 0..30_u64 {
        let task = if n % 3 == 0 { large(&world, 5000, 30 - n) } else { large(&world, 100, 30 - n) };
        world.create(&task).await;
        tasks.push(task);
    }
    let data = |task: &Task| task.data.as_ref().unwrap().to_value();
    let all: Vec<Value> = tasks.iter().map(data).collect();
    let shown = |listed: &[Value]| listed.iter().map(|task| task["data"].clone()).collect::<Vec<_>>();

    assert_eq!(shown(&list(&world, "limit(30)").await), all);
    assert_eq!(shown(&list(&world, "functionName=f&limit(30)").await), all);
    assert_eq!(shown(&list(&world, "status=new&limit(10,3)").await), all[3..13]);
    assert_eq!(shown(&list(&world, "data.n=27").await), [data(&tasks[3])]);
    assert_eq!(shown(&list(&world, "sort(data.n)&limit(30)").await), all.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(shown(&list(&world, &format!("id={}", tasks[3].id)).await), [data(&tasks[3])]);
    let selected = list(&world, "data.n=27&select(data.n)").await;
    assert_eq!(selected[0]["data"], json!({ "n": 27 }));
}

#[tokio::test]
async fn a_withdrawn_task_leaves_no_data() {
    let world = World::new().await;
    let mut direct = large(&world, 5000, 1);
    direct.status = TaskStatus::InProgress;
    let run = world.run();
    assert!(world.store.tasks.create_running(&direct, &run).await.unwrap());
    assert_eq!(world.get(direct.id).await.task.data, direct.data);
    world.store.tasks.withdraw(direct.id, &run.attempt).await.unwrap();
    assert!(world.store.tasks.get(direct.id).await.unwrap().is_none());
    assert_eq!(data_rows(&world).await, []);
}

#[tokio::test]
async fn an_occurrence_keeps_its_data_and_one_that_came_too_late_leaves_none() {
    let world = World::new().await;
    let schedule = super::records::schedule(&world);
    world.store.schedules.create(&schedule).await.unwrap();
    let next = world.now().saturating_add(DAY);
    let (first, late) = (large(&world, 5000, 1), large(&world, 5000, 2));
    assert!(super::records::materialise(&world, &schedule, next, &first).await);
    assert!(!super::records::materialise(&world, &schedule, next, &late).await);
    assert_eq!(world.get(first.id).await.task.data, first.data);
    assert_eq!(data_rows(&world).await, [(first.id.to_string(), 5000, None)]);
}

#[tokio::test]
async fn a_page_reads_the_large_data_of_all_its_records_at_once() {
    let world = World::new().await;
    for n in 0..30_u64 {
        world.create(&large(&world, if n % 3 == 0 { 5000 } else { 100 }, n)).await;
    }
    let before = world.wire.calls("BatchGetItem");
    let listed = list(&world, "priority=0&limit(30)").await;
    let numbers: Vec<u64> = listed.iter().map(|task| task["data"]["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
    assert_eq!(world.wire.calls("BatchGetItem") - before, 1);
}

#[tokio::test]
async fn a_cancellation_holds_even_if_its_data_cannot_expire() {
    let world = World::with(|config| config.retention = Some(30 * DAY)).await;
    let task = large(&world, 5000, 1);
    world.create(&task).await;
    let (key, _, _) = data_rows(&world).await.remove(0);
    let table = format!("{}-tasks", world.prefix);
    let row = world.client.scan().table_name(&table).send().await.unwrap().items.unwrap_or_default();
    let mut row = row.into_iter().find(|row| row["pk"].as_s().unwrap().starts_with("data:")).unwrap();
    assert_eq!(row["sk"].as_s().unwrap(), &key);
    // A later version wrote it, so this one leaves it alone.
    row.insert("v".to_owned(), AttributeValue::N("3".to_owned()));
    world.client.put_item().table_name(&table).set_item(Some(row)).send().await.unwrap();
    assert!(matches!(world.store.tasks.cancel(task.id, world.now()).await.unwrap(), CancelOutcome::Canceled(_)));
    assert_eq!(data_rows(&world).await, [(key, 5000, None)]);
}

#[tokio::test]
async fn data_of_a_canceled_task_expires_even_if_the_task_is_added_once_more() {
    let world = World::with(|config| config.retention = Some(30 * DAY)).await;
    let task = large(&world, 5000, 1);
    world.create(&task).await;
    world.store.tasks.cancel(task.id, world.now()).await.unwrap();
    // Its row is left as the creation writes it, as if it had been added again in the middle of the cancellation.
    let table = format!("{}-tasks", world.prefix);
    let rows = world.client.scan().table_name(&table).send().await.unwrap().items.unwrap_or_default();
    let mut row = rows.into_iter().find(|row| row["pk"].as_s().unwrap().starts_with("data:")).unwrap();
    row.remove("expires");
    world.client.put_item().table_name(&table).set_item(Some(row)).send().await.unwrap();
    world.create(&task).await;
    let after = i64::try_from((31 * DAY).as_secs()).unwrap();
    assert_eq!(data_rows(&world).await, [(task.id.to_string(), 5000, Some(world.now().as_secs() + after))]);
}

#[tokio::test]
async fn data_expires_after_the_last_task_that_shares_it() {
    let world = World::with(|config| config.retention = Some(30 * DAY)).await;
    let ends: [(&str, ObjectId); 3] = {
        let tasks = &world.store.tasks;
        let [complete, canceled, failed] = [1, 2, 3].map(|n| large(&world, 5000, n));
        for task in [&complete, &failed] {
            world.create(task).await;
            let (candidate, run) = (world.candidates().await.remove(0), world.run());
            tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
            if task.id == complete.id {
                assert!(tasks.complete(task.id, &run.attempt, None, world.now()).await.unwrap());
            } else {
                assert!(tasks.fail(task.id, &run.attempt, &boom(), None, world.now()).await.unwrap());
                tasks.mark_published(task.id).await.unwrap();
            }
        }
        world.create(&canceled).await;
        tasks.cancel(canceled.id, world.now()).await.unwrap();
        [("complete", complete.id), ("canceled", canceled.id), ("failed", failed.id)]
    };
    let after = i64::try_from((31 * DAY).as_secs()).unwrap();
    let rows = data_rows(&world).await;
    for (end, id) in ends {
        let row = rows.iter().find(|(sk, ..)| *sk == id.to_string()).unwrap();
        assert_eq!(row.2, Some(world.now().as_secs() + after), "{end}");
    }
}
