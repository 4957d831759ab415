//! Metrics, as lines of the log that CloudWatch counts by itself (the embedded metric format).
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//! A metric costs while it is reported, so what is zero is left out, but for the one that shows that ticks come.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use super::logging::{self, Fields, Lines};
use crate::{
    dispatch::{ENDED_RUNS, Ticked},
    model::Timestamp,
};

/// The namespace of all metrics of tasklane; the dimension `Prefix` tells stacks apart.
pub const NAMESPACE: &str = "tasklane";

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// Its unit in CloudWatch.
    pub unit: &'static str,
    /// Its value.
    pub value: f64,
}

impl Metric {
    /// So many of something.
    #[allow(clippy::cast_precision_loss)] // nobody counts past 2^53
    pub fn count(name: &'static str, count: usize) -> Self {
        Self { name, unit: "Count", value: count as f64 }
    }

    /// How long something took.
    pub fn seconds(name: &'static str, duration: Duration) -> Self {
        Self { name, unit: "Seconds", value: duration.as_secs_f64() }
    }
}

/// What a tick saw and did.
pub fn of_tick(ticked: &Ticked, waiting: usize, oldest_due: Option<Timestamp>, now: Timestamp) -> Vec<Metric> {
    let mut metrics = vec![Metric::seconds("OldestDueTask", oldest_due.map_or(Duration::ZERO, |due| now.since(due)))];
    let counts = [
        ("QueueDepth", waiting),
        ("Zombies", ticked.zombies),
        ("Promoted", ticked.promoted),
        ("Scheduled", ticked.scheduled),
    ];
    metrics.extend(counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| Metric::count(name, count)));
    metrics
}

/// Reports measurements of the stack with this prefix.
pub fn report(prefix: &str, metrics: &[Metric], now: Timestamp) {
    (logging::stdout())(&embedded(prefix, metrics, &Map::new(), now));
}

/// Reports each run that ended, as `dispatch` tells the log of it.
pub struct RunMetrics {
    prefix: String,
    lines: Lines,
}

impl RunMetrics {
    /// Of the stack with this prefix.
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
        let now = Timestamp::saturating_from_millis(jiff::Timestamp::now().as_millisecond());
        (self.lines)(&embedded(&self.prefix, &of_run(&fields.0), &fields.0, now));
    }
}

/// What the fields of an event of [`ENDED_RUNS`] measure.
fn of_run(fields: &Map<String, Value>) -> Vec<Metric> {
    let millis = |name: &str| fields.get(name).and_then(Value::as_u64).map(Duration::from_millis);
    let outcome = match fields.get("outcome").and_then(Value::as_str) {
        Some("complete") => "Completed",
        Some("failed") => "Failed",
        Some("retried") => "Retried",
        // Whether it is a zombie is for the ticker to find out and to count.
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
