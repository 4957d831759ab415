//! Publishes events to an EventBridge bus.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use tasklane_ports::{Events, PortError, PortFuture, TaskEvent};
use tasklane_runtime::on_demand::OnDemand;

use super::{config, fault::port_error};

/// The `source` of every event, which rules match on together with the bus.
const SOURCE: &str = "tasklane";

const ACTION: &str = "publish an event to EventBridge";

/// [`Events`] on an EventBridge bus. `source` is `tasklane`, `detail-type` is the event's type, and `detail` is the
/// event, whose `id` stays the same when it is published again.
#[derive(Clone, Debug)]
pub struct EventBridgeEvents {
    client: OnDemand<Client>,
    bus: String,
}

impl EventBridgeEvents {
    /// Publishes to the bus with this name or ARN.
    pub fn new(config: &aws_config::SdkConfig, bus: impl Into<String>) -> Self {
        Self { client: config::client(config, Client::new), bus: bus.into() }
    }
}

impl Events for EventBridgeEvents {
    fn publish<'a>(&'a self, event: &'a TaskEvent) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let entry = PutEventsRequestEntry::builder()
                .event_bus_name(&self.bus)
                .source(SOURCE)
                .detail_type(event.kind.as_str())
                .detail(serde_json::to_string(event).map_err(|error| PortError::new(ACTION, error))?)
                .build();
            let answer =
                self.client.put_events().entries(entry).send().await.map_err(|error| port_error(ACTION, error))?;
            // The call succeeds even when the bus refused the event.
            if answer.failed_entry_count() == 0 {
                return Ok(());
            }
            let refusal = answer.entries().first();
            let code = refusal.and_then(|entry| entry.error_code()).unwrap_or("no code");
            let message = refusal.and_then(|entry| entry.error_message()).unwrap_or("no message");
            Err(PortError::new(ACTION, format!("the bus {} refused it: {code}: {message}", self.bus)))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ReplayClient, Reply};
    use tasklane_model::{FunctionName, ObjectId, Task, TaskError, TaskErrorKind, TaskEventKind, Timestamp};

    fn event(error: TaskError) -> TaskEvent {
        let id = ObjectId::first_at(Timestamp::EPOCH);
        let function = FunctionName::parse("invoices").unwrap();
        let task = Task { error: Some(error), ..Task::new(id, function, Timestamp::EPOCH) };
        TaskEvent::new(TaskEventKind::TaskFailed, &task, Timestamp::saturating_from_millis(1_769_847_330_123))
    }

    fn boom() -> TaskError {
        TaskError { kind: TaskErrorKind::Runtime, name: "Error".into(), message: "boom".into() }
    }

    #[tokio::test]
    async fn the_detail_is_the_event_with_an_id_that_stays() {
        let wire =
            ReplayClient::replaying([Reply::ok(json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e" }] }))]);
        EventBridgeEvents::new(&wire.sdk_config(), "bus").publish(&event(boom())).await.unwrap();
        let bodies = wire.bodies("AWSEvents.PutEvents");
        let entry = &bodies[0]["Entries"][0];
        assert_eq!(
            (&entry["Source"], &entry["DetailType"], &entry["EventBusName"]),
            (&json!("tasklane"), &json!("task_failed"), &json!("bus"))
        );
        let detail: serde_json::Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        assert_eq!(
            detail,
            json!({ "id": "000000000000000000000000", "type": "task_failed", "content": {
                "id": "000000000000000000000000", "functionName": "invoices",
                "error": { "type": "runtime", "name": "Error", "message": "boom" } },
                "creation_timestamp": 1_769_847_330_123_i64 })
        );
    }

    #[tokio::test]
    async fn a_refused_event_is_an_error() {
        let refused = json!({ "FailedEntryCount": 1, "Entries": [{ "ErrorCode": "InternalFailure", "ErrorMessage": "try again" }] });
        let wire = ReplayClient::replaying([Reply::ok(refused)]);
        let error = EventBridgeEvents::new(&wire.sdk_config(), "bus").publish(&event(boom())).await.unwrap_err();
        assert!(error.to_string().contains("InternalFailure: try again"), "{error}");
    }

    #[tokio::test]
    async fn a_huge_error_still_fits_in_an_event() {
        // An entry holds at most 256 KB, and JSON turns each of these bytes into six.
        // <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
        let huge = "\u{1}".repeat(3_000_000);
        let event = event(TaskError { kind: TaskErrorKind::Runtime, name: huge.clone(), message: huge });
        let wire = ReplayClient::replaying([Reply::ok(json!({ "FailedEntryCount": 0, "Entries": [] }))]);
        EventBridgeEvents::new(&wire.sdk_config(), "bus").publish(&event).await.unwrap();
        let detail = wire.bodies("AWSEvents.PutEvents")[0]["Entries"][0]["Detail"].as_str().unwrap().len();
        assert!(detail < 250_000, "{detail}");
    }
}
