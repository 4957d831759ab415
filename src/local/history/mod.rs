//! How runs ended in the last seven days, for `GET /tasklane/v1/stats`.
//!
//! A run that ends is counted in memory, which costs it nothing. Every few seconds the counts are added to a small SQLite
//! file in the data folder, one row for each Function and minute. If the process is killed, the counts of these seconds
//! are lost; the Tasks themselves are in the database.

mod lateness;
mod rows;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use rusqlite::Connection;
use tasklane_model::{FunctionName, RunStats, StatsRange, Timestamp};
use tasklane_ports::{Clock as _, PortError, PortFuture, SystemClock};
use tasklane_runtime::lock::Lock;
use tasklane_service::RunHistory;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use lateness::Classes;

use super::private::privately;

/// How long a minute is remembered.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often counts are written. A killed process loses as much.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// After how many writes old minutes are deleted.
const PRUNE_EVERY: u32 = 120;
/// How many Functions and minutes are counted between two writes, in case the file cannot be written.
const MOST_PENDING: usize = 100_000;

/// Counts the runs that end, until they are written. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RunLog(Arc<Lock<BTreeMap<Key, Counts>>>);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Its Function returned.
    Complete,
    /// It failed, and was not retried.
    Failed,
    /// It failed, and was retried.
    Retried,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Minutes since 1970.
    minute: i64,
    function: FunctionName,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    started: u64,
    completed: u64,
    failed: u64,
    retried: u64,
    late: Classes,
}

impl Counts {
    fn merge(&mut self, other: &Self) {
        self.started += other.started;
        self.completed += other.completed;
        self.failed += other.failed;
        self.retried += other.retried;
        self.late.merge(&other.late);
    }
}

impl RunLog {
    /// Counts a run that ended now. `late` is how long after its due time it began; a direct execution waits for nothing.
    pub fn ended(&self, function: &FunctionName, end: RunEnd, late: Option<Duration>, took: Duration) {
        self.ended_at(SystemClock.now(), function, end, late, took);
    }

    fn ended_at(&self, now: Timestamp, function: &FunctionName, end: RunEnd, late: Option<Duration>, took: Duration) {
        self.count(now.saturating_sub(took), function, |counts| {
            counts.started += 1;
            if let Some(late) = late {
                counts.late.add(late);
            }
        });
        self.count(now, function, |counts| match end {
            RunEnd::Complete => counts.completed += 1,
            RunEnd::Failed => counts.failed += 1,
            RunEnd::Retried => counts.retried += 1,
        });
    }

    fn count(&self, at: Timestamp, function: &FunctionName, count: impl FnOnce(&mut Counts)) {
        let key = Key { minute: at.as_secs() / 60, function: function.clone() };
        let mut pending = self.0.lock();
        if pending.len() < MOST_PENDING || pending.contains_key(&key) {
            count(pending.entry(key).or_default());
        }
    }

    fn take(&self) -> BTreeMap<Key, Counts> {
        std::mem::take(&mut *self.0.lock())
    }

    /// Gives back what could not be written.
    fn give_back(&self, counts: BTreeMap<Key, Counts>) {
        let mut pending = self.0.lock();
        for (key, counts) in counts {
            pending.entry(key).or_default().merge(&counts);
        }
    }
}

/// What is remembered. Clones share it.
#[derive(Clone)]
pub struct History {
    log: RunLog,
    db: Arc<Lock<Connection>>,
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("History")
    }
}

