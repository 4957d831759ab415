//! The cost of a Task's life, counted from ConsumedCapacity and compared with the table in docs/access-patterns.md.

use std::{collections::BTreeMap, time::Duration};

use tasklane::{
    model::{
        Bulk, BulkCreated, BulkOrder, BulkSelection, DebounceKey, FlowKey, Json, Lane, NewBulk, ObjectId, Priority,
        QueuedTimeout, Tags, Task, TaskEventKind, TaskOrigin, TaskStatus, Timestamp,
    },
    ports::Keep,
    store::{
        BulkSpec, BulkTaken, Consequences, Edited, Expired, Following, Found, GateId, NewData, Place, ReadGate,
        RegisteredRun, ResultPlace, Run, RunnerId, RunsIn, Slice, SlotScope, TaskEdit,
    },
};

use super::{
    World, again, boom, function,
    intents::{intent_of, once, once_scope},
};

fn later_by(world: &World, seconds: u64) -> Timestamp {
    world.now().saturating_add(Duration::from_secs(seconds))
}

fn following(then: &Following) -> Consequences<'_> {
    Consequences { then: Some(then), ..Consequences::default() }
}

#[tokio::test]
async fn the_documented_write_units_match_those_of_dynamodb() {
    let mut counted = BTreeMap::new();
    let mut count = |what: &str, world: &World| {
        counted.insert(what.to_owned(), world.wire.write_units());
        world.wire.forget();
    };
    // As on AWS.
    let world = World::with(|config| config.runs_in = RunsIn::Register).await;
    // The first Task of a day also writes the day's row, which is counted separately.
    world.create(&world.task()).await;
    count("the first task of a day", &world);
    claimed(&world).await;
    world.wire.forget();

    world.create(&world.task()).await;
    count("create", &world);
    let (candidate, run) = (world.candidates().await.remove(0), world.run());
    register(&world, &[(candidate.id, &run)]).await;
    count("register a run", &world);
    world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    count("claim", &world);
    assert!(world.store.tasks.complete(candidate.id, &run.attempt, Some("request"), world.now()).await.unwrap());
    count("complete", &world);

    let (keyed, once) = (world.task(), once("key", "{}"));
    world.store.intents.begin(&once_scope("tasks"), &once, intent_of(&keyed)).await.unwrap();
    world.create(&keyed).await;
    count("create, with an idempotency key", &world);
    world.store.tasks.cancel(keyed.id, world.now()).await.unwrap();
    world.wire.forget();

    world.create(&world.task()).await;
    let (id, run) = claimed(&world).await;
    world.wire.forget();
    let then = Following { task: world.task(), queue: Lane::Shared };
    assert!(world.store.tasks.complete_then(id, &run.attempt, None, following(&then), world.now()).await.unwrap());
    count("complete, the task that follows with it", &world);
    world.store.tasks.cancel(then.task.id, world.now()).await.unwrap();
    world.wire.forget();

    let (debounced, key) =
        (Task { start_timestamp: later_by(&world, 60), ..world.task() }, DebounceKey::parse("k").unwrap());
    assert!(world.store.debounces.add(&debounced, Lane::Shared, &key, None, world.now()).await.unwrap());
    count("create, debounced", &world);
    let edit = |_: &Task| {
        let data = NewData { data: Json::parse("1".into()).ok(), id: debounced.id };
        Some(TaskEdit { start: Some(later_by(&world, 90)), data: Some(data), ..TaskEdit::default() })
    };
    world.store.tasks.edit_new_with_data(debounced.id, world.now(), edit).await.unwrap();
    count("change a debounced task", &world);
    world.store.tasks.cancel(debounced.id, world.now()).await.unwrap();
    world.wire.forget();

    let mut later = world.task();
    later.start_timestamp = later.start_timestamp.saturating_add(Duration::from_secs(60));
    world.create(&later).await;
    count("create, to start later", &world);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.store.tasks.promote_due(world.now(), 10).await.unwrap().moved, 1);
    count("promote", &world);
    world.store.tasks.cancel(later.id, world.now()).await.unwrap();
    count("cancel", &world);

    world.create(&world.task()).await;
    let (id, run) = claimed(&world).await;
    world.wire.forget();
    assert!(world.store.tasks.fail(id, &run.attempt, &boom(), Some("request"), world.now()).await.unwrap());
    count("fail", &world);
    world.store.tasks.mark_published(id).await.unwrap();
    count("note the published events", &world);

    world.create(&world.task()).await;
    let (id, run) = claimed(&world).await;
    world.wire.forget();
    let told = Consequences { events: TaskEventKind::TaskCompleted.into(), ..Consequences::default() };
    assert!(world.store.tasks.complete_then(id, &run.attempt, None, told, world.now()).await.unwrap());
    count("complete, with an event to publish", &world);
    world.store.tasks.mark_published(id).await.unwrap();
    world.wire.forget();

    world.create(&world.task()).await;
    let (id, run) = claimed(&world).await;
    world.wire.forget();
    let mut next = world.task();
    next.start_timestamp = next.start_timestamp.saturating_add(Duration::from_secs(2));
    next.retry_for_task_ids = vec![id];
    assert!(
        world.store.tasks.retry(id, &run.attempt, &boom(), Some("request"), again(&next), world.now()).await.unwrap()
    );
    count("retry, the next task with it", &world);

    let mut expires = world.task();
    expires.options.timeouts.queued = QueuedTimeout::new(60).ok();
    world.wire.forget();
    world.create(&expires).await;
    count("create, with a time to wait", &world);
    world.clock.advance(Duration::from_secs(60));
    let companion = world.store.tasks.expiring(world.now(), 10).await.unwrap().remove(0);
    assert!(matches!(world.store.tasks.settle_expiring(&companion, world.now()).await.unwrap(), Expired::Failed(_)));
    count("expire", &world);
    world.store.tasks.mark_published(expires.id).await.unwrap();
    let mut in_time = world.task();
    in_time.options.timeouts.queued = QueuedTimeout::new(60).ok();
    world.create(&in_time).await;
    world.store.tasks.cancel(in_time.id, world.now()).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    let companion = world.store.tasks.expiring(world.now(), 10).await.unwrap().remove(0);
    world.wire.forget();
    assert!(matches!(world.store.tasks.settle_expiring(&companion, world.now()).await.unwrap(), Expired::Not));
    count("forget the time to wait of a task that ended in time", &world);

    let mut moved = world.task();
    world.create(&moved).await;
    let edit = TaskEdit { start: Some(world.now().saturating_add(Duration::from_secs(9))), ..TaskEdit::default() };
    world.wire.forget();
    let edited = world.store.tasks.edit_new(moved.id, world.now(), |_| Some(edit.clone())).await.unwrap();
    assert!(matches!(edited, Edited::Done(_)));
    count("move the start, or change the priority of a due task", &world);
    let edit = TaskEdit { priority: Priority::new(1).ok(), ..TaskEdit::default() };
    world.store.tasks.edit_new(moved.id, world.now(), |_| Some(edit.clone())).await.unwrap();
    count("change the priority of a task that is not due", &world);
    world.store.tasks.cancel(moved.id, world.now()).await.unwrap();
    moved = world.task();
    moved.options.timeouts.queued = QueuedTimeout::new(60).ok();
    world.create(&moved).await;
    let edit = TaskEdit { start: Some(world.now().saturating_add(Duration::from_secs(9))), ..TaskEdit::default() };
    world.wire.forget();
    world.store.tasks.edit_new(moved.id, world.now(), |_| Some(edit.clone())).await.unwrap();
    count("move the start of a task with a time to wait", &world);
    world.store.tasks.cancel(moved.id, world.now()).await.unwrap();

    let order = BulkOrder::Replay { data: None, start: None, priority: None };
    let selection = BulkSelection::Rql("status=failed".to_owned());
    let new = NewBulk { order, selection, per_second: None, reason: None, dry_run: false };
    let (id, now) = (world.id(), world.now());
    let created = BulkCreated { id: Some(id), matches: 100, matches_is_exact: true };
    let bulk = Bulk::new(id, &new, created, TaskOrigin::default(), now);
    let spec = BulkSpec { order: new.order, selection: new.selection };
    world.wire.forget();
    assert!(world.store.bulks.create(&bulk, &spec).await.unwrap());
    count("begin a bulk operation", &world);
    let BulkTaken::Work(mut work) = world.store.bulks.take(id, "worker").await.unwrap() else { panic!("not taken") };
    world.wire.forget();
    work.slice = Some(Slice { at: now, ids: (0..100).map(|_| world.id()).collect(), next: None });
    assert!(world.store.bulks.save(&mut work).await.unwrap());
    count("begin a slice of 100 tasks", &world);
    work.end_slice((0..100).map(|_| Ok(())), now);
    assert!(world.store.bulks.save(&mut work).await.unwrap());
    count("end a bulk operation, after such a slice", &world);

    let mut direct = world.task();
    direct.status = TaskStatus::InProgress;
    let run = world.run();
    register(&world, &[(direct.id, &run)]).await;
    world.wire.forget();
    assert!(world.store.tasks.create_running(&direct, &run).await.unwrap());
    count("create, running from the first", &world);

    let schedule = super::records::schedule(&world);
    world.wire.forget();
    world.store.schedules.create(&schedule).await.unwrap();
    count("create a schedule", &world);
    let keyed = super::records::schedule(&world);
    let made = world.store.schedules.create_once(&keyed, &once_scope("schedules"), &once).await.unwrap();
    assert_eq!(made, Found::Same(keyed.id));
    count("create a schedule, with an idempotency key", &world);
    let (next, task) = (schedule.occurrence_after(world.now()).unwrap(), world.task());
    assert!(super::records::materialise(&world, &schedule, next, &task).await);
    count("an occurrence of a schedule, its task with it", &world);

    let result = ResultPlace::Row(Json::parse(format!("\"{}\"", "x".repeat(298))).unwrap());
    world.wire.forget();
    world.store.results.put(direct.id, &run.attempt, &result, Keep::ADay).await.unwrap();
    count("keep a result of 300 bytes", &world);
    let mut tagged = world.task();
    tagged.tags = Tags::try_from(vec!["one".to_owned(), "two".to_owned()]).unwrap();
    world.wire.forget();
    world.create(&tagged).await;
    count("create, with two tags", &world);
    claimed(&world).await;

    let mut large = world.task();
    large.data = Some(Json::parse(format!("\"{}\"", "x".repeat(10 << 10))).unwrap());
    world.wire.forget();
    world.create(&large).await;
    count("create, with 10 KB of data", &world);
    let candidates = world.candidates().await;
    let (candidate, run) = (candidates.iter().find(|it| it.id == large.id).unwrap(), world.run());
    register(&world, &[(large.id, &run)]).await;
    world.wire.forget();
    world.store.tasks.claim(candidate, &run, world.now()).await.unwrap().unwrap();
    count("claim, with 10 KB of data", &world);
    assert!(world.store.tasks.complete(large.id, &run.attempt, Some("request"), world.now()).await.unwrap());
    count("complete, with 10 KB of data", &world);

    // A new page for as many runs as one look at the queue claims, and for as many as it can hold.
    let other = World::with(|config| config.runs_in = RunsIn::Register).await;
    for runs in [16, 64] {
        let runs: Vec<_> = (0..runs).map(|_| (other.id(), super::run_of(other.now(), &format!("of-{runs}")))).collect();
        other.wire.forget();
        register(&other, &runs.iter().map(|(id, run)| (*id, run)).collect::<Vec<_>>()).await;
        count(&format!("register {} runs", runs.len()), &other);
    }

    let world = World::with(|config| config.runs_in = RunsIn::Register).await;
    let (key, gate) = (FlowKey::parse("k").unwrap(), GateId::of(&FlowKey::parse("k").unwrap()));
    for _ in 0..2 {
        world.store.tasks.create(&world.task(), Lane::Own, world.now()).await.unwrap();
    }
    let mut queued = world.store.tasks.queued_of(&function("f"), 10).await.unwrap();
    let task = queued.remove(0);
    world.wire.forget();
    let mut read = ReadGate::new(key.clone());
    read.gate.admitted.insert(task.id);
    read.gate.plan_look(None, world.now());
    assert!(world.store.gates.put(&function("f"), &read, &read.gate).await.unwrap());
    count("add a gate", &world);
    let read = world.store.gates.get(&function("f"), &gate).await.unwrap().unwrap();
    let mut changed = read.gate.clone();
    changed.running.insert(task.id);
    assert!(world.store.gates.put(&function("f"), &read, &changed).await.unwrap());
    count("change a gate", &world);
    let held = Place::Held(gate.clone());
    let task = world.store.tasks.move_in_lane(&task, held, task.key.clone(), &key).await.unwrap().unwrap();
    count("move a task in its lane, by its flow key", &world);
    let (place, at) = (Place::Admitted, task.key.at(world.now(), task.id));
    let task = world.store.tasks.move_in_lane(&task, place, at, &key).await.unwrap().unwrap();
    let run = world.run();
    register(&world, &[(task.id, &run)]).await;
    world.wire.forget();
    world.store.tasks.claim(&task, &run, world.now()).await.unwrap().unwrap();
    count("claim an admitted task", &world);

    for holders in [10, 1000] {
        let world = World::new().await;
        for holder in 0..holders {
            assert_eq!(lease(&world, holder, 1).await, 1);
            if holder == 0 {
                count("lease the first slot of a part", &world);
            }
        }
        world.wire.forget();
        assert_eq!(lease(&world, holders - 1, 0).await, 0);
        count(&format!("return a slot, with {holders} holders"), &world);
        assert_eq!(lease(&world, holders - 1, 1).await, 1);
        count(&format!("lease a slot, with {holders} holders"), &world);
    }

    let documented = documented();
    for (what, units) in &counted {
        println!("| {what} | {units} |");
    }
    assert_eq!(counted, documented, "docs/access-patterns.md differs from DynamoDB's numbers");

    let life = |steps: &[&str]| steps.iter().map(|step| counted[*step]).sum::<f64>();
    assert_eq!(life(&["create", "claim", "complete"]), 6.0);
    assert_eq!(life(&["create, to start later", "promote", "claim", "complete"]), 9.0);
    assert_eq!(life(&["register a run", "create, running from the first", "complete"]), 4.0);
    let of_large = ["create", "claim", "complete"].map(|step| counted[&format!("{step}, with 10 KB of data")]);
    assert!(of_large.iter().sum::<f64>() <= 6.0 + 12.0, "{of_large:?}");
}

