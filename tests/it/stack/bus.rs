//! `task_failed` on the event bus, as another team's rule receives it.

use serde_json::{Value, json};

use super::deployed::Deployed;
use crate::support::wait::until;

/// A rule that sends every event of the stack to a queue.
pub struct Listener<'a> {
    stack: &'a Deployed<'a>,
    queue_url: String,
    heard: std::cell::RefCell<Vec<Value>>,
}

const RULE: &str = "failures";
const TARGET: &str = "queue";

impl<'a> Listener<'a> {
    pub fn on(stack: &'a Deployed<'a>) -> Self {
        let bus = stack.output("EventBusName");
        let name = format!("listener-{}", stack.prefix);
        let created = stack.aws("sqs", "create_queue", &json!({ "QueueName": name }));
        let queue_url = created["QueueUrl"].as_str().expect("a URL").to_owned();
        let asked = json!({ "QueueUrl": queue_url, "AttributeNames": ["QueueArn"] });
        let arn = stack.aws("sqs", "get_queue_attributes", &asked)["Attributes"]["QueueArn"].take();
        let pattern = json!({ "source": ["tasklane"], "detail-type": ["task_failed"] }).to_string();
        stack.aws("events", "put_rule", &json!({ "Name": RULE, "EventBusName": bus, "EventPattern": pattern }));
        let targets = json!([{ "Id": TARGET, "Arn": arn }]);
        stack.aws("events", "put_targets", &json!({ "Rule": RULE, "EventBusName": bus, "Targets": targets }));
        Self { stack, queue_url, heard: std::cell::RefCell::default() }
    }

    /// Waits for the event of a failed Task, and checks its content.
    pub fn hear_of(&self, task: &Value) {
        let event = until(&format!("task_failed of {} is on the bus", task["id"]), || {
            self.listen();
            self.heard.borrow().iter().find(|event| event["detail"]["content"]["id"] == task["id"]).cloned()
        });
        assert_eq!((&event["source"], &event["detail-type"]), (&json!("tasklane"), &json!("task_failed")));
        let detail = &event["detail"];
        assert_eq!((&detail["id"], &detail["type"]), (&task["id"], &json!("task_failed")), "{event}");
        let content = json!({ "id": task["id"], "functionName": task["functionName"], "error": task["error"] });
        assert_eq!(detail["content"], content);
    }

    /// Removes the rule and its queue, because a bus with rules cannot be deleted. Checks that there were no events for other
    /// Tasks, such as retried ones.
    pub fn stop_having_heard_only_of(self, tasks: &[Value]) {
        for event in self.heard.borrow().iter() {
            assert!(
                tasks.iter().any(|task| task["id"] == event["detail"]["content"]["id"]),
                "it did not fail: {event}"
            );
        }
        let bus = self.stack.output("EventBusName");
        self.stack.aws("events", "remove_targets", &json!({ "Rule": RULE, "EventBusName": bus, "Ids": [TARGET] }));
        self.stack.aws("events", "delete_rule", &json!({ "Name": RULE, "EventBusName": bus }));
        self.stack.aws("sqs", "delete_queue", &json!({ "QueueUrl": self.queue_url }));
    }

    fn listen(&self) {
        let asked = json!({ "QueueUrl": self.queue_url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 5 });
        let mut answer = self.stack.aws("sqs", "receive_message", &asked);
        let Value::Array(messages) = answer["Messages"].take() else { return };
        for message in messages {
            let body = message["Body"].as_str().expect("a message has a body");
            self.heard.borrow_mut().push(serde_json::from_str(body).expect("an event is JSON"));
        }
    }
}
