//! The Logs port on one machine: the lines of every run in `<data-dir>/logs.sqlite`.
//!
//! Lines can be read by the Task or API Request that they belong to as soon as they are logged. They outlive their
//! Function and are deleted after the retention.

mod limits;
mod store;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::Connection;
use tasklane_model::{FunctionName, Timestamp};
use tasklane_ports::{LogLine, LogPage, Logs, PortError, PortFuture, RunLogQuery};
use tasklane_runtime::lock::Lock;

use tasklane_lambda_local::{LogSink as _, LoggedLine};

pub use limits::LogLimits;
pub use writer::LogWriter;

/// How long lines are kept by default: two weeks.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);

/// Receives lines as they are logged, several at once, on the thread that writes them to the store: it should be quick.
pub type LiveLog = Arc<dyn Fn(&[LoggedLine]) + Send + Sync>;

/// The store of log lines. Clones share it and are cheap.
#[derive(Clone)]
pub struct LocalLogs {
    reader: Arc<Lock<Connection>>,
    writer: LogWriter,
}

impl LocalLogs {
    /// Opens or creates `logs.sqlite` in `data_dir`, which must exist, and starts the thread that writes to it. Every
    /// line is also passed to `live`, in the order of the store.
    pub fn open(data_dir: &Path, retention: Duration, live: Option<LiveLog>) -> Result<Self, PortError> {
        Self::open_with(data_dir, LogLimits { retention, ..LogLimits::for_disk_of(data_dir) }, live)
    }

    /// Like [`LocalLogs::open`], with explicit limits.
    pub fn open_with(data_dir: &Path, limits: LogLimits, live: Option<LiveLog>) -> Result<Self, PortError> {
        let file = data_dir.join("logs.sqlite");
        let failed = |error| PortError::new("open the log store", error);
        let writer = LogWriter::start(store::open(&file).map_err(failed)?, data_dir, limits, live)
            .map_err(|error| PortError::new("start the log writer", error))?;
        let reader = store::open(&file).map_err(failed)?;
        Ok(Self { reader: Arc::new(Lock::new(reader)), writer })
    }

    pub fn writer(&self) -> &LogWriter {
        &self.writer
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        // Runs do not wait until their lines are written, so readers do.
        self.writer.flush().await;
        let reader = self.reader.clone();
        let run = move || query(&reader.lock());
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| PortError::new("read log lines", error);
        tokio::task::spawn_blocking(run)
            .await
            .map_err(|error| failed(error.into()))?
            .map_err(|error| failed(error.into()))
    }
}

impl Logs for LocalLogs {
    fn of_run<'a>(&'a self, query: RunLogQuery<'a>) -> PortFuture<'a, Result<Vec<LogLine>, PortError>> {
        let RunLogQuery { function: _, correlation, request_id, from, since, to, page } = query;
        let from = since.map_or(from, |since| since.max(from));
        let request_id = request_id.map(str::to_owned);
        Box::pin(self.read(move |db| store::of_run(db, correlation, request_id.as_deref(), from, to, page)))
    }

