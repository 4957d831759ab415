//! A Task's row in the database, and which row may follow which.

use std::fmt;

use serde_json::Value;
use tasklane_model::{
    Debounce, ObjectId, Priority, TaskError, TaskEvents, TaskOptions, TaskStatus, Timestamp, task::EXPIRED_ERROR_NAME,
};

/// The prefix of the tables.
pub const PREFIX: &str = "sim";
/// What the partitions of marks begin with.
pub const MARK: &str = "mark:";

/// The parts of a Task's row that promises depend on. The simulation reads them itself, because the product's own
/// reader is under test.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    pub id: ObjectId,
    pub function: String,
    pub status: TaskStatus,
    /// `statusChanged`, in milliseconds.
    pub status_changed: i64,
    /// `start`, in milliseconds.
    pub start: i64,
    /// `created`, in milliseconds.
    pub created: i64,
    pub priority: i64,
    pub lane: Option<String>,
    /// `laneKey`.
    pub lane_key: Option<String>,
    /// `editedBy`: the last change of a Task that had not started.
    pub edited: Option<String>,
    /// The last bulk operation that changed it.
    pub bulk: Option<String>,
    /// `canceledBy`.
    pub canceled_by: Option<String>,
    /// `replayOf`, among its options.
    pub replay_of: Option<ObjectId>,
    pub attempt: Option<String>,
    /// `started`, in milliseconds.
    pub started: Option<i64>,
    /// `lease`, in milliseconds.
    pub lease: Option<i64>,
    pub error: Option<TaskError>,
    /// `functionVersion`.
    pub version: Option<u64>,
    /// `retryFor`.
    pub retry_for: Vec<ObjectId>,
    /// `notAfter`, in milliseconds.
    pub not_after: Option<i64>,
    /// `retriedBy`.
    pub retried_by: Option<ObjectId>,
    pub data: Option<String>,
    pub tags: Option<String>,
    /// `user`.
    pub user: Option<String>,
    /// `options.events`.
    pub events: TaskEvents,
    /// `options.debounce`.
    pub debounce: Option<Debounce>,
    /// `flow`: its flow key, once it was due.
    pub flow: Option<String>,
    /// The Schedule that created it, and the occurrence, in milliseconds.
    pub occurrence: Option<(ObjectId, i64)>,
}

impl TaskRow {
    /// Reads DynamoDB's JSON.
    pub fn read(item: &Value) -> Result<Self, String> {
        let text = |name: &str| item[name]["S"].as_str();
        let number = |name: &str| item[name]["N"].as_str().and_then(|text| text.parse::<i64>().ok());
        let missing = |name: &str| format!("'{name}' is missing or wrong in {item}");
        let must = |name: &str| text(name).ok_or_else(|| missing(name));
        let count = |name: &str| number(name).ok_or_else(|| missing(name));
        let options = options(text("options")).ok_or_else(|| missing("options"))?;
        let retry_for = text("retryFor").map(serde_json::from_str).transpose().map_err(|_| missing("retryFor"))?;
        Ok(Self {
            id: must("sk")?.parse().map_err(|_| missing("sk"))?,
            function: must("function")?.to_owned(),
            status: must("status")?.parse().map_err(|_| missing("status"))?,
            status_changed: count("statusChanged")?,
            start: count("start")?,
            created: count("created")?,
            priority: count("priority")?,
            lane: text("lane").map(str::to_owned),
            lane_key: text("laneKey").map(str::to_owned),
            edited: text("editedBy").map(str::to_owned),
            bulk: text("bulk").map(str::to_owned),
            canceled_by: text("canceledBy").map(str::to_owned),
            replay_of: options.replay_of,
            attempt: text("attempt").map(str::to_owned),
            started: number("started"),
            lease: number("lease"),
            version: number("functionVersion").and_then(|version| u64::try_from(version).ok()),
            error: text("error").map(serde_json::from_str).transpose().map_err(|_| missing("error"))?,
            retry_for: retry_for.unwrap_or_default(),
            not_after: number("notAfter"),
            retried_by: text("retriedBy").and_then(|text| text.parse().ok()),
            data: text("data").map(str::to_owned),
            tags: text("tags").map(str::to_owned),
            user: text("user").map(str::to_owned),
            events: options.events,
            debounce: options.debounce,
            flow: text("flow").map(str::to_owned),
            occurrence: options.schedule_id.zip(options.occurrence_timestamp.map(Timestamp::as_millis)),
        })
    }

