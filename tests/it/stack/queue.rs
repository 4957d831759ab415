//! Tasks through the queue: SQS wakes the dispatcher, with delays, and the ticker runs each minute.

use serde_json::{Value, json};

use super::deployed::Deployed;
use crate::support::{project::write_function, wait::until};

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

/// A timestamp in milliseconds.
fn time(value: &Value) -> i64 {
    let time: tasklane::model::Timestamp = value.as_str().expect("a timestamp").parse().expect("a timestamp");
    time.as_millis()
}