    fn of_function<'a>(
        &'a self,
        function: &'a FunctionName,
        from: Timestamp,
        to: Timestamp,
        page: LogPage,
    ) -> PortFuture<'a, Result<Vec<LogLine>, PortError>> {
        let function = function.clone();
        Box::pin(self.read(move |db| store::of_function(db, &function, from, to, page)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasklane_model::ObjectId;

    const ALL: LogPage = LogPage { offset: 0, limit: 1000 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis).unwrap()
    }

    fn line(function: &str, run: u64, millis: i64, message: &str) -> LoggedLine {
        LoggedLine {
            function: FunctionName::parse(function).unwrap(),
            correlation: ObjectId::new(at(0), run),
            request_id: format!("request-{run}").into(),
            timestamp: at(millis),
            message: message.to_owned(),
        }
    }

    fn messages(lines: Vec<LogLine>) -> Vec<String> {
        lines.into_iter().map(|line| line.message).collect()
    }

    fn of_run(function: &FunctionName, run: u64, page: LogPage) -> RunLogQuery<'_> {
        let correlation = ObjectId::new(at(0), run);
        RunLogQuery {
            function,
            correlation,
            request_id: None,
            from: Timestamp::EPOCH,
            since: None,
            to: Timestamp::LATEST,
            page,
        }
    }

    #[tokio::test]
    async fn the_lines_of_a_run_are_in_order_and_without_those_of_other_runs() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LocalLogs::open(folder.path(), DEFAULT_RETENTION * 1000, None).unwrap();
        let function = FunctionName::parse("f").unwrap();
        for (run, millis, message) in [(1, 0, "a"), (2, 1, "other"), (1, 1, "b"), (1, 1, "c\nd"), (1, 2, "e")] {
            logs.writer().write(line("f", run, millis, message)).await;
        }
        logs.writer().flush().await;
        assert_eq!(messages(logs.of_run(of_run(&function, 1, ALL)).await.unwrap()), ["a", "b", "c\nd", "e"]);
        let page = LogPage { offset: 1, limit: 2 };
        assert_eq!(messages(logs.of_run(of_run(&function, 1, page)).await.unwrap()), ["b", "c\nd"]);
        let since = RunLogQuery { since: Some(at(1)), ..of_run(&function, 1, ALL) };
        assert_eq!(messages(logs.of_run(since).await.unwrap()), ["b", "c\nd", "e"]);
        let other_request = RunLogQuery { request_id: Some("request-2"), ..of_run(&function, 1, ALL) };
        assert_eq!(logs.of_run(other_request).await.unwrap(), []);
    }

    #[tokio::test]
    async fn the_lines_of_a_functions_runs_are_sorted_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let logs = LocalLogs::open(folder.path(), DEFAULT_RETENTION * 1000, None).unwrap();
        for (function, run, millis, message) in
            [("f", 1, 5, "late"), ("f", 2, 1, "early"), ("g", 3, 2, "other"), ("f", 1, 9, "too late")]
        {
            logs.writer().write(line(function, run, millis, message)).await;
        }
        logs.writer().flush().await;
        let found = logs.of_function(&FunctionName::parse("f").unwrap(), at(1), at(5), ALL).await.unwrap();
        assert_eq!(messages(found), ["early", "late"]);
    }

    #[tokio::test]
    async fn lines_survive_a_restart_until_their_retention_ends() {
        let folder = tempfile::tempdir().unwrap();
        let function = FunctionName::parse("f").unwrap();
        let now = tasklane_ports::Clock::now(&tasklane_ports::SystemClock);
        let logs = LocalLogs::open(folder.path(), DEFAULT_RETENTION, None).unwrap();
        let mut fresh = line("f", 1, 0, "fresh");
        fresh.timestamp = now;
        logs.writer().write(line("f", 1, 0, "from 2023")).await;
        logs.writer().write(fresh).await;
        logs.writer().flush().await;
        drop(logs);
        let logs = LocalLogs::open(folder.path(), DEFAULT_RETENTION, None).unwrap();
        logs.writer().flush().await;
        assert_eq!(messages(logs.of_run(of_run(&function, 1, ALL)).await.unwrap()), ["fresh"]);
    }

    #[tokio::test]
    async fn the_oldest_lines_go_when_the_store_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let most = 4 * 1024 * 1024;
        let limits = LogLimits { retention: DEFAULT_RETENTION * 1000, store_bytes: most, reserve_bytes: 0 };
        let logs = LocalLogs::open_with(folder.path(), limits, None).unwrap();
        let function = FunctionName::parse("f").unwrap();
        let text = "x".repeat(100_000);
        for number in 0..200 {
            logs.writer().write(line("f", 1, number, &format!("{number} {text}"))).await;
            // A batch is written in one transaction.
            if number % 10 == 9 {
                logs.writer().flush().await;
            }
        }
        let kept = messages(logs.of_run(of_run(&function, 1, ALL)).await.unwrap());
        assert!((25..=52).contains(&kept.len()), "{}", kept.len());
        let first: usize = kept[0].split(' ').next().unwrap().parse().unwrap();
        assert_eq!(first + kept.len(), 200, "the newest are all there");
        let size = std::fs::metadata(folder.path().join("logs.sqlite")).unwrap().len();
        assert!(size <= most + 2 * 1024 * 1024, "{size}");
    }

    #[tokio::test]
    async fn lines_are_dropped_without_delay_while_the_disk_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let limits = LogLimits { reserve_bytes: u64::MAX, ..LogLimits::for_disk_of(folder.path()) };
        let seen = Arc::new(Lock::new(0));
        let sink = seen.clone();
        let live: LiveLog = Arc::new(move |batch| *sink.lock() += batch.len());
        let logs = LocalLogs::open_with(folder.path(), limits, Some(live)).unwrap();
        let function = FunctionName::parse("f").unwrap();
        for number in 0..5_000 {
            logs.writer().write(line("f", 1, number, &"x".repeat(10_000))).await;
        }
        assert_eq!(logs.of_run(of_run(&function, 1, ALL)).await.unwrap(), []);
        assert_eq!(*seen.lock(), 5_000);
        let size = std::fs::metadata(folder.path().join("logs.sqlite")).unwrap().len();
        assert!(size < 100_000, "{size}");
    }

    #[tokio::test]
    async fn a_live_log_sees_every_line() {
        let folder = tempfile::tempdir().unwrap();
        let seen = Arc::new(Lock::new(Vec::new()));
        let sink = seen.clone();
        let live: LiveLog = Arc::new(move |batch| {
            sink.lock().extend(batch.iter().map(|line| line.message.clone()));
        });
        let logs = LocalLogs::open(folder.path(), DEFAULT_RETENTION, Some(live)).unwrap();
        logs.writer().write(line("f", 1, 0, "a")).await;
        logs.writer().write(line("f", 1, 0, "b")).await;
        logs.writer().flush().await;
        assert_eq!(*seen.lock(), ["a", "b"]);
    }
}
