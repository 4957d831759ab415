//! What CloudFormation does, as it happens.

use std::{collections::HashSet, fmt};

use aws_sdk_cloudformation::types::StackEvent;

/// One thing that happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The resource's name in the template.
    pub resource: String,
    /// Its type.
    pub kind: String,
    /// Its status, such as `CREATE_COMPLETE`.
    pub status: String,
    /// Why, if CloudFormation says it.
    pub reason: Option<String>,
}

impl Event {
    pub(crate) fn of(event: &StackEvent) -> Self {
        Self {
            resource: event.logical_resource_id().unwrap_or_default().to_owned(),
            kind: event.resource_type().unwrap_or_default().to_owned(),
            status: event.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            reason: event.resource_status_reason().map(str::to_owned),
        }
    }

    /// Whether something went wrong.
    pub fn is_failure(&self) -> bool {
        self.status.ends_with("_FAILED")
    }

    /// Whether the failure only follows from another one.
    pub(crate) fn is_consequence(&self) -> bool {
        self.reason.as_deref().is_some_and(|reason| reason.contains("cancelled") || reason.contains("canceled"))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<22}  {}", self.status, self.resource)?;
        match self.reason.as_deref().filter(|_| self.is_failure()) {
            Some(reason) => write!(f, "  {reason}"),
            None => Ok(()),
        }
    }
}

/// The events that were seen, so that none is told twice.
#[derive(Default)]
pub(crate) struct Seen(HashSet<String>);

impl Seen {
    /// The events that are new, the earliest first. CloudFormation lists the latest first.
    pub fn new_ones(&mut self, events: &[StackEvent]) -> Vec<Event> {
        let fresh = events.iter().filter(|event| self.0.insert(event.event_id().unwrap_or_default().to_owned()));
        let mut fresh: Vec<_> = fresh.map(Event::of).collect();
        fresh.reverse();
        fresh
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::ResourceStatus;

    use super::*;

    fn event(id: &str, status: ResourceStatus, reason: Option<&str>) -> StackEvent {
        let event = StackEvent::builder().stack_id("s").event_id(id).stack_name("s").logical_resource_id("EventBus");
        event.resource_status(status).set_resource_status_reason(reason.map(str::to_owned)).build()
    }

    #[test]
    fn events_are_told_once_and_in_their_order() {
        let mut seen = Seen::default();
        let started = event("1", ResourceStatus::CreateInProgress, Some("Resource creation Initiated"));
        let failed = event("2", ResourceStatus::CreateFailed, Some("it exists"));
        let told = |events: Vec<Event>| events.iter().map(Event::to_string).collect::<Vec<_>>();
        assert_eq!(told(seen.new_ones(std::slice::from_ref(&started))), ["CREATE_IN_PROGRESS      EventBus"]);
        assert_eq!(told(seen.new_ones(&[failed, started])), ["CREATE_FAILED           EventBus  it exists"]);
        let canceled = Event::of(&event("3", ResourceStatus::CreateFailed, Some("Resource creation cancelled")));
        assert!(canceled.is_failure() && canceled.is_consequence());
    }
}
