//! The feed: tells the streams of this process what has changed (contract §12).
//!
//! The writers of Tasks and log lines on this machine report them here, and each stream has a short queue of what it has
//! not looked at yet. A report of a Task is only its id: the stream reads the Task itself, so it never shows more than a
//! caller could read.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use tasklane_model::{Caller, Error, ErrorKind, ObjectId, Result, Timestamp};
use tasklane_runtime::lock::Lock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::lists::Asker;

/// The most streams at once: each is a connection, and costs a little with every write.
const MOST_STREAMS: usize = 64;
/// The most streams of one caller, so that nobody takes all of them.
const MOST_OF_ONE: usize = 16;
/// How many reports wait for one stream at most, and how many bytes of log lines.
const MOST_REPORTS: usize = 2_000;
const MOST_BYTES: usize = 1 << 20;
/// The most Tasks that a stream is told about at once: it reads them together, as many as a page of a list has, and each may
/// have 250 KB of data.
const TASKS_AT_ONCE: usize = 50;

/// Passes on which Tasks changed and what their runs logged. Clones share it.
///
/// Only a process that sees every write and every line can have one. On AWS, where many processes write, there is none.
#[derive(Clone, Default)]
pub struct Feed(Arc<Inner>);

#[derive(Default)]
struct Inner {
    streams: Lock<Streams>,
    /// How many there are, for writers that ask before they take the lock.
    count: AtomicUsize,
    closed: CancellationToken,
}

#[derive(Default)]
struct Streams {
    next: u64,
    all: HashMap<u64, Subscriber>,
}

struct Subscriber {
    topic: Topic,
    asker: Asker,
    waiting: Waiting,
    bell: Arc<Notify>,
}

/// What a stream is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// One Task. If it shows the lines of its run, it reads them itself, so that none is left out, and only has to know that
    /// there are more.
    Task { id: ObjectId, with_lines: bool },
    /// All Tasks, with the lines that their runs log, or without.
    All { with_lines: bool },
}

/// What a stream is told.
#[derive(Clone, Debug)]
pub(super) enum Report {
    /// This Task may have changed.
    Changed(ObjectId),
    /// A run logged this line. It may be that of an API Request.
    Logged(ObjectId, Arc<FeedLine>),
}

/// A line that a run logged.
#[derive(Debug)]
pub(super) struct FeedLine {
    pub(super) timestamp: Timestamp,
    pub(super) message: String,
}

/// The reports that wait for a stream.
#[derive(Default)]
struct Waiting {
    reports: VecDeque<Report>,
    /// The Tasks among them: one that changes twice before it is looked at is reported once.
    changed: HashSet<ObjectId>,
    bytes: usize,
    is_incomplete: bool,
}

/// The reports that a stream takes at once.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) reports: Vec<Report>,
    /// Whether reports were dropped before these, because the stream did not keep up.
    pub(super) is_incomplete: bool,
}

/// The place of one stream in the feed, freed when it is dropped.
pub(super) struct Subscription {
    feed: Feed,
    number: u64,
    bell: Arc<Notify>,
}

impl Feed {
    /// Whether anybody wants to know. A writer may skip its reports otherwise.
    pub fn is_followed(&self) -> bool {
        self.0.count.load(Ordering::SeqCst) > 0
    }

    /// Reports that a Task was written. Called after the write, because the streams read the Task.
    pub fn task_written(&self, id: ObjectId) {
        self.tell(|subscriber| match subscriber.topic {
            Topic::Task { id: task, .. } if task != id => {}
            Topic::Task { .. } | Topic::All { .. } => subscriber.change(id),
        });
    }

