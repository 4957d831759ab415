//! Rows of the first version stay readable, and rows of a version that is not known yet are refused and left alone.
//!
//! `tests/vectors/rows-v1.json` holds rows of every kind as the first version wrote them, in DynamoDB's JSON, and their
//! meaning; `rows-v2.json` holds what came with format 2: Tasks with large data, marks, slots in parts, intents, results,
//! Functions with options of part II of the contract, the gate of a flow key, versions, and roles, accounts and their credentials. These rows never change. When the form of a row has to change,
//! raise `FORMAT` in `src/store/row.rs`, teach the readers all forms, and add `rows-v3.json`. (One exception: a placeholder
//! for the hash of a Function's code was replaced by a real hash, because
//! no service ever wrote anything else.)

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use tasklane::{
    auth::{CredentialSource as _, StoredCredential},
    model::{
        ApplicationId, Canary, CanaryEnd, CanaryPercent, CanaryRuns, CatchUp, Debounce, EndedCanary, ExecutionOptions,
        FailWhen, Flow, FlowKey, Function, FunctionVersion, Json, Lane, LoginAttempts, ManagedBy, ObjectId, OnComplete,
        Overlap, Permissions, Priority, Recurrence, RetryPolicy, Schedule, ScheduleName, Task, TaskEventKind,
        TaskEvents, TaskOptions, TaskOrigin, TaskStatus, Timestamp, UserId, VersionField, VersionLabel, VersionNote,
    },
    ports::{Keep, ObjectKey},
    rql::{Query, Schema},
    store::{
        AttemptToken, Edited, Entered, Found, GateId, KeptVersion, NextTask, Place, QueueLane, ReadGate, ResultPlace,
        Run, RunnerId, SlotPart, SlotScope, Step, StoreError, TaskEdit, TaskRecord,
    },
};

use super::{
    World, again, boom, function,
    intents::{once, once_scope},
    records::{a_function, account, api_request, as_read, credential, credentials_of, role, schedule, to},
};

/// Attributes that are random for each write and mean nothing to readers.
const MADE_UP: [&str; 7] = ["call", "revision", "canceledBy", "earlierEdits", "editedBy", "skippedBy", "writtenBy"];

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[tokio::test]
async fn rows_of_the_first_version_are_read_whole() {
    let world = World::new().await;
    put(&world, &kept(1)["rows"]).await;
    assert_eq!(read(&world).await, kept(1)["read"]);
}

#[tokio::test]
async fn rows_of_the_first_version_live_on() {
    let world = World::new().await;
    put(&world, &kept(1)["rows"]).await;
    let tasks = &world.store.tasks;
    // They have no marks.
    for (query, found) in [("status=failed", 2), ("status=canceled", 1), ("tags=a", 1), ("in(tags,a,c)&status=new", 1)]
    {
        let query = Query::parse(query, &Schema::TASKS).unwrap();
        let page = tasks.list(&query, world.now()).await.unwrap().page;
        assert_eq!(page.total, Some(found), "{}", query.text);
    }
    let own = QueueLane::Own(function("own"));
    for candidate in tasks.heads(&[QueueLane::Shared, own], 100).await.unwrap() {
        let run = run(200);
        let claimed = tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
        assert!(tasks.complete(claimed.task.id, &run.attempt, None, world.now()).await.unwrap());
    }
    for unpublished in tasks.unpublished(100).await.unwrap() {
        tasks.mark_published(unpublished.task.id).await.unwrap();
    }
    assert_eq!(tasks.unpublished(100).await.unwrap().len(), 0);
    world.clock.advance(Duration::from_secs(600));
    // The retry, and the Task that was to start later.
    assert_eq!(tasks.promote_due(world.now(), 100).await.unwrap().moved, 2);
    for expired in tasks.expired_runs(world.now(), 100).await.unwrap() {
        assert!(tasks.fail(expired.task.id, &expired.run.unwrap().attempt, &boom(), None, world.now()).await.unwrap());
    }
    for record in
        world.store.schedules.due(world.now(), &world.store.schedules.first_due(0), 100).await.unwrap().schedules
    {
        let next = record.schedule.occurrence_after(world.now()).unwrap();
        assert!(world.store.schedules.pass(&record, &to(next), world.now()).await.unwrap());
    }
    for listed in world.store.functions.list().await.unwrap() {
        let Some(found) = world.store.functions.get(&listed.name).await.unwrap() else { panic!("{}", listed.name) };
        assert!(world.store.functions.update(&found.value, found.revision).await.unwrap());
    }
    for credential in world.store.credentials.list().await.unwrap() {
        assert!(world.store.credentials.revoke(credential.id).await.unwrap());
    }
}

