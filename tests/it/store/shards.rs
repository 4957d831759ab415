//! Several shards, and a changed number of shards.

use std::time::Duration;

use tasklane::{
    model::{Lane, ObjectId},
    rql::Query,
    store::Store,
};

use super::World;

async fn all(store: &Store, world: &World) -> Vec<ObjectId> {
    let mut query = Query::everything();
    query.window.limit = 50;
    let page = store.tasks.list(&query, world.now()).await.unwrap();
    assert_eq!(page.page.total, Some(page.data.len() as u64));
    page.data.iter().map(|task| task.to_value()["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn shards_are_merged_into_one_order_everywhere() {
    let world = World::with(|config| config.shards = 4).await;
    let mut created = Vec::new();
    for _ in 0..30 {
        created.push(world.create(&world.task()).await);
    }
    assert_eq!(world.heads().await, created);
    assert_eq!(all(&world.store, &world).await, created);
    let mut backwards = Query::parse("sort(-id)&limit(50)", &tasklane::rql::Schema::TASKS).unwrap();
    let page = world.store.tasks.list(&backwards, world.now()).await.unwrap();
    let ids: Vec<ObjectId> =
        page.data.iter().map(|task| task.to_value()["id"].as_str().unwrap().parse().unwrap()).collect();
    assert!(ids.iter().eq(created.iter().rev()));
    backwards.window.limit = 7;
    backwards.window.offset = 9;
    let page = world.store.tasks.list(&backwards, world.now()).await.unwrap();
    assert_eq!((page.data.len(), page.page.total), (7, Some(30)));
    assert_eq!(page.data[0].to_value()["id"], created[20].to_string());
    for id in created {
        assert!(world.store.tasks.get(id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn all_records_stay_visible_when_the_number_of_shards_changes() {
    let world = World::with(|config| config.shards = 4).await;
    let mut created = Vec::new();
    for _ in 0..12 {
        created.push(world.create(&world.task()).await);
    }
    for shards in [1, 2, 9] {
        world.clock.advance(Duration::from_secs(3600));
        let store = world.another_store(|config| config.shards = shards);
        let task = world.task();
        store.tasks.create(&task, Lane::Shared, world.now()).await.unwrap();
        created.push(task.id);
        let heads = store.tasks.heads(&[tasklane::store::QueueLane::Shared], 100).await.unwrap();
        assert_eq!(heads.iter().map(|head| head.id).collect::<Vec<_>>(), created, "{shards} shards");
        assert_eq!(all(&store, &world).await, created, "{shards} shards");
        for id in &created {
            assert!(store.tasks.get(*id).await.unwrap().is_some(), "{shards} shards");
        }
    }
}
