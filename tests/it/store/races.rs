//! Concurrent calls.

use std::{collections::HashSet, sync::Arc};

use futures::future::join_all;
use tasklane::{
    model::TaskStatus,
    rql::{Query, Schema},
    store::{CancelOutcome, QueueLane, Store},
};

use super::{World, again, boom, function, run_of};

const MANY: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_task_is_claimed_once_even_if_several_dispatchers_read_the_same_heads() {
    let world = Arc::new(World::new().await);
    let mut created = HashSet::new();
    for _ in 0..40 {
        created.insert(world.create(&world.task()).await);
    }
    let dispatchers = (0..MANY).map(|dispatcher| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            loop {
                let heads = world.store.tasks.heads(&[QueueLane::Shared], 5).await.unwrap();
                if heads.is_empty() {
                    return claimed;
                }
                for head in heads {
                    let run = run_of(world.now(), &format!("dispatcher-{dispatcher}"));
                    if let Some(record) = world.store.tasks.claim(&head, &run, world.now()).await.unwrap() {
                        assert_eq!(record.run, Some(run));
                        claimed.push(record.task.id);
                    }
                }
            }
        })
    });
    let claimed: Vec<_> = join_all(dispatchers).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(claimed.len(), created.len());
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), created);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_task_is_either_claimed_or_canceled() {
    let world = Arc::new(World::new().await);
    for _ in 0..20 {
        world.create(&world.task()).await;
        let candidate = world.candidates().await.remove(0);
        let (run, now) = (world.run(), world.now());
        let (claimed, canceled) = tokio::join!(
            tokio::spawn({
                let (world, candidate) = (Arc::clone(&world), candidate.clone());
                async move { world.store.tasks.claim(&candidate, &run, now).await.unwrap() }
            }),
            tokio::spawn({
                let world = Arc::clone(&world);
                async move { world.store.tasks.cancel(candidate.id, now).await.unwrap() }
            })
        );
        match (claimed.unwrap(), canceled.unwrap()) {
            (Some(_), CancelOutcome::NotNew(TaskStatus::InProgress)) | (None, CancelOutcome::Canceled(_)) => {}
            (claimed, canceled) => panic!("{canceled:?} and {claimed:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_has_only_one_outcome() {
    let world = Arc::new(World::new().await);
    let (id, run) = world.running().await;
    let next = world.task();
    let outcomes = (0..MANY).map(|n| {
        let (world, run, next) = (Arc::clone(&world), run.clone(), next.clone());
        tokio::spawn(async move {
            let (tasks, now) = (&world.store.tasks, world.now());
            match n % 3 {
                0 => (TaskStatus::Complete, tasks.complete(id, &run.attempt, None, now).await.unwrap()),
                1 => (TaskStatus::Failed, tasks.fail(id, &run.attempt, &boom(), None, now).await.unwrap()),
                _ => {
                    let retried = tasks.retry(id, &run.attempt, &boom(), None, again(&next), now).await;
                    (TaskStatus::Retried, retried.unwrap())
                }
            }
        })
    });
    let outcomes: Vec<_> = join_all(outcomes).await.into_iter().map(Result::unwrap).collect();
    let written = world.status(id).await;
    for (status, done) in outcomes {
        // Repeating the same outcome succeeds, because it is already written.
        assert_eq!(done, status == written, "{status} when it is {written}");
    }
    assert_eq!(world.store.tasks.get(next.id).await.unwrap().is_some(), written == TaskStatus::Retried);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_tickers_promote_each_task_once() {
    let world = Arc::new(World::new().await);
    let mut created = Vec::new();
    for _ in 0..30 {
        let mut task = world.task();
        task.start_timestamp = task.start_timestamp.saturating_add(std::time::Duration::from_secs(1));
        created.push(world.create(&task).await);
    }
    world.clock.advance(std::time::Duration::from_secs(1));
    let tickers = (0..4).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.store.tasks.promote_due(world.now(), 100).await.unwrap().moved })
    });
    let promoted: usize = join_all(tickers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(promoted, created.len());
    assert_eq!(world.heads().await, created);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_occurrence_creates_one_task_even_if_several_tickers_see_it() {
    let world = Arc::new(World::new().await);
    let schedule = super::records::schedule(&world);
    world.store.schedules.create(&schedule).await.unwrap();
    let next = schedule.occurrence_after(world.now()).unwrap();
    let tickers = (0..MANY).map(|_| {
        let (world, schedule) = (Arc::clone(&world), schedule.clone());
        tokio::spawn(async move {
            let task = world.task();
            super::records::materialise(&world, &schedule, next, &task).await
        })
    });
    let made: Vec<_> = join_all(tickers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    assert_eq!(world.heads().await.len(), 1);
    assert_eq!(world.store.schedules.get(schedule.id).await.unwrap().unwrap().next_timestamp, Some(next));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_name_can_belong_to_only_one_function() {
    let world = Arc::new(World::new().await);
    let creators = (0..MANY).map(|n| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut mine = super::records::a_function(&world, "f");
            mine.configuration.description = Some(n.to_string());
            world.store.functions.create(&mine).await.unwrap().then_some(mine)
        })
    });
    let created: Vec<_> = join_all(creators).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(created.len(), 1);
    assert_eq!(world.store.functions.get(&function("f")).await.unwrap().unwrap().value, created[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_simultaneous_deletions_exactly_one_succeeds() {
    let world = Arc::new(World::new().await);
    let (f, schedule) = (super::records::a_function(&world, "f"), super::records::schedule(&world));
    let credential = super::records::credential(&world, "a");
    assert!(world.store.functions.create(&f).await.unwrap());
    world.store.schedules.create(&schedule).await.unwrap();
    world.store.credentials.put(&credential).await.unwrap();
    let removals = (0..MANY).map(|_| {
        let (world, name) = (Arc::clone(&world), f.name.clone());
        tokio::spawn(async move {
            let Store { functions, schedules, credentials, .. } = &world.store;
            [
                functions.delete(&name).await.unwrap(),
                schedules.delete(schedule.id).await.unwrap(),
                credentials.revoke(credential.id).await.unwrap(),
            ]
        })
    });
    let removals: Vec<_> = join_all(removals).await.into_iter().map(Result::unwrap).collect();
    for kind in 0..3 {
        assert_eq!(removals.iter().filter(|removed| removed[kind]).count(), 1, "{removals:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lists_can_be_read_on_any_thread_during_writes() {
    let world = Arc::new(World::with(|config| config.shards = 3).await);
    let lists = (0..8).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            world.create(&world.task()).await;
            let mut totals = Vec::new();
            for query in ["", "functionName=f", "status=new", "sort(-priority)"] {
                let query = Query::parse(query, &Schema::TASKS).unwrap();
                let page = world.store.tasks.list(&query, world.now()).await.unwrap();
                totals.push(page.page.total.unwrap());
            }
            assert!(totals.is_sorted(), "{totals:?}");
        })
    });
    join_all(lists).await.into_iter().for_each(Result::unwrap);
}