    /// Whether it is in the ready lane that Functions share.
    pub fn is_in_shared_lane(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.starts_with("ready#"))
    }

    /// Whether it may not start any more.
    pub fn has_expired(&self, clock: i64) -> bool {
        self.not_after.is_some_and(|not_after| not_after <= clock)
    }

    /// The reason why this row cannot follow that one, if any. `clock` is the time on the writer's clock.
    pub fn cannot_follow(&self, before: Option<&Self>, clock: i64) -> Option<String> {
        use TaskStatus::{Canceled, Complete, Failed, InProgress, New, Retried};
        let was = before.map(|before| before.status);
        let moves = match (was, self.status) {
            (None, New) => self.attempt.is_none(),
            (None, InProgress) => self.retry_for.is_empty(),
            (Some(New), New | Canceled) | (Some(InProgress), Complete | Failed | Retried) => true,
            (Some(New), InProgress) => {
                // A write that takes long may arrive after that.
                if self.has_expired(self.started.unwrap_or(clock)) {
                    return Some("a task started although it had waited longer than it may".to_owned());
                }
                true
            }
            (Some(New), Failed) => {
                if !self.has_expired(self.status_changed) {
                    return Some("a task expired before its time".to_owned());
                }
                self.attempt.is_none() && self.error.as_ref().is_some_and(|error| error.name == EXPIRED_ERROR_NAME)
            }
            (Some(Complete), Complete)
            | (Some(Failed), Failed)
            | (Some(Retried), Retried)
            | (Some(Canceled), Canceled) => before.is_some_and(|before| {
                let (lane, lane_key) = (before.lane.clone(), before.lane_key.clone());
                *before == Self { lane, lane_key, ..self.clone() }
            }),
            (None, Complete | Failed | Retried | Canceled)
            | (Some(New), Complete | Retried)
            | (Some(InProgress), New | InProgress | Canceled)
            | (Some(Complete | Failed | Retried | Canceled), _) => false,
        };
        if !moves {
            let was = was.map_or("nothing", TaskStatus::as_str);
            return Some(format!("a task moved from {was} to {}, which is not allowed", self.status));
        }
        let is_new = self.status == New;
        let was_ready = before.is_some_and(|before| before.is_ready() && before.start == self.start);
        if is_new && self.is_ready() && !was_ready && self.start > clock {
            return Some(format!("a task was made ready {} ms before its time", self.start - clock));
        }
        if is_new && !self.is_in_its_place() {
            return Some("a task is not in its place in its lane".to_owned());
        }
        let before = before?;
        let edited = is_new && before.status == New && before.edited != self.edited;
        let may_wait = |row: &Self| row.not_after.map(|not_after| not_after - row.start);
        let same = (&before.function, before.created, &before.tags, &before.retry_for, may_wait(before))
            == (&self.function, self.created, &self.tags, &self.retry_for, may_wait(self));
        let unedited = (before.start, before.priority, &before.data) == (self.start, self.priority, &self.data);
        (!same || !(unedited || edited)).then(|| "the properties of a task have changed".to_owned())
    }

    fn is_ready(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.starts_with("ready"))
    }

    /// Whether it is behind the gate of its flow key.
    pub fn is_held(&self) -> bool {
        self.is_ready() && self.lane_key.as_ref().is_some_and(|key| key.starts_with('~'))
    }

    /// Whether it was admitted by its flow key.
    pub fn is_admitted(&self) -> bool {
        self.is_ready() && self.lane_key.as_ref().is_some_and(|key| key.starts_with('!'))
    }

    /// Whether a Task that has not started is where it belongs in its lane: among those that were admitted, in the order of
    /// their admission.
    fn is_in_its_place(&self) -> bool {
        let Some(key) = &self.lane_key else { return false };
        let place = self.place();
        if !self.is_ready() {
            return *key == place;
        }
        match key.strip_prefix('!') {
            Some(key) => {
                let parts = |key: &str| key.split('.').map(str::to_owned).collect::<Vec<_>>();
                let (key, place) = (parts(key), parts(&place));
                (key.first(), key.last(), key.len()) == (place.first(), place.last(), place.len())
            }
            None => {
                key.strip_prefix('~').and_then(|held| held.split_once('.')).map_or(key.as_str(), |(_, key)| key)
                    == place
            }
        }
    }

    /// The place of a Task in the queue of its lane.
    fn place(&self) -> String {
        let timed = format!("{:015}.{}", self.start, self.id);
        if self.is_ready() { format!("{:017}.{timed}", Priority::MAX.get() - self.priority) } else { timed }
    }
}

/// What a Task was created with; `None` if that cannot be read.
fn options(text: Option<&str>) -> Option<TaskOptions> {
    text.map_or_else(|| Some(TaskOptions::default()), |text| serde_json::from_str(text).ok())
}

impl fmt::Display for TaskRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.function, self.status, self.lane.as_deref().unwrap_or("no lane"))?;
        if self.is_admitted() || self.is_held() {
            write!(f, " {}", self.lane_key.as_deref().unwrap_or_default())?;
        }
        write!(f, ", start {}, priority {}", self.start % 100_000_000, self.priority)?;
        if let Some(lease) = self.lease {
            write!(f, ", lease {}", lease % 100_000_000)?;
        }
        if let Some(error) = &self.error {
            write!(f, ", error {}", error.name)?;
        }
        if let Some(next) = self.retried_by {
            write!(f, ", retried by {next}")?;
        }
        Ok(())
    }
}