    /// Reports lines that runs logged, each with the Task or API Request that its run is for.
    pub fn logged<'a>(&self, lines: impl IntoIterator<Item = (ObjectId, Timestamp, &'a str)>) {
        if !self.is_followed() {
            return;
        }
        let mut streams = self.lock();
        for (id, timestamp, message) in lines {
            let mut shared: Option<Arc<FeedLine>> = None;
            for subscriber in streams.all.values_mut() {
                match subscriber.topic {
                    Topic::Task { id: task, with_lines: true } if task == id => subscriber.change(id),
                    Topic::All { with_lines: true } => {
                        let line =
                            shared.get_or_insert_with(|| Arc::new(FeedLine { timestamp, message: message.to_owned() }));
                        subscriber.log(id, line);
                    }
                    Topic::Task { .. } | Topic::All { .. } => {}
                }
            }
        }
    }

    /// Ends all streams, and each one that begins later: the process stops.
    pub fn close(&self) {
        self.0.closed.cancel();
    }

    /// Returns when the feed is closed.
    pub(super) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }

    /// A place for a stream; 1505 if there are too many.
    pub(super) fn subscribe(&self, topic: Topic, caller: &Caller) -> Result<Subscription> {
        let asker = Asker::from(caller);
        let mut streams = self.lock();
        let of_asker = streams.all.values().filter(|subscriber| subscriber.asker == asker).count();
        if of_asker >= MOST_OF_ONE || streams.all.len() >= MOST_STREAMS {
            let message = "Too many streams are open. Close one, or ask again from time to time instead.";
            return Err(Error::new(ErrorKind::TooManyRequests, message));
        }
        let (number, bell) = (streams.next, Arc::new(Notify::new()));
        streams.next += 1;
        let subscriber = Subscriber { topic, asker, waiting: Waiting::default(), bell: Arc::clone(&bell) };
        streams.all.insert(number, subscriber);
        self.0.count.store(streams.all.len(), Ordering::SeqCst);
        Ok(Subscription { feed: self.clone(), number, bell })
    }

    fn tell(&self, tell: impl Fn(&mut Subscriber)) {
        if self.is_followed() {
            self.lock().all.values_mut().for_each(tell);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.0.streams.lock()
    }
}

impl Subscriber {
    fn change(&mut self, id: ObjectId) {
        if self.waiting.changed.insert(id) {
            self.report(Report::Changed(id), 0);
        }
    }

    fn log(&mut self, id: ObjectId, line: &Arc<FeedLine>) {
        self.report(Report::Logged(id, Arc::clone(line)), line.message.len());
    }

    fn report(&mut self, report: Report, bytes: usize) {
        let waiting = &mut self.waiting;
        if waiting.reports.len() >= MOST_REPORTS || waiting.bytes + bytes > MOST_BYTES {
            // All of them, because what is left would not tell the reader where the gap is.
            *waiting = Waiting { is_incomplete: true, ..Waiting::default() };
        } else {
            waiting.bytes += bytes;
            waiting.reports.push_back(report);
        }
        self.bell.notify_one();
    }
}

impl Waiting {
    fn take(&mut self) -> Taken {
        let mut taken = Taken { reports: Vec::new(), is_incomplete: std::mem::take(&mut self.is_incomplete) };
        let mut tasks = HashSet::new();
        while let Some(report) = self.reports.front() {
            let (Report::Changed(id) | Report::Logged(id, _)) = report;
            if tasks.len() >= TASKS_AT_ONCE && !tasks.contains(id) {
                break;
            }
            tasks.insert(*id);
            match report {
                Report::Changed(id) => drop(self.changed.take(id)),
                Report::Logged(_, line) => self.bytes -= line.message.len(),
            }
            taken.reports.extend(self.reports.pop_front());
        }
        taken
    }
}

impl Subscription {
    /// Returns when there may be reports.
    pub(super) async fn rings(&self) {
        self.bell.notified().await;
    }

