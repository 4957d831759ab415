//! What a test counts as a metric.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tasklane_testing::log::capture;
use tracing::dispatcher::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{lines::Lines, metrics::RunMetrics};

/// Keeps the metrics that this thread reports.
pub struct Counted {
    lines: Arc<Mutex<Vec<Value>>>,
    _guard: DefaultGuard,
}

impl Counted {
    /// Begins to keep them.
    pub fn begin() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&lines);
        let write: Lines = Arc::new(move |line| keep.lock().unwrap().push(line.clone()));
        let guard = capture(tracing_subscriber::registry().with(RunMetrics::new("dev", write)));
        Self { lines, _guard: guard }
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// The names of what was counted so far.
    pub fn names(&self) -> Vec<String> {
        self.lines().iter().map(|line| line["metric"].as_str().unwrap().to_owned()).collect()
    }
}
