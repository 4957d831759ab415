//! Streams: a Task, or all of them, followed live (contract §12).
//!
//! A stream lives for some minutes at most. Then its client opens it again and is let in again, so it is no way around the
//! end of a permission. Its work is done only while its client reads, and is dropped together with it.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream, stream::BoxStream};
use serde::Serialize;
use tasklane_model::{Caller, Error, ErrorKind, Json, ObjectId, Permission, Result, Task, TaskStatus, Timestamp};
use tasklane_ports::{LogPage, RunLogQuery};
use tasklane_rql::Query;
use tasklane_store::TaskRecord;
use tokio::sync::mpsc::{self, error::SendError};
use tracing::warn;

use super::{
    Service,
    feed::{Feed, FeedLine, Report, Subscription, Topic},
};

/// How long a stream lives.
const LIFETIME: Duration = Duration::from_secs(600);
/// After this long without anything else, a stream says that it is alive: proxies close what is silent.
const SILENCE: Duration = Duration::from_secs(15);
/// The least pause between two looks, in which reports gather.
const PAUSE: Duration = Duration::from_millis(20);
/// How many times as long as its last look a stream of one Task pauses, so that even a run with very many lines keeps the log
/// store busy for a small part of the time only.
const REST_OF_ONE: u32 = 4;
/// The same for a stream of all Tasks, which has to keep up with many writers.
const REST_OF_ALL: u32 = 1;
/// The longest such pause: a look may have taken long because the client reads slowly.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How many lines are read at once: one may have 256 KB.
const LINES_AT_ONCE: usize = 100;
/// How long after its end a run's last lines may arrive.
const LAST_LINES: Duration = Duration::from_secs(15);
/// How Lambda's own last line of a run begins.
const REPORT: &str = "REPORT RequestId:";
/// How many Tasks a stream remembers at most.
const REMEMBERED: usize = 10_000;

/// What a stream says.
#[derive(Clone, Debug)]
pub enum StreamItem {
    /// A Task as it is now.
    Task(Json),
    /// A line that a Task's run logged.
    Line(StreamedLine),
    /// Its reader was too slow for it: changes and lines were left out.
    Gap,
    /// Nothing has happened for a while.
    StillHere,
    /// The Task will not change any more.
    End(StreamEnd),
}

/// A line that a Task's run logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamedLine {
    /// The Task.
    pub task_id: ObjectId,
    /// When it was logged.
    pub timestamp: Timestamp,
    /// The line, without its line ending.
    pub message: String,
}

/// Why the stream of a Task is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamEnd {
    /// The Task.
    pub task_id: ObjectId,
    /// How it ended; `None` if there is no such Task any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskStatus>,
    /// The Task that retries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried_by_task_id: Option<ObjectId>,
}

/// A stream. Dropping it ends it.
pub type TaskStream = BoxStream<'static, StreamItem>;

/// Where a stream's work puts what it says.
type Mouth = mpsc::Sender<StreamItem>;

/// Why a stream's work is over before its time.
enum Over {
    /// It has said everything.
    Said,
    /// Something could not be read. The client will open the stream again.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl From<SendError<StreamItem>> for Over {
    fn from(_: SendError<StreamItem>) -> Self {
        Self::Said
    }
}

impl Service {
    /// Follows one Task: as it is now, then whenever it changes, with the lines of its run if the caller may read them, until
    /// it is final. 16 when there is none; 1505 when too many streams are open; ENDPOINT_EXCEPTION where there are none.
    pub async fn stream_task(&self, caller: &Caller, id: ObjectId) -> Result<TaskStream> {
        let feed = self.feed()?;
        // First, so that no change is lost between the look and the stream.
        let with_lines = may_read_lines(caller);
        let subscription = feed.subscribe(Topic::Task { id, with_lines }, caller)?;
        if self.inner.store.tasks.get(id).await?.is_none() {
            return Err(Error::unknown("task", id));
        }
        let service = self.clone();
        Ok(self.stream(feed, |mouth| async move {
            let mut follower = Follower { service, mouth, id, with_lines, said: None, lines: 0, is_reported: false };
            follower.follow(&subscription).await
        }))
    }

    /// Follows all Tasks that match the query's filter: from now on each one that changes, and the lines of their runs if the
    /// caller may read them. 1505 when too many streams are open; ENDPOINT_EXCEPTION where there are none.
    pub fn stream_tasks(&self, caller: &Caller, query: Query) -> Result<TaskStream> {
        let feed = self.feed()?;
        let subscription = feed.subscribe(Topic::All { with_lines: may_read_lines(caller) }, caller)?;
        let service = self.clone();
        Ok(self.stream(feed, |mouth| async move {
            let mut watcher = Watcher { service, mouth, query, known: HashMap::new() };
            watcher.watch(&subscription).await
        }))
    }