/// Registers runs for the rest of the test.
async fn register(world: &World, runs: &[(ObjectId, &Run)]) {
    world.store.runs.register(runs).await.unwrap().into_iter().for_each(drop::<RegisteredRun>);
}

/// A Task in progress, and its run.
async fn claimed(world: &World) -> (ObjectId, Run) {
    let candidate = world.candidates().await.remove(0);
    let run = world.run();
    register(world, &[(candidate.id, &run)]).await;
    world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    (candidate.id, run)
}

/// Sets what a process holds under a limit of 1,000; one after the other starts at the next part.
async fn lease(world: &World, holder: u16, slots: u16) -> u16 {
    let (ledger, now) = (&world.store.slots, world.now());
    let part = ledger.part(&SlotScope::Direct, 1000, holder);
    let (holder, until) = (RunnerId::new(format!("aws-{holder:016x}")), now.saturating_add(Duration::from_secs(120)));
    ledger.lease(&part, &holder, 0..=slots, 1000, until, now).await.unwrap().slots
}

/// The rows of the table under "Write units".
fn documented() -> BTreeMap<String, f64> {
    let page = include_str!("../../../docs/access-patterns.md");
    let section = page.split("## Write units").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.to_owned(), cells.next()?.trim_end_matches(" |").parse().ok()?))
    });
    rows.collect()
}
