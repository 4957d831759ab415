//! The events that Tasks publish (contract §12).

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::TaskStatus;

/// What happened to a Task, by the name that its event has as `type`. In the order of a Task's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskEventKind {
    /// Its run began.
    TaskStarted,
    /// It was canceled, and never ran.
    TaskCanceled,
    /// Its run failed, and another Task retries it.
    TaskRetried,
    /// Its run returned.
    TaskCompleted,
    /// It failed for good. Published for every Function.
    TaskFailed,
}

impl TaskEventKind {
    /// Every kind, in the order of a Task's life.
    pub const ALL: [Self; 5] =
        [Self::TaskStarted, Self::TaskCanceled, Self::TaskRetried, Self::TaskCompleted, Self::TaskFailed];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskStarted => "task_started",
            Self::TaskCanceled => "task_canceled",
            Self::TaskRetried => "task_retried",
            Self::TaskCompleted => "task_completed",
            Self::TaskFailed => "task_failed",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::TaskStarted => 1,
            Self::TaskCanceled => 2,
            Self::TaskRetried => 4,
            Self::TaskCompleted => 8,
            Self::TaskFailed => 16,
        }
    }

    /// The event of a Task's end with this status; `None` if that is no end.
    pub fn of_end(status: TaskStatus) -> Option<Self> {
        match status {
            TaskStatus::New | TaskStatus::InProgress => None,
            TaskStatus::Complete => Some(Self::TaskCompleted),
            TaskStatus::Failed => Some(Self::TaskFailed),
            TaskStatus::Retried => Some(Self::TaskRetried),
            TaskStatus::Canceled => Some(Self::TaskCanceled),
        }
    }
}

/// There is no [`TaskEventKind`] with this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a list of events; they are {names}", names = TaskEventKind::ALL.map(TaskEventKind::as_str).join(", "))]
pub struct UnknownTaskEvent;

impl FromStr for TaskEventKind {
    type Err = UnknownTaskEvent;

    fn from_str(text: &str) -> Result<Self, UnknownTaskEvent> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownTaskEvent)
    }
}

/// Kinds of events, each once. In JSON a list, in a fixed order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "Vec<TaskEventKind>", into = "Vec<TaskEventKind>")]
#[schema(value_type = Vec<TaskEventKind>)]
pub struct TaskEvents(u8);

impl TaskEvents {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether this kind is among them.
    pub fn contains(self, kind: TaskEventKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The events with these names.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownTaskEvent> {
        names.into_iter().map(str::parse).collect::<Result<Vec<TaskEventKind>, _>>().map(Self::from)
    }

    /// In the order of a Task's life.
    pub fn iter(self) -> impl Iterator<Item = TaskEventKind> {
        TaskEventKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// What a Task with these events publishes when it ends with this status. `start_is_settled` says that its
    /// `task_started` needs no more care: it was accepted, or the Task never started.
    #[must_use]
    pub fn at_end(self, status: TaskStatus, start_is_settled: bool) -> Self {
        let end =
            TaskEventKind::of_end(status).filter(|kind| *kind == TaskEventKind::TaskFailed || self.contains(*kind));
        let start = Some(TaskEventKind::TaskStarted).filter(|kind| self.contains(*kind) && !start_is_settled);
        start.into_iter().chain(end).collect()
    }
}

impl From<TaskEventKind> for TaskEvents {
    fn from(kind: TaskEventKind) -> Self {
        Self(kind.bit())
    }
}

impl FromIterator<TaskEventKind> for TaskEvents {
    fn from_iter<I: IntoIterator<Item = TaskEventKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | kind.bit()))
    }
}

impl From<Vec<TaskEventKind>> for TaskEvents {
    fn from(kinds: Vec<TaskEventKind>) -> Self {
        kinds.into_iter().collect()
    }
}

impl From<TaskEvents> for Vec<TaskEventKind> {
    fn from(events: TaskEvents) -> Self {
        events.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_found_by_the_name_that_it_is_written_with() {
        for kind in TaskEventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!("task_new".parse::<TaskEventKind>(), Err(UnknownTaskEvent));
    }

    #[test]
    fn kinds_are_a_list_in_which_each_is_once() {
        let read: TaskEvents = serde_json::from_str(r#"["task_completed", "task_started", "task_started"]"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["task_started","task_completed"]"#);
        assert!(!read.is_empty() && !read.contains(TaskEventKind::TaskFailed));
    }

    #[test]
    fn a_failure_is_always_published_and_the_rest_only_if_it_was_asked_for() {
        let none = TaskEvents::default();
        let all: TaskEvents = TaskEventKind::ALL.into_iter().collect();
        let kinds = |events: TaskEvents| Vec::from(events);
        assert_eq!(kinds(none.at_end(TaskStatus::Failed, false)), [TaskEventKind::TaskFailed]);
        for status in [TaskStatus::Complete, TaskStatus::Retried, TaskStatus::Canceled] {
            assert!(none.at_end(status, false).is_empty());
        }
        let published = kinds(all.at_end(TaskStatus::Complete, false));
        assert_eq!(published, [TaskEventKind::TaskStarted, TaskEventKind::TaskCompleted]);
        assert_eq!(kinds(all.at_end(TaskStatus::Canceled, true)), [TaskEventKind::TaskCanceled]);
    }
}