#[tokio::test]
async fn rows_of_format_2_are_read_whole_and_live_on() {
    let world = World::new().await;
    put(&world, &kept(2)["rows"]).await;
    assert_eq!(read_large(&world).await, kept(2)["read"]);
    for candidate in world.candidates().await {
        let run = run(200);
        let claimed = world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
        assert!(claimed.task.data.is_some());
        assert!(world.store.tasks.complete(claimed.task.id, &run.attempt, None, world.now()).await.unwrap());
    }
    let (slots, now) = (&world.store.slots, world.now());
    let (part, until) = (slots.part(&SlotScope::Direct, 100, 0), now.saturating_add(Duration::from_secs(60)));
    assert_eq!(slots.lease(&part, &RunnerId::new("r"), 0..=99, 100, until, now).await.unwrap().slots, 10);
}

/// The files have the rows exactly as this version writes them, so a changed form fails here.
#[tokio::test]
async fn this_version_writes_the_recorded_rows() {
    let world = World::with(|config| (config.shards, config.retention) = (2, Some(MONTH))).await;
    write(&world).await;
    compare(1, &without_additions(rows_of(&world).await), read(&world).await);
    let world = World::with(|config| config.retention = Some(MONTH)).await;
    write_large(&world).await;
    compare(2, &without_starts_of_tasks(rows_of(&world).await), read_large(&world).await);
}

/// Without what later versions added to rows of format 1, or wrote beside them.
fn without_additions(mut rows: Value) -> Value {
    let is_mark = |row: &Value| row["pk"]["S"].as_str().unwrap().starts_with("mark:");
    rows["tasks"].as_array_mut().unwrap().retain(|row| !is_mark(row));
    let is_generation = |row: &Value| row["pk"]["S"].as_str().unwrap().starts_with("generation:");
    rows["functions"].as_array_mut().unwrap().retain(|row| !is_generation(row));
    for row in rows["control"].as_array_mut().unwrap() {
        // Of a day; of a lane.
        ["marked", "used"].iter().for_each(|added| drop(row.as_object_mut().unwrap().remove(*added)));
    }
    rows
}

/// Without what later versions added to gates.
fn without_starts_of_tasks(mut rows: Value) -> Value {
    for row in rows["tasks"].as_array_mut().unwrap() {
        if row["pk"]["S"].as_str().unwrap().starts_with("flow:") {
            row.as_object_mut().unwrap().remove("started");
        }
    }
    rows
}

fn compare(format: u32, rows: &Value, read: Value) {
    let path = path(format);
    if !path.exists() {
        let kept = json!({ "rows": rows, "read": read });
        fs::write(&path, serde_json::to_string_pretty(&kept).unwrap() + "\n").unwrap();
    }
    assert_eq!(alike(rows), alike(&kept(format)["rows"]), "the form of rows has changed: see the top of this file");
}

#[tokio::test]
async fn rows_of_a_later_version_are_refused_and_left_alone() {
    let world = World::new().await;
    let mut rows = kept(1)["rows"].clone();
    for row in rows.as_object_mut().unwrap().values_mut().flat_map(|rows| rows.as_array_mut().unwrap()) {
        // Everything else is found through the days; if they were refused, nothing else would be checked.
        if !row["pk"]["S"].as_str().unwrap().starts_with("days:") {
            row["v"] = json!({ "N": "3" });
        }
    }
    put(&world, &rows).await;
    let (tasks, functions) = (&world.store.tasks, &world.store.functions);
    let heads = tasks.heads(&[QueueLane::Shared], 100).await.unwrap();
    let (id, now) = (heads[0].id, world.now());
    let attempt = run(1).attempt;

    refused("a Task", tasks.get(id).await);
    refused("a claim", tasks.claim(&heads[0], &run(200), now).await);
    refused("an outcome", tasks.complete(running(&rows), &attempt, None, now).await);
    refused("a failure", tasks.fail(running(&rows), &attempt, &boom(), None, now).await);
    let mut next = world.task();
    next.id = ObjectId::new(now, u64::MAX);
    refused("a retry", tasks.retry(running(&rows), &attempt, &boom(), None, again(&next), now).await);
    refused("a cancellation", tasks.cancel(id, now).await);
    refused("a promotion", tasks.promote_due(now.saturating_add(Duration::from_secs(600)), 100).await);
    refused("failures", tasks.unpublished(100).await);
    refused("a Function", functions.get(&function("f")).await);
    refused("Functions", functions.list().await);
    refused("a changed Function", functions.update(&a_function(&world, "f"), revision(&world).await).await);
    let due =
        world.store.schedules.due(now.saturating_add(MONTH), &world.store.schedules.first_due(0), 100).await.unwrap();
    assert!(due.schedules.is_empty() && !due.unreadable.is_empty());
    due.unreadable.into_iter().for_each(|error| refused("a Schedule", Err::<(), _>(error)));
    refused("credentials", world.store.credentials.list().await);
    let held =
        world.store.slots.lease(&SlotPart::main(SlotScope::Tasks), &RunnerId::new("r"), 0..=1, 5, now, now).await;
    refused("slots", held);
    let found = world.store.credentials.by_consumer_key("consumer-ada").await.unwrap_err().to_string();
    assert!(found.contains("later version (format 3)"), "{found}");
    // A mark is written before its Task, and says nothing if the Task is not changed.
    assert!(without_additions(rows_of(&world).await) == rows, "a row of a later version was changed");
}