    fn feed(&self) -> Result<&Feed> {
        self.inner.settings.feed.as_ref().ok_or_else(|| {
            let message = "This service runs on many machines, and has no streams. Wait for a task with 'wait', or list the tasks.";
            Error::new(ErrorKind::Endpoint, message)
        })
    }

    /// A stream of what this work says, until its time is over or the process stops.
    fn stream<F>(&self, feed: &Feed, work: impl FnOnce(Mouth) -> F) -> TaskStream
    where
        F: Future<Output = std::result::Result<std::convert::Infallible, Over>> + Send + 'static,
    {
        let (mouth, mut said) = mpsc::channel(1);
        let (work, feed, service) = (work(mouth), feed.clone(), self.clone());
        let mut work = Some(Box::pin(async move {
            tokio::select! {
                biased;
                () = feed.closed() => {}
                () = service.inner.ports.clock.sleep(LIFETIME) => {}
                Err(over) = work => if let Over::Failed(error) = over {
                    warn!(error = &*error, "a stream ended early; its client will open it again");
                },
            }
        }));
        let next = stream::poll_fn(move |context| {
            if let Some(working) = &mut work
                && working.as_mut().poll(context).is_ready()
            {
                work = None;
            }
            said.poll_recv(context)
        });
        next.boxed()
    }

    /// Waits until there may be something new, and a moment longer if the last look took long. Says that the stream is alive
    /// while nothing happens.
    async fn next_look(
        &self,
        subscription: &Subscription,
        mouth: &Mouth,
        (began, rest): (Timestamp, u32),
        until: Option<Timestamp>,
    ) -> std::result::Result<(), Over> {
        let clock = &self.inner.ports.clock;
        let now = clock.now();
        let silence = until.map_or(SILENCE, |until| until.since(now).min(SILENCE));
        tokio::select! {
            biased;
            () = subscription.rings() => clock.sleep((now.since(began) * rest).clamp(PAUSE, LONGEST_PAUSE)).await,
            () = clock.sleep(silence) => mouth.send(StreamItem::StillHere).await?,
        }
        Ok(())
    }
}

fn may_read_lines(caller: &Caller) -> bool {
    caller.identity().is_some_and(|identity| identity.permissions.hold(Permission::ViewTaskLogs))
}

/// Follows one Task.
struct Follower {
    service: Service,
    mouth: Mouth,
    id: ObjectId,
    with_lines: bool,
    /// The Task as it was last said.
    said: Option<Json>,
    /// How many lines were said. The log of a run only grows, so this is where the next ones are.
    lines: usize,
    /// Whether the last of them was the run's last.
    is_reported: bool,
}

impl Follower {
    async fn follow(&mut self, subscription: &Subscription) -> std::result::Result<std::convert::Infallible, Over> {
        let Service { inner } = self.service.clone();
        loop {
            let began = inner.ports.clock.now();
            // Taken before the look, so that what happens meanwhile leads to another one.
            subscription.take();
            let Some(record) = inner.store.tasks.get(self.id).await.map_err(failed)? else {
                return self.end(None).await;
            };
            let is_final = record.task.status.is_final();
            // The beginning of a run comes before its lines, and its end after them.
            if !is_final {
                self.say(&record.task).await?;
            }
            self.say_lines(&record).await?;
            let mut until = None;
            if is_final {
                self.say(&record.task).await?;
                until = self.last_lines_until(&record);
                if until.is_none_or(|until| until <= inner.ports.clock.now()) {
                    return self.end(Some(record.task)).await;
                }
            }
            self.service.next_look(subscription, &self.mouth, (began, REST_OF_ONE), until).await?;
        }
    }

    /// The Task, unless that is what was said last.
    async fn say(&mut self, task: &Task) -> std::result::Result<(), Over> {
        let task = Json::of(task).map_err(failed)?;
        if self.said.as_ref().is_none_or(|said| said.as_str() != task.as_str()) {
            self.mouth.send(StreamItem::Task(task.clone())).await?;
            self.said = Some(task);
        }
        Ok(())
    }

