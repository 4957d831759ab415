//! Wake-ups through SQS: one message each, with a delay in whole seconds.

use std::time::Duration;

use aws_sdk_sqs::Client;
use serde::{Deserialize, Serialize};
use tasklane_model::ObjectId;
use tasklane_ports::{PortError, PortFuture, Wakeup, Wakeups};
use tasklane_runtime::on_demand::OnDemand;

use super::{config, fault::port_error};

/// The longest delay of a message in SQS.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-timers.html>
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// The body of a wake-up. A space and the id of a Task follow if it is for one.
const WAKE: &str = "wake";

/// [`Wakeups`] through a queue that invokes the dispatcher.
#[derive(Clone, Debug)]
pub struct SqsWakeups {
    client: OnDemand<Client>,
    queue_url: String,
}

impl SqsWakeups {
    /// Sends to the queue at this URL.
    pub fn new(config: &aws_config::SdkConfig, queue_url: impl Into<String>) -> Self {
        Self { client: config::client(config, Client::new), queue_url: queue_url.into() }
    }
}

impl Wakeups for SqsWakeups {
    fn wake<'a>(&'a self, wakeup: Wakeup) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            if wakeup.delay > LONGEST_DELAY {
                return Ok(());
            }
            // Rounded up, because a message that arrives before the Task is due is wasted.
            let seconds = i32::try_from(wakeup.delay.as_millis().div_ceil(1000)).unwrap_or(0);
            self.client
                .send_message()
                .queue_url(&self.queue_url)
                .delay_seconds(seconds)
                .message_body(wakeup.task.map_or_else(|| WAKE.to_owned(), |task| format!("{WAKE} {task}")))
                .send()
                .await
                .map_err(|error| port_error("wake a dispatcher through SQS", error))?;
            Ok(())
        })
    }
}

/// A batch of wake-ups, as Lambda passes it to the dispatcher.
#[derive(Debug, Deserialize)]
pub struct WakeupBatch {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_id: String,
    body: String,
}

/// The messages of a batch that SQS should deliver again (`ReportBatchItemFailures`).
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    batch_item_failures: Vec<ItemFailure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: String,
}

impl WakeupBatch {
    /// Whether there is a wake-up among the messages.
    pub fn wakes(&self) -> bool {
        self.records.iter().any(Message::is_wakeup)
    }

    /// The Tasks that the wake-ups are for.
    pub fn tasks(&self) -> Vec<ObjectId> {
        self.records.iter().filter_map(|message| message.task()?.parse().ok()).collect()
    }

    /// The answer after the wake-ups were handled. Messages that are not wake-ups are delivered again, until they end
    /// up in the dead-letter queue, where an operator can see them.
    pub fn done(&self) -> BatchAnswer {
        self.answer(|message| !message.is_wakeup())
    }

    /// The answer when the batch could not be handled: all messages are delivered again.
    pub fn failed(&self) -> BatchAnswer {
        self.answer(|_| true)
    }

    fn answer(&self, is_retried: impl Fn(&Message) -> bool) -> BatchAnswer {
        let retried = self.records.iter().filter(|message| is_retried(message));
        let failure = |message: &Message| ItemFailure { item_identifier: message.message_id.clone() };
        BatchAnswer { batch_item_failures: retried.map(failure).collect() }
    }
}

impl Message {
    fn is_wakeup(&self) -> bool {
        self.body == WAKE || self.task().is_some_and(|task| task.parse::<ObjectId>().is_ok())
    }

    fn task(&self) -> Option<&str> {
        self.body.strip_prefix(WAKE)?.strip_prefix(' ')
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ReplayClient, Reply};

    fn sent(message: &str) -> Reply {
        let digest = message; // the SDK only checks a digest that the response contains
        Reply::ok(json!({ "MessageId": digest }))
    }

    #[tokio::test]
    async fn a_wake_up_never_arrives_early() {
        let wire = ReplayClient::replaying([sent("1"), sent("2"), sent("3")]);
        let wakeups = SqsWakeups::new(&wire.sdk_config(), "https://sqs.eu-west-1.amazonaws.com/1/q");
        for delay in [Duration::ZERO, Duration::from_millis(1001), LONGEST_DELAY] {
            wakeups.wake(Wakeup { delay, task: None }).await.unwrap();
        }
        wakeups.wake(Wakeup { delay: LONGEST_DELAY + Duration::from_millis(1), task: None }).await.unwrap();
        let delays: Vec<_> =
            wire.bodies("AmazonSQS.SendMessage").iter().map(|body| body["DelaySeconds"].clone()).collect();
        assert_eq!(delays, [json!(0), json!(2), json!(900)]);
        wire.assert_used_up();
    }

    #[tokio::test]
    async fn a_wake_up_names_its_task_to_the_dispatcher() {
        let wire = ReplayClient::replaying([sent("1"), sent("2")]);
        let wakeups = SqsWakeups::new(&wire.sdk_config(), "https://sqs.eu-west-1.amazonaws.com/1/q");
        let task: ObjectId = "65c0ffee65c0ffee65c0ffee".parse().unwrap();
        wakeups.wake(Wakeup::for_task(task, Duration::ZERO)).await.unwrap();
        wakeups.wake(Wakeup::NOW).await.unwrap();
        let bodies = wire.bodies("AmazonSQS.SendMessage");
        let records: Vec<_> =
            bodies.iter().map(|body| json!({ "messageId": "1", "body": body["MessageBody"] })).collect();
        let batch: WakeupBatch = serde_json::from_value(json!({ "Records": records })).unwrap();
        assert_eq!(batch.tasks(), [task]);
        assert_eq!(batch.done(), BatchAnswer::default(), "both are wake-ups");
    }

    #[test]
    fn only_a_poison_message_is_delivered_again() {
        let batch: WakeupBatch = serde_json::from_value(json!({ "Records": [
            { "messageId": "1", "body": "wake" }, { "messageId": "2", "body": "{\"poison\":1}" }, { "messageId": "3", "body": "wake up" },
        ] }))
        .unwrap();
        assert!(batch.wakes());
        let answer = serde_json::to_value(batch.done()).unwrap();
        assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "2" }, { "itemIdentifier": "3" }] }));
        assert_eq!(batch.failed().batch_item_failures.len(), 3);
    }

    #[tokio::test]
    async fn a_refusal_names_the_request_for_the_log() {
        let wire = ReplayClient::replaying([Reply::error(400, "QueueDoesNotExist", "no such queue")]);
        let wakeups = SqsWakeups::new(&wire.sdk_config(), "https://sqs.eu-west-1.amazonaws.com/1/q");
        let text = wakeups.wake(Wakeup::NOW).await.unwrap_err().to_string();
        assert!(text.contains("no such queue") && text.contains("req-error"), "{text}");
    }
}