    /// The oldest reports.
    pub(super) fn take(&self) -> Taken {
        self.feed.lock().all.get_mut(&self.number).map_or_else(Taken::default, |subscriber| {
            let taken = subscriber.waiting.take();
            if !subscriber.waiting.reports.is_empty() {
                // There are more, so the next wait is over at once.
                subscriber.bell.notify_one();
            }
            taken
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut streams = self.feed.lock();
        streams.all.remove(&self.number);
        self.feed.0.count.store(streams.all.len(), Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let streams = self.0.count.load(Ordering::SeqCst);
        f.debug_struct("Feed").field("streams", &streams).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use tasklane_model::{Identity, Permissions, UserId};

    fn user(id: &str) -> Caller {
        let user_id = UserId::parse(id).unwrap();
        Caller::User(Identity { user_id, application_id: None, permissions: Permissions::default() }.into())
    }

    fn id(number: u64) -> ObjectId {
        ObjectId::new(Timestamp::EPOCH, number)
    }

    fn log(feed: &Feed, number: u64, message: &str) {
        feed.logged([(id(number), Timestamp::EPOCH, message)]);
    }

    fn told(subscription: &Subscription) -> Vec<String> {
        let said = |report| match report {
            Report::Changed(task) => format!("{}", (0..9).find(|number| id(*number) == task).unwrap_or(9)),
            Report::Logged(_, line) => line.message.clone(),
        };
        subscription.take().reports.into_iter().map(said).collect()
    }

    #[test]
    fn each_stream_is_told_in_order_what_it_is_about() {
        let feed = Feed::default();
        assert!(!feed.is_followed());
        let one = feed.subscribe(Topic::Task { id: id(1), with_lines: true }, &user("ada")).unwrap();
        let mute = feed.subscribe(Topic::Task { id: id(1), with_lines: false }, &user("ada")).unwrap();
        let all = feed.subscribe(Topic::All { with_lines: true }, &user("ada")).unwrap();
        let silent = feed.subscribe(Topic::All { with_lines: false }, &user("ada")).unwrap();
        feed.task_written(id(1));
        log(&feed, 1, "a");
        feed.task_written(id(2));
        // Before anybody has looked: once is enough.
        feed.task_written(id(1));
        log(&feed, 2, "b");
        assert_eq!(told(&all), ["1", "a", "2", "b"]);
        assert_eq!(told(&silent), ["1", "2"]);
        assert_eq!((told(&one), told(&mute)), (vec!["1".to_owned()], vec!["1".to_owned()]));
        log(&feed, 1, "c");
        assert_eq!(told(&mute), [""; 0]);
        feed.task_written(id(1));
        assert_eq!((told(&all), told(&one)), (vec!["c".to_owned(), "1".to_owned()], vec!["1".to_owned()]));
        drop((one, mute, all, silent));
        assert!(!feed.is_followed());
    }

    #[test]
    fn a_stream_that_does_not_keep_up_learns_that_it_missed_something() {
        let feed = Feed::default();
        let all = feed.subscribe(Topic::All { with_lines: true }, &user("ada")).unwrap();
        let most = u64::try_from(MOST_REPORTS).unwrap();
        (0..most).for_each(|number| feed.task_written(id(number)));
        let first = all.take();
        assert_eq!((first.reports.len(), first.is_incomplete), (TASKS_AT_ONCE, false));
        assert!(all.rings().now_or_never().is_some(), "there are more");
        (most..2 * most).for_each(|number| feed.task_written(id(number)));
        assert!(all.take().is_incomplete);
        while !all.take().reports.is_empty() {}
        let line = "x".repeat(MOST_BYTES / 4 + 1);
        (0..4).for_each(|_| log(&feed, 1, &line));
        assert!(all.take().is_incomplete, "the bytes of lines are limited too");
        log(&feed, 1, "a");
        assert_eq!(told(&all), ["a"], "it goes on after the gap");
    }

    #[test]
    fn streams_are_limited_in_total_and_for_each_caller() {
        let feed = Feed::default();
        let subscribe = |who: &str| feed.subscribe(Topic::All { with_lines: false }, &user(who));
        let mut ada: Vec<_> = (0..MOST_OF_ONE).map(|_| subscribe("ada").unwrap()).collect();
        assert_eq!(subscribe("ada").err().unwrap().kind(), ErrorKind::TooManyRequests);
        ada.pop();
        ada.push(subscribe("ada").unwrap());
        let rest = MOST_STREAMS - MOST_OF_ONE;
        let _others: Vec<_> = (0..rest).map(|number| subscribe(&format!("user-{number}")).unwrap()).collect();
        assert_eq!(subscribe("bob").err().unwrap().kind(), ErrorKind::TooManyRequests);
    }
}
