//! With retention, finished records are deleted, and they are hidden as soon as they expire.

use std::time::Duration;

use tasklane::{
    model::TaskStatus,
    rql::{Query, Schema},
    store::CancelOutcome,
};

use super::{World, boom, records};

const DAY: Duration = Duration::from_secs(86_400);

async fn listed(world: &World) -> u64 {
    let total = async |query: &str| {
        let query = Query::parse(query, &Schema::TASKS).unwrap();
        let page = world.store.tasks.list(&query, world.now()).await.unwrap();
        (page.data.len() as u64, page.page.total.unwrap())
    };
    let (shown, all) = total("").await;
    assert_eq!(shown, all);
    // The others are included in the total but not shown, because an index does not know which have expired.
    assert_eq!(total("limit(0)").await.1, all);
    assert_eq!(total("functionName=f&limit(0)").await.1, all);
    all
}

#[tokio::test]
async fn a_finished_task_is_hidden_as_soon_as_it_expires() {
    let world = World::with(|config| config.retention = Some(DAY)).await;
    let tasks = &world.store.tasks;
    let (completed, run) = world.running().await;
    assert!(tasks.complete(completed, &run.attempt, None, world.now()).await.unwrap());
    let canceled = world.create(&world.task()).await;
    assert!(matches!(tasks.cancel(canceled, world.now()).await.unwrap(), CancelOutcome::Canceled(_)));
    let open = world.create(&world.task()).await;

    world.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(listed(&world).await, 3);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(listed(&world).await, 1);
    assert_eq!(tasks.get(completed).await.unwrap(), None);
    assert_eq!(tasks.cancel(canceled, world.now()).await.unwrap(), CancelOutcome::Unknown);
    assert_eq!(world.status(open).await, TaskStatus::New);
}

#[tokio::test]
async fn a_failure_stays_until_its_event_is_published() {
    let world = World::with(|config| config.retention = Some(DAY)).await;
    let tasks = &world.store.tasks;
    let (id, run) = world.running().await;
    assert!(tasks.fail(id, &run.attempt, &boom(), None, world.now()).await.unwrap());
    world.clock.advance(10 * DAY);
    assert_eq!(tasks.unpublished(10).await.unwrap().len(), 1);
    tasks.mark_published(id).await.unwrap();
    assert_eq!(world.status(id).await, TaskStatus::Failed);
    world.clock.advance(DAY);
    assert_eq!(tasks.get(id).await.unwrap(), None);
}

#[tokio::test]
async fn without_retention_everything_stays() {
    let world = World::new().await;
    let (id, run) = world.running().await;
    assert!(world.store.tasks.complete(id, &run.attempt, None, world.now()).await.unwrap());
    let request = records::api_request(&world, "f");
    world.store.api_requests.put(&request).await.unwrap();
    world.clock.advance(5000 * DAY);
    assert_eq!(world.status(id).await, TaskStatus::Complete);
    assert!(world.store.api_requests.get(request.id).await.unwrap().is_some());
}

#[tokio::test]
async fn api_requests_expire_too() {
    let world = World::with(|config| config.retention = Some(DAY)).await;
    let request = records::api_request(&world, "f");
    world.store.api_requests.put(&request).await.unwrap();
    assert!(world.store.api_requests.get(request.id).await.unwrap().is_some());
    world.clock.advance(DAY);
    assert!(world.store.api_requests.get(request.id).await.unwrap().is_none());
    let page = world.store.api_requests.list(&Query::everything(), world.now()).await.unwrap();
    assert_eq!((page.data.len(), page.page.total), (0, Some(0)));
}

#[tokio::test]
async fn lists_skip_the_days_that_retention_has_emptied() {
    let world = World::new().await;
    for _ in 0..200 {
        world.create(&world.task()).await;
        world.clock.advance(DAY);
    }
    let table = format!("{}-tasks", world.prefix);
    let page = world.client.scan().table_name(&table).send().await.unwrap();
    for item in page.items() {
        let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone()));
        world.client.delete_item().table_name(&table).set_key(Some(key.into())).send().await.unwrap();
    }
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(world.create(&world.task()).await);
        world.clock.advance(DAY);
    }
    for (text, sort) in [("skipCount()", false), ("skipCount()&sort(-id)&limit(50)", true)] {
        let query = Query::parse(text, &tasklane::rql::Schema::TASKS).unwrap();
        let page = world.store.tasks.list(&query, world.now()).await.unwrap();
        let ids: Vec<_> = page.data.iter().map(|task| task.to_value()["id"].as_str().unwrap().to_owned()).collect();
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        if sort {
            expected.reverse();
        }
        assert_eq!(ids, expected, "{text}");
    }
}