fn refused<T: std::fmt::Debug>(what: &str, answer: Result<T, StoreError>) {
    let error = answer.err().unwrap_or_else(|| panic!("{what} of a later version was taken")).to_string();
    assert!(error.contains("it was written by a later version (format 3); update this one"), "{what}: {error}");
}

fn running(rows: &Value) -> ObjectId {
    let tasks = rows["tasks"].as_array().unwrap();
    let row = tasks.iter().find(|row| row["status"]["S"] == "inProgress" && row["attempt"]["S"] == "01".repeat(12));
    row.unwrap()["sk"]["S"].as_str().unwrap().parse().unwrap()
}

/// The revision of another Function. A change with this revision fails in any case, and must fail for the right reason.
async fn revision(world: &World) -> tasklane::store::Revision {
    let other = a_function(world, "other");
    assert!(world.store.functions.create(&other).await.unwrap());
    let revision = world.store.functions.get(&other.name).await.unwrap().unwrap().revision;
    assert!(world.store.functions.delete(&other.name).await.unwrap());
    revision
}

// --- Rows of the first version ---------------------------------------------------------------------------------------

fn run(number: u8) -> Run {
    let started: Timestamp = "2026-01-31T08:15:30Z".parse().unwrap();
    Run {
        attempt: AttemptToken::new([number; 12]),
        runner: RunnerId::new("runner"),
        started,
        lease_expires: started.saturating_add(Duration::from_secs(60)),
        version: None,
    }
}