    /// The lines of its run that were not said yet.
    async fn say_lines(&mut self, record: &TaskRecord) -> std::result::Result<(), Over> {
        let task = &record.task;
        while self.with_lines && task.status != TaskStatus::New {
            let query = RunLogQuery {
                function: &task.function_name,
                correlation: task.id,
                // The bounds must stay the same while lines are counted.
                request_id: None,
                from: task.creation_timestamp,
                since: None,
                to: Timestamp::LATEST,
                page: LogPage { offset: self.lines, limit: LINES_AT_ONCE },
            };
            let lines = self.service.inner.ports.logs.of_run(query).await.map_err(failed)?;
            let is_all = lines.len() < LINES_AT_ONCE;
            for line in lines {
                self.lines += 1;
                self.is_reported = line.message.starts_with(REPORT);
                let line = StreamedLine { task_id: task.id, timestamp: line.timestamp, message: line.message };
                self.mouth.send(StreamItem::Line(line)).await?;
            }
            if is_all {
                break;
            }
        }
        Ok(())
    }

    /// Until when the last lines of a Task that has ended may come; `None` if there are no more. Its caller may be answered
    /// a moment before its process has finished.
    fn last_lines_until(&self, record: &TaskRecord) -> Option<Timestamp> {
        let has_run = record.run.is_some() || record.request_id.is_some();
        let may_come = self.with_lines && has_run && !self.is_reported;
        may_come.then(|| record.task.status_changed_timestamp.saturating_add(LAST_LINES))
    }

    async fn end(&self, task: Option<Task>) -> std::result::Result<std::convert::Infallible, Over> {
        let end = StreamEnd {
            task_id: self.id,
            status: task.as_ref().map(|task| task.status),
            retried_by_task_id: task.and_then(|task| task.retried_by_task_id),
        };
        self.mouth.send(StreamItem::End(end)).await?;
        Err(Over::Said)
    }
}

/// Follows all Tasks that match a filter.
struct Watcher {
    service: Service,
    mouth: Mouth,
    query: Query,
    /// The Tasks that it has looked at: a hash of each one as it was said, or `None` if it does not match.
    known: HashMap<ObjectId, Option<u64>>,
}

impl Watcher {
    async fn watch(&mut self, subscription: &Subscription) -> std::result::Result<std::convert::Infallible, Over> {
        loop {
            let began = self.service.inner.ports.clock.now();
            let taken = subscription.take();
            if taken.is_incomplete {
                self.mouth.send(StreamItem::Gap).await?;
            }
            if !taken.reports.is_empty() {
                self.tell(taken.reports).await?;
            }
            self.service.next_look(subscription, &self.mouth, (began, REST_OF_ALL), None).await?;
        }
    }

    async fn tell(&mut self, reports: Vec<Report>) -> std::result::Result<(), Over> {
        if self.known.len() > REMEMBERED {
            // At worst, a Task is said twice.
            self.known.clear();
        }
        let mut tasks = self.read(&reports).await?;
        for report in reports {
            match report {
                Report::Changed(id) => {
                    if let Some(task) = tasks.remove(&id) {
                        self.mouth.send(StreamItem::Task(task)).await?;
                    }
                }
                Report::Logged(id, line) if self.known.get(&id).is_some_and(Option::is_some) => {
                    self.mouth.send(StreamItem::Line(streamed(id, &line))).await?;
                }
                Report::Logged(..) => {}
            }
        }
        Ok(())
    }

    /// The changed Tasks that match and differ from what was said of them. Also learns about the Tasks that only lines are
    /// known of.
    async fn read(&mut self, reports: &[Report]) -> std::result::Result<HashMap<ObjectId, Json>, Over> {
        let unknown = |report: &Report| match report {
            Report::Changed(id) => Some(*id),
            Report::Logged(id, _) => (!self.known.contains_key(id)).then_some(*id),
        };
        let mut ids: Vec<_> = reports.iter().filter_map(unknown).collect();
        ids.sort();
        ids.dedup();
        let changed =
            |id: &ObjectId| reports.iter().any(|report| matches!(report, Report::Changed(other) if other == id));
        let inner = Arc::clone(&self.service.inner);
        let now = inner.ports.clock.now();
        let (found, is_all) = inner.store.tasks.matching_among(&ids, &self.query, now).await.map_err(failed)?;
        if !is_all {
            // The filter takes too long for so much data.
            self.mouth.send(StreamItem::Gap).await?;
        }
        let mut said = HashMap::new();
        let mut known: HashMap<_, Option<u64>> = ids.into_iter().map(|id| (id, None)).collect();
        for (id, task) in found {
            let mut hasher = DefaultHasher::new();
            task.as_str().hash(&mut hasher);
            let hash = Some(hasher.finish());
            if changed(&id) && self.known.get(&id) != Some(&hash) {
                said.insert(id, task);
            }
            known.insert(id, hash);
        }
        self.known.extend(known);
        Ok(said)
    }
}

fn streamed(task_id: ObjectId, line: &FeedLine) -> StreamedLine {
    StreamedLine { task_id, timestamp: line.timestamp, message: line.message.clone() }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Over {
    Over::Failed(error.into())
}
