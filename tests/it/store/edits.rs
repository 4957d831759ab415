//! Tasks that are changed before they start.

use std::time::Duration;

use tasklane::{
    model::{Json, Lane, Priority, QueuedTimeout, Task, TaskStatus},
    store::{Edited, Expired, NewData, QueueLane, TaskEdit},
};

use super::{World, again, boom};

fn start_in(world: &World, seconds: u64) -> TaskEdit {
    TaskEdit { start: Some(world.now().saturating_add(Duration::from_secs(seconds))), ..TaskEdit::default() }
}

fn priority(priority: i64) -> TaskEdit {
    TaskEdit { priority: Priority::new(priority).ok(), ..TaskEdit::default() }
}

fn text(bytes: usize) -> Option<Json> {
    Some(Json::parse(format!("\"{}\"", "y".repeat(bytes - 2))).unwrap())
}

impl World {
    async fn edit(&self, task: &Task, edit: TaskEdit) -> Edited {
        self.store.tasks.edit_new(task.id, self.now(), |_| Some(edit.clone())).await.unwrap()
    }
}

#[tokio::test]
async fn a_due_task_can_wait_again_and_a_waiting_one_can_be_due() {
    let world = World::new().await;
    let task = world.task();
    world.create(&task).await;
    world.clock.advance(Duration::from_secs(1));
    let edit = start_in(&world, 10);
    let Edited::Done(changed) = world.edit(&task, edit.clone()).await else { panic!("not changed") };
    assert_eq!((changed.start_timestamp, changed.update_timestamp), (edit.start.unwrap(), world.now()));
    assert_eq!(world.get(task.id).await.task, *changed);
    assert!(world.heads().await.is_empty());
    assert_eq!(world.store.tasks.earliest_waiting().await.unwrap(), edit.start);

    let Edited::Done(changed) = world.edit(&task, start_in(&world, 0)).await else { panic!("not changed") };
    assert_eq!(world.heads().await, [task.id]);
    assert_eq!(world.store.tasks.earliest_waiting().await.unwrap(), None);
    assert_eq!(world.get(task.id).await.task, *changed);
}

#[tokio::test]
async fn a_new_priority_changes_the_order_and_survives_the_promotion() {
    let world = World::new().await;
    let (first, second) = (world.task(), world.task());
    world.create(&first).await;
    world.create(&second).await;
    assert_eq!(world.heads().await, [first.id, second.id]);
    assert!(matches!(world.edit(&second, priority(1)).await, Edited::Done(_)));
    assert_eq!(world.heads().await, [second.id, first.id]);

    let mut later = world.task();
    later.start_timestamp = world.now().saturating_add(Duration::from_secs(5));
    world.create(&later).await;
    assert!(matches!(world.edit(&later, priority(2)).await, Edited::Done(_)));
    assert_eq!(world.heads().await, [second.id, first.id]);
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.store.tasks.promote_due(world.now(), 10).await.unwrap().moved, 1);
    assert_eq!(world.heads().await, [later.id, second.id, first.id]);
}

#[tokio::test]
async fn a_task_of_a_function_with_its_own_lane_returns_to_that_lane() {
    let world = World::new().await;
    let task = world.task();
    world.store.tasks.create(&task, Lane::Own, world.now()).await.unwrap();
    world.edit(&task, start_in(&world, 10)).await;
    world.edit(&task, start_in(&world, 0)).await;
    assert!(world.heads().await.is_empty());
    let own = world.store.tasks.heads(&[QueueLane::Own(task.function_name)], 1).await.unwrap();
    assert_eq!(own[0].id, task.id);
}

#[tokio::test]
async fn a_claim_or_a_promotion_that_saw_the_task_elsewhere_does_nothing() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let task = world.task();
    world.create(&task).await;
    let seen = world.candidates().await.remove(0);
    world.edit(&task, start_in(&world, 10)).await;
    assert!(tasks.claim(&seen, &world.run(), world.now()).await.unwrap().is_none());
    world.edit(&task, start_in(&world, 0)).await;
    world.edit(&task, priority(3)).await;
    assert!(tasks.claim(&seen, &world.run(), world.now()).await.unwrap().is_none());
    let seen = world.candidates().await.remove(0);
    assert!(tasks.claim(&seen, &world.run(), world.now()).await.unwrap().is_some());

    assert_eq!(world.edit(&task, priority(4)).await, Edited::NotNew(TaskStatus::InProgress));
    assert_eq!(world.get(task.id).await.task.priority.get(), 3);
    assert_eq!(world.edit(&world.task(), priority(4)).await, Edited::Unknown);
}

#[tokio::test]
async fn a_change_that_changes_nothing_writes_nothing() {
    let world = World::new().await;
    let task = world.task();
    world.create(&task).await;
    world.wire.forget();
    assert_eq!(world.edit(&task, priority(0)).await, Edited::Done(Box::new(task.clone())));
    let unwanted = world.store.tasks.edit_new(task.id, world.now(), |_| None).await.unwrap();
    assert_eq!(unwanted, Edited::Unchanged(Box::new(task)));
    assert!(world.wire.write_units() < 0.5);
}

