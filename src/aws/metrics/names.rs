//! The names of all metrics. Alarms and the dashboard in `template.yaml` use no others, which a test checks.

/// A metric in the namespace [`super::NAMESPACE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricName {
    /// Runs that returned.
    Completed,
    /// Runs that failed and are not tried again.
    Failed,
    /// Runs that failed and are tried again.
    Retried,
    /// Runs whose outcome nobody knows.
    Unknown,
    /// How long after its due time a run started.
    Lateness,
    /// How long a run took.
    RunTime,
    /// How long the first due Task has been waiting. Each tick without an error reports it.
    OldestDueTask,
    /// How many due Tasks wait.
    QueueDepth,
    /// Tasks that were ended because their runner died.
    Zombies,
    /// Tasks that became due.
    Promoted,
    /// Tasks that Schedules created.
    Scheduled,
    /// How long ago the first Task ended whose events no bus has accepted.
    OldestUnpublishedEvent,
    /// Runs that Lambda refused because too many were in progress.
    Throttled,
    /// Calls that DynamoDB refused because there were too many.
    DatabaseThrottled,
    /// Calls that failed inside DynamoDB.
    DatabaseErrors,
    /// Secrets that KMS did not seal or open.
    KeyRefused,
}

impl MetricName {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Completed,
        Self::Failed,
        Self::Retried,
        Self::Unknown,
        Self::Lateness,
        Self::RunTime,
        Self::OldestDueTask,
        Self::QueueDepth,
        Self::Zombies,
        Self::Promoted,
        Self::Scheduled,
        Self::OldestUnpublishedEvent,
        Self::Throttled,
        Self::DatabaseThrottled,
        Self::DatabaseErrors,
        Self::KeyRefused,
    ];

    /// The name in CloudWatch.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Retried => "Retried",
            Self::Unknown => "Unknown",
            Self::Lateness => "Lateness",
            Self::RunTime => "RunTime",
            Self::OldestDueTask => "OldestDueTask",
            Self::QueueDepth => "QueueDepth",
            Self::Zombies => "Zombies",
            Self::Promoted => "Promoted",
            Self::Scheduled => "Scheduled",
            Self::OldestUnpublishedEvent => "OldestUnpublishedEvent",
            Self::Throttled => "Throttled",
            Self::DatabaseThrottled => "DatabaseThrottled",
            Self::DatabaseErrors => "DatabaseErrors",
            Self::KeyRefused => "KeyRefused",
        }
    }

    /// The metric with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}
