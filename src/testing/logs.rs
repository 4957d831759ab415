//! Log lines of runs, in memory.

use tasklane_model::{FunctionName, ObjectId, Timestamp};
use tasklane_ports::{LogLine, LogPage, Logs, PortError, PortFuture, RunLogQuery};
use tasklane_runtime::lock::Lock;
use tasklane_service::Feed;

/// Finds the lines that a test logged.
pub struct TestLogs {
    lines: Lock<Vec<(ObjectId, LogLine)>>,
    feed: Feed,
}

impl TestLogs {
    pub(super) fn new(feed: Feed) -> Self {
        Self { lines: Lock::default(), feed }
    }

    /// Logs a line of the run for this Task or API Request.
    pub fn log(&self, correlation: ObjectId, timestamp: Timestamp, message: &str) {
        self.lines.lock().push((correlation, LogLine { timestamp, message: message.to_owned() }));
        self.feed.logged([(correlation, timestamp, message)]);
    }
}

impl Logs for TestLogs {
    fn of_run<'a>(&'a self, query: RunLogQuery<'a>) -> PortFuture<'a, Result<Vec<LogLine>, PortError>> {
        let lines = self.lines.lock();
        let from = query.since.map_or(query.from, |since| since.max(query.from));
        let found = lines.iter().filter(|(correlation, line)| {
            *correlation == query.correlation && (from..=query.to).contains(&line.timestamp)
        });
        let page = found.skip(query.page.offset).take(query.page.limit).map(|(_, line)| line.clone()).collect();
        Box::pin(async { Ok(page) })
    }

    fn of_function<'a>(
        &'a self,
        function: &'a FunctionName,
        from: Timestamp,
        to: Timestamp,
        page: LogPage,
    ) -> PortFuture<'a, Result<Vec<LogLine>, PortError>> {
        NoLogs.of_function(function, from, to, page)
    }
}

/// Finds no lines.
pub struct NoLogs;

impl Logs for NoLogs {
    fn of_run<'a>(&'a self, _: RunLogQuery<'a>) -> PortFuture<'a, Result<Vec<LogLine>, PortError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn of_function<'a>(
        &'a self,
        _: &'a FunctionName,
        _: Timestamp,
        _: Timestamp,
        _: LogPage,
    ) -> PortFuture<'a, Result<Vec<LogLine>, PortError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
