//! A log for tests.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tasklane_model::ObjectId;

use super::sink::{LogSink, LoggedLine};

/// Keeps log lines in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryLog {
    lines: Arc<Mutex<Vec<LoggedLine>>>,
}

impl MemoryLog {
    /// The lines of this Task's or API Request's runs, in order.
    pub(super) fn of(&self, correlation: ObjectId) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.correlation == correlation).map(|line| line.message.clone()).collect()
    }
}

impl LogSink for MemoryLog {
    fn write(&self, line: LoggedLine) -> BoxFuture<'_, ()> {
        self.lines.lock().unwrap().push(line);
        Box::pin(std::future::ready(()))
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