impl History {
    /// Opens the history of a data folder, to which the runs of this log are added.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(data_dir: &Path, log: RunLog) -> Result<Self, PortError> {
        let db = privately(|| rows::open(&data_dir.join("stats.sqlite")))
            .map_err(|e| PortError::new("open the statistics", e))?;
        Ok(Self { log, db: Arc::new(Lock::new(db)) })
    }

    /// Writes from time to time until it is stopped, and then once more.
    pub async fn keep(self, stop: CancellationToken) {
        let mut writes = 0_u32;
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = SystemClock.sleep(WRITE_EVERY) => false,
            };
            let (history, prune) = (self.clone(), writes.is_multiple_of(PRUNE_EVERY));
            writes = writes.wrapping_add(1);
            let written = tokio::task::spawn_blocking(move || history.write(prune)).await;
            if let Ok(Err(error)) = written {
                warn!(%error, "the statistics of runs were not written");
            }
            if stopped {
                return;
            }
        }
    }

    fn write(&self, prune: bool) -> rusqlite::Result<()> {
        let mut db = self.db.lock();
        let news = self.log.take();
        if !news.is_empty()
            && let Err(error) = rows::add(&mut db, &news)
        {
            self.log.give_back(news);
            return Err(error);
        }
        if prune {
            rows::prune(&db, SystemClock.now().saturating_sub(KEPT_FOR).as_secs() / 60)?;
        }
        Ok(())
    }
}

impl RunHistory for History {
    fn read(&self, range: StatsRange, most: usize) -> PortFuture<'_, Result<Vec<RunStats>, PortError>> {
        let history = self.clone();
        Box::pin(async move {
            let read = move || {
                // What is in memory counts, too.
                history.write(false)?;
                rows::read(&history.db.lock(), range, most)
            };
            let failed = |e: rusqlite::Error| PortError::new("read the statistics", e);
            let read = tokio::task::spawn_blocking(read).await.map_err(|e| PortError::new("read the statistics", e))?;
            read.map_err(failed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::saturating_from_millis(seconds * 1000)
    }

    fn range(from: i64, to: i64, step: u64, per_function: bool) -> StatsRange {
        StatsRange { from: at(from), to: at(to), step: Duration::from_secs(step), per_function }
    }

    #[tokio::test]
    async fn runs_are_counted_by_step_and_function_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (hello, other) = (FunctionName::parse("hello").unwrap(), FunctionName::parse("other").unwrap());
        let log = RunLog::default();
        let history = History::open(folder.path(), log.clone()).unwrap();
        let late = Some(Duration::from_millis(100));
        log.ended_at(at(130), &hello, RunEnd::Complete, late, Duration::from_secs(20));
        history.write(true).unwrap();
        let now = SystemClock.now().as_secs() / 60 * 60;
        log.ended_at(at(now), &hello, RunEnd::Complete, late, Duration::from_secs(20));
        history.write(false).unwrap();
        log.ended_at(at(now + 1), &hello, RunEnd::Retried, late, Duration::ZERO);
        log.ended_at(at(now + 2), &other, RunEnd::Failed, None, Duration::ZERO);
        drop(history);

        let history = History::open(folder.path(), log).unwrap();
        let read = history.read(range(now - 60, now + 60, 60, true), 100).await.unwrap();
        let shown: Vec<_> = read
            .iter()
            .map(|stats| {
                let name = stats.function_name.as_ref().map(FunctionName::as_str).unwrap_or_default();
                (stats.timestamp.as_secs() - now, name, stats.started, stats.completed, stats.failed, stats.retried)
            })
            .collect();
        assert_eq!(shown, [(-60, "hello", 1, 0, 0, 0), (0, "hello", 1, 1, 0, 1), (0, "other", 1, 0, 1, 0)]);
        assert!(read[0].lateness.is_some() && read[2].lateness.is_none());
        let together = history.read(range(now - 60, now + 60, 120, false), 100).await.unwrap();
        assert_eq!((together.len(), together[0].started, together[0].function_name.clone()), (1, 3, None));
        assert_eq!(
            history.read(range(now - 60, now + 60, 60, true), 1).await.unwrap().len(),
            2,
            "one more than asked for"
        );
    }

    #[tokio::test]
    async fn what_is_older_than_a_week_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let log = RunLog::default();
        let history = History::open(folder.path(), log.clone()).unwrap();
        log.ended_at(at(130), &FunctionName::parse("hello").unwrap(), RunEnd::Failed, None, Duration::ZERO);
        history.write(false).unwrap();
        assert_eq!(history.read(range(0, 600, 60, true), 9).await.unwrap().len(), 1);
        history.write(true).unwrap();
        assert_eq!(history.read(range(0, 600, 60, true), 9).await.unwrap(), []);
    }
}
