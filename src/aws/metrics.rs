//! Metrics, as log lines that CloudWatch turns into metrics by itself (the embedded metric format).
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//! A metric costs money while it is reported, so zeros are left out, except in the metric that shows that ticks happen.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tasklane_dispatch::{ENDED_RUNS, TickError, Ticked};
use tasklane_model::Timestamp;
use tasklane_ports::{Clock as _, SystemClock};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use super::lines::{Fields, Lines, stdout};

/// The namespace of all metrics. Their dimension `Prefix` tells stacks apart.
pub const NAMESPACE: &str = "tasklane";

/// One value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// The name in CloudWatch.
    pub name: &'static str,
    /// The unit in CloudWatch.
    pub unit: &'static str,
    /// The value.
    pub value: f64,
}

impl Metric {
    /// A count.
    #[allow(clippy::cast_precision_loss)] // no count reaches 2^53
    pub fn count(name: &'static str, count: usize) -> Self {
        Self { name, unit: "Count", value: count as f64 }
    }

    /// A duration.
    pub fn seconds(name: &'static str, duration: Duration) -> Self {
        Self { name, unit: "Seconds", value: duration.as_secs_f64() }
    }
}

/// The metrics of a tick: what it found and did.
///
/// `OldestDueTask` is missing if a part of the tick failed. Its alarm rings when it is missing, so that somebody looks at
/// the log.
pub fn of_tick(
    ticked: &Result<Ticked, TickError>,
    waiting: usize,
    oldest_due: Option<Timestamp>,
    now: Timestamp,
) -> Vec<Metric> {
    let (ticked, mut metrics) = match ticked {
        Ok(ticked) => {
            let late = oldest_due.map_or(Duration::ZERO, |due| now.since(due));
            (ticked, vec![Metric::seconds("OldestDueTask", late)])
        }
        Err(error) => (&error.ticked, Vec::new()),
    };
    let counts = [
        ("QueueDepth", waiting),
        ("Zombies", ticked.zombies),
        ("Promoted", ticked.promoted),
        ("Scheduled", ticked.scheduled),
    ];
    metrics.extend(counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| Metric::count(name, count)));
    metrics
}

/// Reports metrics of the stack with this prefix.
pub fn report(prefix: &str, metrics: &[Metric], now: Timestamp) {
    stdout()(&embedded(prefix, metrics, &Map::new(), now));
}

/// Turns the event that `dispatch` logs for each run that ended into a metric.
pub struct RunMetrics {
    prefix: String,
    lines: Lines,
}

impl RunMetrics {
    /// Reports metrics of the stack with this prefix.
    pub fn new(prefix: impl Into<String>, lines: Lines) -> Self {
        Self { prefix: prefix.into(), lines }
    }
}

impl<S: Subscriber> Layer<S> for RunMetrics {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != ENDED_RUNS {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = SystemClock.now();
        (self.lines)(&embedded(&self.prefix, &of_run(&fields.0), &fields.0, now));
    }
}

/// The metrics of an [`ENDED_RUNS`] event with these fields.
fn of_run(fields: &Map<String, Value>) -> Vec<Metric> {
    let millis = |name: &str| fields.get(name).and_then(Value::as_u64).map(Duration::from_millis);
    let outcome = match fields.get("outcome").and_then(Value::as_str) {
        Some("complete") => "Completed",
        Some("failed") => "Failed",
        Some("retried") => "Retried",
        // The ticker finds out whether it is a zombie, and counts it then.
        _ => "Unknown",
    };
    let mut metrics = vec![Metric::count(outcome, 1)];
    metrics.extend(millis("late_ms").map(|late| Metric::seconds("Lateness", late)));
    metrics.extend(millis("run_ms").map(|run| Metric::seconds("RunTime", run)));
    metrics
}

fn embedded(prefix: &str, metrics: &[Metric], properties: &Map<String, Value>, now: Timestamp) -> Value {
    let described: Vec<_> = metrics.iter().map(|metric| json!({ "Name": metric.name, "Unit": metric.unit })).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_millis(),
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [["Prefix"]], "Metrics": described }],
        },
        "Prefix": prefix,
    });
    for metric in metrics {
        line[metric.name] = json!(metric.value);
    }
    for (name, value) in properties {
        line[name] = value.clone();
    }
    line
}

#[cfg(test)]
mod tests;