#[tokio::test]
async fn concurrent_changes_of_one_task_are_all_made() {
    let world = World::new().await;
    let mut task = world.task();
    task.data = Some(Json::parse("[]".to_owned()).unwrap());
    world.create(&task).await;
    let append = |number: usize| {
        let id = world.id();
        let tasks = &world.store.tasks;
        async move {
            let add = |task: &Task| {
                let mut list = task.data.as_ref().unwrap().to_value();
                list.as_array_mut().unwrap().push(format!("{number}{}", "z".repeat(1000)).into());
                let data = NewData { data: Some(Json::from(list)), id };
                Some(TaskEdit { data: Some(data), ..TaskEdit::default() })
            };
            tasks.edit_new_with_data(task.id, task.creation_timestamp, add).await.unwrap()
        }
    };
    let edits = futures::future::join_all((0..6).map(append)).await;
    assert!(edits.iter().all(|edited| matches!(edited, Edited::Done(_))));
    assert_eq!(world.get(task.id).await.task.data.unwrap().to_value().as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn data_of_any_size_replaces_data_of_any_size() {
    let world = World::new().await;
    let sizes = [10, 5000, 6000, 20, 30, 7000];
    let task = world.task();
    world.create(&task).await;
    for bytes in sizes {
        let data = Some(NewData { data: text(bytes), id: world.id() });
        let edited = world.edit(&task, TaskEdit { data, ..TaskEdit::default() }).await;
        assert!(matches!(edited, Edited::Done(_)), "{edited:?}");
        assert_eq!(world.get(task.id).await.task.data, text(bytes));
    }
    let (candidate, run) = (world.candidates().await.remove(0), world.run());
    let claimed = world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    assert_eq!(claimed.task.data, text(7000));

    // The retry shares the data, and its own change leaves that of the Task before it.
    let mut next = world.task();
    next.data = text(7000);
    next.retry_for_task_ids = vec![task.id];
    let mut after = again(&next);
    after.data = claimed.data;
    assert!(world.store.tasks.retry(task.id, &run.attempt, &boom(), None, after, world.now()).await.unwrap());
    assert_eq!(world.get(next.id).await.task.data, text(7000));
    let data = Some(NewData { data: text(9000), id: world.id() });
    world.edit(&next, TaskEdit { data, ..TaskEdit::default() }).await;
    world.clock.advance(Duration::from_secs(10 * 24 * 3600));
    assert_eq!(world.get(next.id).await.task.data, text(9000));
    assert_eq!(world.get(task.id).await.task.data, text(7000));
}

#[tokio::test]
async fn a_task_that_may_not_wait_for_ever_expires_by_its_new_start() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let mut task = world.task();
    task.options.timeouts.queued = QueuedTimeout::new(60).ok();
    world.create(&task).await;
    world.edit(&task, start_in(&world, 100)).await;
    world.clock.advance(Duration::from_secs(60));
    assert!(tasks.expiring(world.now(), 10).await.unwrap().is_empty());

    // Earlier again: 10 s from now, so it expires in 70 s.
    world.edit(&task, start_in(&world, 10)).await;
    world.clock.advance(Duration::from_millis(69_999));
    assert!(tasks.expiring(world.now(), 10).await.unwrap().is_empty());
    world.clock.advance(Duration::from_millis(1));
    let companion = tasks.expiring(world.now(), 10).await.unwrap().remove(0);
    assert!(matches!(tasks.settle_expiring(&companion, world.now()).await.unwrap(), Expired::Failed(_)));
    assert!(tasks.earliest_expiring().await.unwrap().is_none());
    assert_eq!(world.edit(&task, priority(1)).await, Edited::NotNew(TaskStatus::Failed));
}

#[tokio::test]
async fn a_task_that_is_added_once_more_stays_as_it_was_changed() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let mut task = world.task();
    task.options.timeouts.queued = QueuedTimeout::new(60).ok();
    task.start_timestamp = world.now().saturating_add(Duration::from_secs(100));
    world.create(&task).await;
    let Edited::Done(changed) = world.edit(&task, start_in(&world, 0)).await else { panic!("not changed") };

    world.create(&task).await;
    assert_eq!(world.get(task.id).await.task, *changed);
    assert_eq!(world.heads().await, [task.id]);
    world.clock.advance(Duration::from_secs(60));
    let companion = tasks.expiring(world.now(), 10).await.unwrap().remove(0);
    assert!(matches!(tasks.settle_expiring(&companion, world.now()).await.unwrap(), Expired::Failed(_)));
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_not_made_twice() {
    let world = World::new().await;
    for queued in [None, QueuedTimeout::new(60).ok()] {
        let mut task = world.task();
        task.options.timeouts.queued = queued;
        world.create(&task).await;
        world.wire.lose_answers(if queued.is_some() { "TransactWriteItems" } else { "UpdateItem" }, 1);
        let edited = world.edit(&task, priority(5)).await;
        let Edited::Done(changed) = edited else { panic!("{edited:?}") };
        assert_eq!(world.get(task.id).await.task, *changed);
    }
}
