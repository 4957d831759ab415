//! Tasks through the queue: SQS wakes the dispatcher, with delays, and the ticker runs each minute.

use std::time::Duration;

use serde_json::{Value, json};
use tasklane::{
    model::Timestamp,
    ports::{Clock as _, SystemClock},
};

use super::{deployed::Deployed, faults::Done};
use crate::support::{
    project::write_function,
    stage::{ACTOR, Stage},
    wait::until,
};

/// Fails as often as `data` says.
const FLAKY: &str = "
exports.handler = async task => {
  const runs = task.retryForTaskIds?.length ?? 0;
  console.log('run', runs, 'of', task.id);
  if (runs < task.data) { const error = new Error('run ' + runs); error.name = 'NOT_YET'; throw error; }
};";

/// MiniStack's name for every error that code throws, whatever its real name.
const THROWN_IN_MINISTACK: &str = "Runtime.HandlerError";

pub fn runs_a_task_and_keeps_a_poisoned_message(stack: &Deployed<'_>) {
    let queue = json!({ "QueueUrl": stack.output("WakeupQueueUrl"), "MessageBody": "{\"poison\":1}" });
    stack.aws("sqs", "send_message", &queue);
    let id = stack.queue("hello-js", &["--data", r#"{"name":"Ada"}"#, "--tag", "first", "--priority", "3"]);
    let task = stack.ended(&id);
    assert_eq!(task["status"], "complete", "{task}");
    assert_eq!((&task["tags"], &task["priority"]), (&json!(["first"]), &json!(3)));
    let logs = stack.run(&["tasks", "logs", &id]).expect(0).stdout;
    assert!(logs.contains("Saying hello to Ada"), "{logs}");

    let waiting = json!({
        "QueueUrl": stack.output("WakeupQueueUrl"),
        "AttributeNames": ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    });
    // The dispatcher returns a message that is not a wake-up. It is delivered again until it becomes a dead letter.
    until("the wake-up is gone and the poison is kept", || {
        let counts = stack.aws("sqs", "get_queue_attributes", &waiting)["Attributes"].take();
        let count = |name: &str| counts[name].as_str().and_then(|count| count.parse::<u32>().ok()).expect("a count");
        (count("ApproximateNumberOfMessages") + count("ApproximateNumberOfMessagesNotVisible") == 1).then_some(())
    });
}

pub fn starts_a_task_not_before_its_time(stack: &Deployed<'_>) {
    let id = stack.queue("hello-py", &["--start", "+3s"]);
    let task = stack.ended(&id);
    assert_eq!(task["status"], "complete", "{task}");
    assert!(time(&task["statusChangedTimestamp"]) >= time(&task["startTimestamp"]), "{task}");
}

/// Delayed Tasks start by their own wake-ups. A dispatcher that only a tick wakes would be late by more than ten seconds for some
/// of them, whenever in the minute that tick is.
pub fn starts_delayed_tasks_to_the_second(stack: &Deployed<'_>) {
    let create = |second: u64| {
        let body = json!({ "functionName": "hello-py", "startTimestamp": in_millis(second * 1000) }).to_string();
        let task = stack.ask("POST", "/tasks/v1/", Some(("application/json", body.into_bytes())), true).ok();
        task["id"].as_str().expect("an id").to_owned()
    };
    let ids: Vec<_> = (2..22).map(create).collect();
    let lateness = |id: &String| {
        assert_eq!(stack.ended(id)["status"], "complete");
        let attempts = stack.json(&["tasks", "attempts", id]);
        time(&attempts[0]["claimedTimestamp"]) - time(&attempts[0]["startTimestamp"])
    };
    let mut late: Vec<_> = ids.iter().map(lateness).collect();
    late.sort_unstable();
    let (first, median, last) = (late[0], late[late.len() / 2], late[late.len() - 1]);
    eprintln!("{} delayed tasks: {median} ms late (p50), {last} ms (the last)", late.len());
    assert!(first >= 0 && last < 10_000, "{late:?}");
}

/// Three failures, so that each delay occurs: 2, 5 and 10 s.
pub fn retries(stack: &Deployed<'_>) {
    let policy = json!({ "enabled": true, "errorsToRetry": ["NOT_YET", THROWN_IN_MINISTACK] });
    sync(stack, "flaky", &policy);
    let mut id = stack.queue("flaky", &["--data", "3"]);
    let mut chain = Vec::new();
    let mut ready_after = None;
    for delay in [2000, 5000, 10_000] {
        let task = stack.ended(&id);
        assert_eq!(task["status"], "retried", "{task}");
        assert_eq!(task["retryForTaskIds"].as_array().map_or(&[][..], Vec::as_slice), chain);
        assert_starts_after(&task, ready_after);
        chain.push(json!(id));
        ready_after = Some((time(&task["statusChangedTimestamp"]), delay));
        task["retriedByTaskId"].as_str().expect("a retried Task names the next").clone_into(&mut id);
    }
    let last = stack.ended(&id);
    assert_eq!(last["status"], "complete", "{last}");
    assert_eq!(last["retryForTaskIds"], json!(chain));
    assert_starts_after(&last, ready_after);
    let logs = stack.run(&["tasks", "logs", &id]).expect(0).stdout;
    assert!(logs.contains(&format!("run 3 of {id}")), "{logs}");
}

/// An error that the policy does not name fails the Task at once. Returns the Task.
pub fn fails_for_good(stack: &Deployed<'_>) -> Value {
    sync(stack, "broken", &json!({ "enabled": true, "errorsToRetry": ["ANOTHER"] }));
    let task = stack.ended(&stack.queue("broken", &["--data", "9"]));
    assert_eq!(task["status"], "failed", "{task}");
    assert_eq!((&task["error"]["type"], &task["error"]["message"]), (&json!("runtime"), &json!("run 0")));
    let name = &task["error"]["name"];
    assert!(name == "NOT_YET" || name == THROWN_IN_MINISTACK, "{task}");
    task
}

/// How many of the Tasks of a bad day may fail. A claim or an end that each attempt in several seconds fails to make leaves a
/// zombie; more than one of them would mean that it was given up too early.
const UNLUCKY: usize = 1;

/// AWS has a bad day: a fifth of what the handlers ask of DynamoDB, SQS and Lambda goes wrong. Callers repeat what is refused, each
/// Task exists once and runs at most once, and nothing stays behind.
pub fn goes_on_through_faults(stack: &Deployed<'_>) {
    let Some(faults) = stack.emulator.faults() else {
        eprintln!("nothing goes wrong on the way to AWS: the emulator was not started by this test");
        return;
    };
    let stage = Stage::open();
    let configuration = json!({ "timeLimit": 10, "environment": { "STAGE": stage.url() } });
    let folder = write_function(&stack.home().join("functions"), "counted", ACTOR, &configuration);
    stack.run(&["sync", "--path", folder.to_str().expect("a path")]).expect(0);
    // An answer of the service on a bad day: what was asked, or the contract's error.
    let ask = |method: &str, path: &str, body: Option<&Value>| {
        stage.release_all();
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        let answer = stack.ask(method, path, body, true);
        match answer.status {
            200 => Some(answer.json()),
            500 | 503 => {
                assert!(answer.json()["code"].is_number(), "{answer:?}");
                None
            }
            _ => panic!("{answer:?}"),
        }
    };
    let create = |number: usize| {
        let start = in_millis(if number.is_multiple_of(3) { 2000 } else { 0 });
        let key = format!("bad-day-{number}");
        let body = json!({ "functionName": "counted", "data": number, "startTimestamp": start, "idempotencyKey": key });
        let task = until("the task is created", || ask("POST", "/tasks/v1/", Some(&body)));
        task["id"].as_str().expect("an id").to_owned()
    };
    let mut ids = Vec::new();
    let done = faults.during(|| {
        ids = (0..30).map(create).collect();
        until("none of them waits", || {
            let page = ask("GET", "/tasks/v1/?functionName=counted&status=new&select(id)", None)?;
            page["data"].as_array().is_some_and(Vec::is_empty).then_some(())
        });
    });
    until("all of them have ended", || {
        let left = "in(status,new,inProgress)&functionName=counted&select(id)";
        let page = ask("GET", &format!("/tasks/v1/?{left}"), None)?;
        page["data"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    let ended: Vec<_> = ids.iter().map(|id| stack.task(id)).collect();
    let ran: Vec<_> = stage.bodies().iter().map(|task| task["id"].clone()).collect();
    for task in &ended {
        let runs = ran.iter().filter(|id| **id == task["id"]).count();
        let is_zombie = task["error"]["name"] == "zombieTaskCleaned" && runs <= 1;
        assert!(task["status"] == "complete" && runs == 1 || is_zombie, "{runs} runs of {task}\n{done:?}");
    }
    let failed: Vec<_> = ended.into_iter().filter(|task| task["status"] == "failed").collect();
    assert!(failed.len() <= UNLUCKY, "{failed:?}\n{done:?}");
    let found = stack.json(&["tasks", "list", "--rql", "functionName=counted&limit(50)"]);
    assert_eq!(found.as_array().map(Vec::len), Some(ids.len()), "each of them exists once: {done:?}");
    let Done { throttled, failed: refused, broken, lost, .. } = done;
    assert!([throttled, refused, broken, lost].iter().all(|count| *count > 3), "{done:?}");
    eprintln!("{} of {} tasks failed on a bad day: {done:?}", failed.len(), ids.len());
}

/// A Schedule whose first occurrence is now: the next tick creates its Task.
pub struct Scheduled(String);

impl Scheduled {
    pub fn begin(stack: &Deployed<'_>) -> Self {
        let created = ["schedules", "create", "hello-py", "--interval", "1h", "--data", r#"{"name":"the hour"}"#];
        let schedule = stack.json(&created);
        Self(schedule["id"].as_str().expect("an id").to_owned())
    }

    pub fn has_created_one_task(self, stack: &Deployed<'_>) {
        let tasks = || match stack.json(&["tasks", "list", "--rql", "eq(data.name,the%20hour)"]) {
            Value::Array(tasks) => tasks,
            other => panic!("not a list: {other}"),
        };
        let task = until("the ticker has run", || tasks().pop());
        let task = stack.ended(task["id"].as_str().expect("an id"));
        assert_eq!(task["status"], "complete", "{task}");
        assert_eq!(tasks().len(), 1);
        stack.run(&["schedules", "delete", &self.0]).expect(0);
    }
}

fn sync(stack: &Deployed<'_>, name: &str, policy: &Value) {
    let folder = write_function(&stack.home().join("functions"), name, FLAKY, &json!({ "retryPolicy": policy }));
    stack.run(&["sync", "--path", folder.to_str().expect("a path")]).expect(0);
}

/// Checks that the Task was due `delay` after that time, within the time that it takes to record it.
fn assert_starts_after(task: &Value, ready_after: Option<(i64, i64)>) {
    let Some((moment, delay)) = ready_after else { return };
    let late = time(&task["startTimestamp"]) - moment - delay;
    assert!((-1000..1000).contains(&late), "it is due {late} ms late: {task}");
    assert!(time(&task["statusChangedTimestamp"]) >= time(&task["startTimestamp"]), "{task}");
}

/// The time in so many milliseconds.
fn in_millis(millis: u64) -> String {
    SystemClock.now().saturating_add(Duration::from_millis(millis)).to_string()
}

/// A timestamp in milliseconds.
fn time(value: &Value) -> i64 {
    let time: Timestamp = value.as_str().expect("a timestamp").parse().expect("a timestamp");
    time.as_millis()
}