/// Rows of every kind, in every state.
async fn write(world: &World) {
    let (tasks, now) = (&world.store.tasks, world.now());
    let claimed = async |number: u8| {
        let id = world.create(&world.task()).await;
        let head = world.candidates().await.into_iter().find(|candidate| candidate.id == id).unwrap();
        tasks.claim(&head, &run(number), now).await.unwrap().unwrap();
        (id, run(number).attempt)
    };
    claimed(1).await;
    let (complete, attempt) = claimed(2).await;
    assert!(tasks.complete(complete, &attempt, Some("request-2"), now).await.unwrap());
    let (failed, attempt) = claimed(3).await;
    assert!(tasks.fail(failed, &attempt, &boom(), Some("request-3"), now).await.unwrap());
    let (published, attempt) = claimed(4).await;
    assert!(tasks.fail(published, &attempt, &boom(), None, now).await.unwrap());
    tasks.mark_published(published).await.unwrap();
    let (retried, attempt) = claimed(5).await;
    let mut next = world.task();
    next.retry_for_task_ids = vec![retried];
    next.start_timestamp = now.saturating_add(Duration::from_secs(2));
    assert!(tasks.retry(retried, &attempt, &boom(), Some("request-5"), again(&next), now).await.unwrap());
    let canceled = world.create(&world.task()).await;
    tasks.cancel(canceled, now).await.unwrap();
    let mut direct = world.task();
    direct.status = TaskStatus::InProgress;
    assert!(tasks.create_running(&direct, &run(6)).await.unwrap());

    let mut waiting = world.task();
    waiting.start_timestamp = now.saturating_add(Duration::from_secs(60));
    waiting.priority = Priority::new(-5).unwrap();
    waiting.tags = serde_json::from_value(json!(["a", "b"])).unwrap();
    waiting.data = Some(Json::parse(r#"{"n": 1.0, "ü": [1e2, "…"]}"#.to_owned()).unwrap());
    waiting.origin.created_by_user_id = Some(UserId::parse("ada").unwrap());
    waiting.origin.created_by_application_id = Some(ApplicationId::parse("app").unwrap());
    world.create(&waiting).await;
    let mut bare = world.task();
    bare.data = None;
    world.create(&bare).await;
    tasks.create(&world.task_of("own"), Lane::Own, now).await.unwrap();

    assert!(world.store.functions.create(&a_function(world, "f")).await.unwrap());
    let mut bare = Function {
        retry_policy: RetryPolicy::default(),
        execution_options: ExecutionOptions::default(),
        enabled: false,
        lane: Lane::Shared,
        ..a_function(world, "bare")
    };
    bare.configuration.description = None;
    bare.configuration.environment = Default::default();
    assert!(world.store.functions.create(&bare).await.unwrap());

    let schedules = &world.store.schedules;
    let [fresh, moved, skipped] = [schedule(world), schedule(world), schedule(world)];
    for schedule in [&fresh, &moved, &skipped] {
        schedules.create(schedule).await.unwrap();
    }
    let next = now.saturating_add(Duration::from_secs(60));
    assert!(schedules.materialise(&as_read(&moved), &to(next), &world.task(), Lane::Shared, now).await.unwrap());
    assert!(schedules.pass(&as_read(&skipped), &to(next), now).await.unwrap());

    let mut fine = api_request(world, "f");
    (fine.error, fine.request_id, fine.user_id) = (None, None, Some(UserId::parse("ada").unwrap()));
    for request in [&api_request(world, "f"), &fine] {
        world.store.api_requests.put(request).await.unwrap();
    }
    world.store.credentials.put(&credential(world, "ada")).await.unwrap();
    let until = now.saturating_add(Duration::from_secs(300));
    for scope in [SlotScope::Tasks, SlotScope::Function(function("f"))] {
        let held =
            world.store.slots.lease(&SlotPart::main(scope), &RunnerId::new("runner"), 0..=2, 5, until, now).await;
        assert_eq!(held.unwrap().slots, 2);
    }
    assert!(world.store.nonces.remember("consumer-ada", "nonce", now.as_secs(), until).await.unwrap());
}

/// Tasks with large data: a new one, one that was retried, its retry, one that is complete, and one that failed; a tagged
/// Task that was canceled.
async fn write_large(world: &World) {
    let (tasks, now) = (&world.store.tasks, world.now());
    let large = || {
        let data = json!({ "text": "ä".repeat(2048) }).to_string();
        Task { data: Some(Json::parse(data).unwrap()), ..world.task() }
    };
    let claimed = async |number: u8| {
        let id = world.create(&large()).await;
        let head = world.candidates().await.into_iter().find(|candidate| candidate.id == id).unwrap();
        tasks.claim(&head, &run(number), now).await.unwrap().unwrap()
    };
    let complete = claimed(1).await.task.id;
    assert!(tasks.complete(complete, &run(1).attempt, Some("request-1"), now).await.unwrap());
    let retried = claimed(2).await;
    let next = Task::retry_of(&retried.task, world.id(), now, Duration::from_secs(2));
    let retry =
        NextTask { task: &next, queue: Lane::Shared, data: retried.data, events: TaskEvents::default(), ran: None };
    assert!(tasks.retry(retried.task.id, &run(2).attempt, &boom(), None, retry, now).await.unwrap());
    world.create(&large()).await;
    let mut tagged = world.task();
    tagged.tags = serde_json::from_value(json!(["a", "b"])).unwrap();
    let canceled = world.create(&tagged).await;
    tasks.cancel(canceled, now).await.unwrap();
    let failed = claimed(3).await.task.id;
    assert!(tasks.fail(failed, &run(3).attempt, &boom(), None, now).await.unwrap());
    let (slots, until) = (&world.store.slots, now.saturating_add(Duration::from_secs(300)));
    let part = slots.part(&SlotScope::Direct, 100, 0);
    assert_eq!(slots.lease(&part, &RunnerId::new("runner"), 0..=2, 100, until, now).await.unwrap().slots, 2);
    let data = Json::parse(r#"{"n": 1.0}"#.to_owned()).unwrap();
    let follow = OnComplete { function_name: function("g"), data: Some(data) };
    let options = TaskOptions { store_result: Some(true), on_complete: Some(follow), ..TaskOptions::default() };
    world.create(&Task { options, ..world.task() }).await;
    let result = ResultPlace::Row(Json::parse(r#"{"a": 1.0}"#.to_owned()).unwrap());
    world.store.results.put(complete, &run(1).attempt, &result, Keep::AsTasks).await.unwrap();
    let key = ObjectKey::new(Keep::ADay, "a-1").unwrap();
    let result = ResultPlace::Object { key, bytes: 400_000 };
    world.store.results.put(complete, &run(2).attempt, &result, Keep::ADay).await.unwrap();
    let intent = json!({ "id": complete, "created": now, "start": now, "priority": 0 });
    world.store.intents.begin(&once_scope("POST /tasks/v1"), &once("key", r#"{"a":1}"#), intent).await.unwrap();
    write_options(world).await;
    write_flow(world).await;
    write_versions(world).await;
    write_accounts(world).await;
}

/// A Function that is its second version and tries the first one, how a run of that ended, and a Task that the second ran.
async fn write_versions(world: &World) {
    let (functions, now) = (&world.store.functions, world.now());
    let mut tried = a_function(world, "tried");
    tried.history.series = Some(ObjectId::new(now, 77));
    assert!(functions.create(&tried).await.unwrap());
    let revision = functions.get(&tried.name).await.unwrap().unwrap().revision;
    let first = FunctionVersion::of(&tried, tried.history.current.clone());
    let two = first.note.number.next().unwrap();
    tried.configuration.description = Some("the second".into());
    tried.deployment.version = "8".into();
    tried.history.current = VersionNote {
        number: two,
        created_timestamp: now,
        created_by_user_id: Some(UserId::parse("ada").unwrap()),
        label: Some(VersionLabel::parse("4f2c1ab").unwrap()),
        changed: vec![VersionField::Code, VersionField::Description],
    };
    tried.history.newest = two;
    let few = CanaryRuns::new(3).unwrap();
    let canary = Canary {
        version: first.note.number,
        percent: CanaryPercent::new(10).unwrap(),
        fail_when: Some(FailWhen { failures: few, of: few }),
        started_timestamp: now,
        configuration: first.configuration.clone(),
        deployment: first.deployment.clone(),
    };
    tried.history.canary = Some(canary.clone());
    tried.history.last_canary = Some(EndedCanary { version: two, ended_timestamp: now, reason: CanaryEnd::Replaced });
    let kept = KeptVersion { version: first, replaced: Some(now) };
    assert!(functions.update_and_keep(&tried, revision, &kept).await.unwrap());
    world.store.canaries.note(&tried, &canary, ObjectId::new(now, 78), true).await.unwrap();
    let task = world.create(&world.task_of("tried")).await;
    let head = world.candidates().await.into_iter().find(|candidate| candidate.id == task).unwrap();
    world.store.tasks.claim(&head, &Run { version: Some(two), ..run(8) }, now).await.unwrap().unwrap();
}

/// A Function whose Tasks take turns, a gate, and the Tasks of its key: one runs, one is admitted, and one is behind the gate.
async fn write_flow(world: &World) {
    let (tasks, now) = (&world.store.tasks, world.now());
    let flow = json!({ "key": "data.tenant", "concurrent": 2, "rate": { "count": 60, "seconds": 60 } });
    let flow: Flow = serde_json::from_value(flow).unwrap();
    let turns = Function { flow: Some(flow.clone()), lane: Lane::Own, ..a_function(world, "turns") };
    assert!(world.store.functions.create(&turns).await.unwrap());
    let key = FlowKey::parse("large").unwrap();
    let mut placed = Vec::new();
    for place in [Place::Admitted, Place::Admitted, Place::Held(GateId::of(&key))] {
        let options = TaskOptions { flow_key: Some(key.clone()), ..TaskOptions::inherited_from(&turns) };
        let data = Json::parse(r#"{"tenant":"small"}"#.to_owned()).unwrap();
        let task = Task { options, data: Some(data), ..world.task_of("turns") };
        tasks.create(&task, Lane::Own, now).await.unwrap();
        let head = tasks.queued_of(&turns.name, 1).await.unwrap().remove(0);
        placed.push(tasks.move_in_lane(&head, place, head.key.clone(), &key).await.unwrap().unwrap());
    }
    let mut gate = ReadGate::new(key.clone()).gate;
    gate.admitted = placed[..2].iter().map(|task| task.id).collect();
    gate.hold(now);
    gate.start(placed[0].id, &flow, now);
    gate.plan_look(Some(&flow), now);
    tasks.claim(&placed[0], &run(9), now).await.unwrap().unwrap();
    assert!(world.store.gates.put(&turns.name, &ReadGate::new(key), &gate).await.unwrap());
}

/// Records with the options that format 2 added.
/// A role, an account that has it, one that waits for one, and the three kinds of credentials of an account.
async fn write_accounts(world: &World) {
    let accounts = &world.store.accounts;
    let mut role = role(world, "editors");
    role.permissions.add(&Permissions::parse(["VIEW_TASKS", "VIEW_DOCUMENTS"]).unwrap());
    let mut registry = accounts.registry().await.unwrap();
    registry.value.roles = 1;
    assert_eq!(accounts.create_role(&role, &registry).await.unwrap(), Entered::Done);
    let mut editor = account(world, "editor@example.com");
    editor.account.roles = vec![role.id];
    editor.attempts = LoginAttempts { wrong: 2, last: Some(world.now()) };
    let waiting = account(world, "waiting@example.com");
    for account in [&editor, &waiting] {
        let mut registry = accounts.registry().await.unwrap();
        registry.value.accounts += 1;
        registry.value.open_until = Some(world.now());
        registry.value.waiting = [(waiting.account.id, world.now())].into();
        assert_eq!(accounts.register(account, &[], &registry).await.unwrap(), Entered::Done);
    }
    for credential in credentials_of(world, &editor.account) {
        assert!(world.store.credentials.put(&credential).await.unwrap());
    }
}

async fn write_options(world: &World) {
    let policy = json!({
        "enabled": true, "errorsToRetry": ["Boom"], "errorsNotToRetry": ["Never"],
        "strategy": { "maxRetries": 5, "backoff": "fixed", "baseSeconds": 3, "maxSeconds": 60, "jitter": false },
    });
    let function = Function { retry_policy: serde_json::from_value(policy).unwrap(), ..a_function(world, "options") };
    let function = Function { timeouts: serde_json::from_value(json!({ "queued": 60 })).unwrap(), ..function };
    let function = Function { events: TaskEventKind::TaskCompleted.into(), ..function };
    assert!(world.store.functions.create(&function).await.unwrap());
    let waiting = Task { options: TaskOptions::inherited_from(&function), ..world.task() };
    world.create(&waiting).await;
    let debounce: Debounce = serde_json::from_value(json!({ "key": "k", "seconds": 5, "mode": "append" })).unwrap();
    let key = debounce.key.clone();
    let debounced =
        Task { options: TaskOptions { debounce: Some(debounce), ..TaskOptions::default() }, ..world.task() };
    assert!(world.store.debounces.add(&debounced, Lane::Shared, &key, None, world.now()).await.unwrap());

    // What bulk operations do with Tasks.
    let replayed = waiting.replay(world.id(), TaskOrigin::default(), world.now());
    world.create(&replayed).await;
    let later = world.now().saturating_add(Duration::from_secs(60));
    let edit = TaskEdit { start: Some(later), priority: Priority::new(7).ok(), data: None };
    let edited = world.store.tasks.edit_new(replayed.id, world.now(), |_| Some(edit.clone())).await.unwrap();
    assert!(matches!(edited, Edited::Done(_)), "{edited:?}");

    let now = world.now();
    let paused = Schedule {
        name: Some(ScheduleName::parse("nightly").unwrap()),
        recurrence: Recurrence::Cron("30 2 * * *".parse().unwrap(), "Europe/Berlin".parse().unwrap()),
        end_timestamp: Some(now.saturating_add(MONTH)),
        next_timestamp: None,
        enabled: false,
        overlap: Some(Overlap::Queue),
        catch_up: Some(CatchUp::All),
        managed_by: Some(ManagedBy::Sync),
        ..schedule(world)
    };
    let queued = Schedule { name: None, next_timestamp: Some(now), enabled: true, ..paused.clone() };
    let queued = Schedule { id: world.id(), ..queued };
    for schedule in [&paused, &queued] {
        world.store.schedules.create(schedule).await.unwrap();
    }
    // One of its occurrences waits.
    let step = Step { waiting: vec![now], ..to(now.saturating_add(Duration::from_secs(60))) };
    assert!(world.store.schedules.pass(&as_read(&queued), &step, now).await.unwrap());
    let options =
        TaskOptions { schedule_id: Some(queued.id), occurrence_timestamp: Some(now), ..TaskOptions::default() };
    world.create(&Task { options, ..world.task() }).await;
}

// --- The meaning of rows ---------------------------------------------------------------------------------------------

async fn read(world: &World) -> Value {
    let store = &world.store;
    let mut tasks = Map::new();
    for id in ids(world, "tasks").await {
        tasks.insert(id.to_string(), shown(world.get(id).await));
    }
    let mut requests = Map::new();
    for id in ids(world, "api-requests").await {
        let request = store.api_requests.get(id).await.unwrap().unwrap();
        requests.insert(id.to_string(), json!({ "record": request, "requestId": request.request_id }));
    }
    let mut schedules = Map::new();
    for id in ids(world, "schedules").await {
        schedules.insert(id.to_string(), json!(store.schedules.get(id).await.unwrap().unwrap()));
    }
    let functions = store.functions.list().await.unwrap();
    let credentials: Vec<_> = store.credentials.list().await.unwrap().iter().map(credential_shown).collect();
    let hash = store.credentials.list().await.unwrap()[0].access_token_hash.unwrap();
    for found in
        [store.credentials.by_consumer_key("consumer-ada").await, store.credentials.by_access_token_hash(&hash).await]
    {
        assert_eq!(credential_shown(&found.unwrap().unwrap()), credentials[0]);
    }
    let seen = store.nonces.remember("consumer-ada", "nonce", world.now().as_secs(), world.now()).await.unwrap();
    let lanes = [QueueLane::Shared, QueueLane::Own(function("own"))];
    let heads = store.tasks.heads(&lanes, 100).await.unwrap();
    json!({
        "tasks": tasks,
        "apiRequests": requests,
        "schedules": schedules,
        "functions": functions.iter().map(function_shown).collect::<Vec<_>>(),
        "credentials": credentials,
        "ready": heads.iter().map(|head| head.id).collect::<Vec<_>>(),
        "unpublished": store.tasks.unpublished(100).await.unwrap().iter().map(|it| it.task.id).collect::<Vec<_>>(),
        "ownLanes": store.tasks.own_lanes().await.unwrap(),
        "slots": store.slots.held(&SlotScope::Tasks, world.now()).await.unwrap(),
        "slotsOfF": store.slots.held(&SlotScope::Function(function("f")), world.now()).await.unwrap(),
        "nonceSeen": !seen,
    })
}

/// Each Task and the place of its data, the slots that are held, the results, and the intent of a call with an idempotency key.
async fn read_large(world: &World) -> Value {
    let mut tasks = Map::new();
    for row in rows_of(world).await["tasks"].as_array().unwrap() {
        if row["pk"]["S"].as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()) {
            let record = world.get(row["sk"]["S"].as_str().unwrap().parse().unwrap()).await;
            let id = record.task.id.to_string();
            tasks.insert(id, json!({ "data": format!("{:?}", record.data), "record": shown(record) }));
        }
    }
    let complete =
        tasks.iter().find(|(_, task)| task["record"]["task"]["status"] == "complete").unwrap().0.parse().unwrap();
    let results = [run(1), run(2), run(3)].map(|run| run.attempt);
    for attempt in &results {
        let result = world.store.results.get(complete, attempt).await.unwrap();
        tasks.insert(format!("result {}", &attempt.as_str()[..2]), json!(format!("{result:?}")));
    }
    let held = world.store.slots.held(&SlotScope::Direct, world.now()).await.unwrap();
    tasks.insert("directSlots".to_owned(), json!(held));
    let (scope, call) = (once_scope("POST /tasks/v1"), once("key", r#"{"a":1.0}"#));
    match world.store.intents.find::<Value>(&scope, &call).await.unwrap() {
        Some(Found::Same(intent)) => tasks.insert("intent".to_owned(), intent),
        other => panic!("{other:?}"),
    };
    let gates = world.store.gates.of_function(&function("turns"), 10).await.unwrap();
    tasks.insert("gates".to_owned(), gates.iter().map(|gate| json!(format!("{gate:?}"))).collect());
    let functions = world.store.functions.list().await.unwrap();
    tasks.insert("functions".to_owned(), functions.iter().map(function_shown).collect());
    let tried = functions.iter().find(|function| function.name.as_str() == "tried").unwrap();
    tasks.insert("history".to_owned(), json!(tried.history));
    let versions = world.store.functions.versions(tried).await.unwrap();
    tasks.insert("versions".to_owned(), versions.iter().map(|kept| json!([kept.version, kept.replaced])).collect());
    let failures = world.store.canaries.failures(tried, tried.history.canary.as_ref().unwrap(), 10).await.unwrap();
    tasks.insert("canaryFailures".to_owned(), json!(failures));
    let credentials = world.store.credentials.list().await.unwrap();
    tasks.insert("credentials".to_owned(), credentials.iter().map(credential_shown).collect());
    let accounts = &world.store.accounts;
    tasks.insert("roles".to_owned(), json!(format!("{:?}", accounts.roles().await.unwrap())));
    let stored = accounts.accounts().await.unwrap();
    let passwords: Vec<_> = stored.iter().map(|account| account.value.password.to_bytes()).collect();
    tasks.insert("accounts".to_owned(), json!([format!("{stored:?}"), passwords]));
    tasks.insert("registry".to_owned(), json!(format!("{:?}", accounts.registry().await.unwrap())));
    Value::Object(tasks)
}

fn shown(TaskRecord { task, queue, run, request_id, .. }: TaskRecord) -> Value {
    let run = run.map(|run| {
        json!({
            "attempt": run.attempt.as_str(), "runner": run.runner.as_str(),
            "started": run.started, "leaseExpires": run.lease_expires,
        })
    });
    json!({ "task": task, "queue": format!("{queue:?}"), "run": run, "requestId": request_id })
}

fn function_shown(it: &Function) -> Value {
    let mut shown = json!({
        "name": it.name,
        "configuration": it.configuration,
        "retryPolicy": it.retry_policy,
        "executionOptions": it.execution_options,
        "enabled": it.enabled,
        "updateTimestamp": it.update_timestamp,
        "deployment": it.deployment,
        "lane": it.lane,
    });
    if !it.events.is_empty() {
        shown["events"] = json!(it.events);
    }
    if it.flow.is_some() {
        shown["flow"] = json!(it.flow);
    }
    if !it.timeouts.is_empty() {
        shown["timeouts"] = json!(it.timeouts);
    }
    shown
}

fn credential_shown(it: &StoredCredential) -> Value {
    json!({
        "record": format!("{it:?}"),
        "consumerSecret": it.consumer_secret.as_bytes(),
        "tokenSecret": it.token_secret.as_bytes(),
    })
}

async fn ids(world: &World, table: &str) -> Vec<ObjectId> {
    let rows = rows_of(world).await;
    rows[table].as_array().unwrap().iter().map(|row| row["sk"]["S"].as_str().unwrap().parse().unwrap()).collect()
}

// --- Rows as DynamoDB's JSON ------------------------------------------------------------------------------------------

fn path(format: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/rows-v{format}.json"))
}

fn kept(format: u32) -> Value {
    serde_json::from_str(&fs::read_to_string(path(format)).unwrap()).unwrap()
}

/// Without the attributes that are random for each write.
fn alike(rows: &Value) -> Value {
    let mut rows = rows.clone();
    for row in rows.as_object_mut().unwrap().values_mut().flat_map(|rows| rows.as_array_mut().unwrap()) {
        let row = row.as_object_mut().unwrap();
        MADE_UP.iter().filter(|name| row.contains_key(**name)).collect::<Vec<_>>().into_iter().for_each(|name| {
            row[*name] = json!("made up");
        });
    }
    rows
}

/// All rows of all tables, by table without its prefix, then by key.
async fn rows_of(world: &World) -> Value {
    let mut tables = Map::new();
    for (name, _) in world.store.tables() {
        let items = world.client.scan().table_name(&name).send().await.unwrap().items.unwrap_or_default();
        let mut rows: Vec<Value> = items.into_iter().map(to_json).collect();
        rows.sort_by_key(|row| format!("{} {}", row["pk"]["S"], row["sk"]["S"]));
        tables.insert(name.trim_start_matches(&format!("{}-", world.prefix)).to_owned(), Value::Array(rows));
    }
    Value::Object(tables)
}

async fn put(world: &World, rows: &Value) {
    for (table, rows) in rows.as_object().unwrap() {
        for row in rows.as_array().unwrap() {
            let item = row.as_object().unwrap().iter().map(|(name, value)| (name.clone(), from_json(value))).collect();
            let name = format!("{}-{table}", world.prefix);
            world.client.put_item().table_name(name).set_item(Some(item)).send().await.unwrap();
        }
    }
}

fn to_json(item: std::collections::HashMap<String, AttributeValue>) -> Value {
    let item: BTreeMap<_, _> = item.into_iter().collect();
    let value = |value: AttributeValue| match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::B(bytes) => json!({ "B": BASE64_STANDARD.encode(bytes.as_ref()) }),
        other => panic!("no row holds a value like {other:?}"),
    };
    Value::Object(item.into_iter().map(|(name, it)| (name, value(it))).collect())
}

fn from_json(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text),
        "N" => AttributeValue::N(text),
        "B" => AttributeValue::B(Blob::new(BASE64_STANDARD.decode(text).unwrap())),
        kind => panic!("no row holds a value of the kind {kind}"),
    }
}
