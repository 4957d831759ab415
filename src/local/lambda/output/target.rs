//! The log of one run.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tasklane_model::{FunctionName, ObjectId};

use super::super::{
    sink::{LogSink, LoggedLine},
    system::now,
};

/// Roughly how much a line takes in the store besides its text.
pub(super) const LINE_OVERHEAD: u64 = 64;

/// The run that lines belong to, and how much more it may log.
#[derive(Clone, Debug)]
pub(in super::super) struct LogTarget {
    pub(in super::super) function: FunctionName,
    pub(in super::super) correlation: ObjectId,
    pub(in super::super) request_id: Arc<str>,
    quota: Arc<Quota>,
}

/// How much of the output of a run's processes is logged.
#[derive(Debug)]
struct Quota {
    /// In bytes, like the other fields.
    limit: u64,
    left: AtomicU64,
    left_out: AtomicU64,
}

impl LogTarget {
    /// The log of a run that may log `limit` bytes.
    pub(in super::super) fn new(
        function: FunctionName,
        correlation: ObjectId,
        request_id: Arc<str>,
        limit: u64,
    ) -> Self {
        let quota = Quota { limit, left: AtomicU64::new(limit), left_out: AtomicU64::new(0) };
        Self { function, correlation, request_id, quota: Arc::new(quota) }
    }

    /// Logs a line about this run now. Lambda's own lines do not count towards the limit.
    pub(in super::super) async fn log(&self, logs: &dyn LogSink, message: String) {
        let Self { function, correlation, request_id, quota: _ } = self.clone();
        logs.write(LoggedLine { function, correlation, request_id, timestamp: now(), message }).await;
    }

    /// Logs a line that the run's process wrote, unless the limit is reached.
    pub(super) async fn log_written(&self, logs: &dyn LogSink, line: &[u8]) {
        if !self.quota.allows(line.len()) {
            return;
        }
        // Runtime clients put a carriage return between the lines of a multi-line entry.
        self.log(logs, String::from_utf8_lossy(line).replace('\r', "\n")).await;
    }

    /// The line to log at the end if lines were dropped.
    pub(in super::super) fn left_out(&self) -> Option<String> {
        let Quota { limit, left_out, .. } = &*self.quota;
        let bytes = left_out.load(Ordering::Relaxed);
        (bytes > 0).then(|| format!("… {} MB left out: a run may log {} MB", megabytes(bytes), megabytes(*limit)))
    }
}

impl Quota {
    /// Whether a line of this many bytes may be logged. After the first refused line all others are refused: a log may
    /// end early, but has no gaps.
    fn allows(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        // Only one task at a time reads the output of a run's processes.
        let left = self.left.load(Ordering::Relaxed);
        match left.checked_sub(bytes.saturating_add(LINE_OVERHEAD)) {
            Some(left) => {
                self.left.store(left, Ordering::Relaxed);
                true
            }
            None => {
                self.left.store(0, Ordering::Relaxed);
                self.left_out.fetch_add(bytes.max(1), Ordering::Relaxed);
                false
            }
        }
    }
}

/// Megabytes, with one decimal if there are fewer than ten.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    if tenths < 100 { format!("{}.{}", tenths / 10, tenths % 10) } else { format!("{}", tenths.div_ceil(10)) }
}

#[cfg(test)]
mod tests {
    use tasklane_model::Timestamp;

    use super::*;

    #[test]
    fn an_incomplete_log_says_how_much_was_dropped() {
        let function = FunctionName::parse("f").unwrap();
        let target = LogTarget::new(function, ObjectId::new(Timestamp::EPOCH, 1), "id".into(), 32_000_000);
        assert_eq!(target.left_out(), None);
        target.quota.left.store(0, Ordering::Relaxed);
        assert!(!target.quota.allows(234_000_001));
        assert_eq!(target.left_out().unwrap(), "… 235 MB left out: a run may log 32 MB");
        assert!(!target.quota.allows(0));
        assert_eq!(megabytes(1), "0.1");
        assert_eq!(megabytes(9_900_000), "9.9");
    }
}
