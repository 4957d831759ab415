//! Metrics, as log lines that CloudWatch turns into metrics by itself (the embedded metric format).
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//! A metric costs money while it is reported, so zeros are left out, except in the metric that shows that ticks happen.

mod names;

use std::time::Duration;

use serde_json::{Map, Value, json};
use tasklane_dispatch::{ENDED_RUNS, TickError, Ticked};
use tasklane_model::Timestamp;
use tasklane_ports::{Clock as _, SystemClock};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

pub use names::MetricName;

use super::lines::{Fields, Lines, stdout};

/// The namespace of all metrics. Their dimension `Prefix` tells stacks apart.
pub const NAMESPACE: &str = "tasklane";

/// The target of lines about something that is counted, each time that it happens. The field `metric` names the metric;
/// the others say what happened.
pub(crate) const COUNTED: &str = "tasklane::counted";

/// How old an event is when it counts as unpublished. Until then, it may only be on its way.
const UNPUBLISHED_AFTER: Duration = Duration::from_secs(60);

/// One value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: MetricName,
    /// The unit in CloudWatch.
    pub unit: &'static str,
    /// The value.
    pub value: f64,
}

impl Metric {
    /// A count.
    #[allow(clippy::cast_precision_loss)] // no count reaches 2^53
    pub fn count(name: MetricName, count: usize) -> Self {
        Self { name, unit: "Count", value: count as f64 }
    }

    /// A duration.
    pub fn seconds(name: MetricName, duration: Duration) -> Self {
        Self { name, unit: "Seconds", value: duration.as_secs_f64() }
    }
}

/// What is waiting after a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many due Tasks wait for a slot or a dispatcher.
    pub due: usize,
    /// When the first of them was due.
    pub oldest_due: Option<Timestamp>,
    /// When the first Task ended whose events are not published.
    pub oldest_unpublished: Option<Timestamp>,
}

/// The metrics of a tick: what it found and did.
///
/// `OldestDueTask` is missing if a part of the tick failed. Its alarm rings when it is missing, so that somebody looks at
/// the log.
pub fn of_tick(ticked: &Result<Ticked, TickError>, backlog: Backlog, now: Timestamp) -> Vec<Metric> {
    let (ticked, mut metrics) = match ticked {
        Ok(ticked) => {
            let late = backlog.oldest_due.map_or(Duration::ZERO, |due| now.since(due));
            (ticked, vec![Metric::seconds(MetricName::OldestDueTask, late)])
        }
        Err(error) => (&error.ticked, Vec::new()),
    };
    let counts = [
        (MetricName::QueueDepth, backlog.due),
        (MetricName::Zombies, ticked.zombies),
        (MetricName::Promoted, ticked.promoted),
        (MetricName::Scheduled, ticked.scheduled),
    ];
    metrics.extend(counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| Metric::count(name, count)));
    let unpublished = backlog.oldest_unpublished.map(|ended| now.since(ended)).filter(|age| *age >= UNPUBLISHED_AFTER);
    metrics.extend(unpublished.map(|age| Metric::seconds(MetricName::OldestUnpublishedEvent, age)));
    metrics
}

/// Reports metrics of the stack with this prefix.
pub fn report(prefix: &str, metrics: &[Metric], now: Timestamp) {
    stdout()(&embedded(prefix, metrics, &Map::new(), now));
}

/// Turns the line that `dispatch` logs for each run that ended, and those with the target `tasklane::counted`, into metrics.
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
        let metrics = match event.metadata().target() {
            ENDED_RUNS => of_run,
            COUNTED => of_count,
            _ => return,
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metrics = metrics(&fields.0);
        if !metrics.is_empty() {
            (self.lines)(&embedded(&self.prefix, &metrics, &fields.0, SystemClock.now()));
        }
    }
}

/// Whether lines with this target are metrics, which do not depend on what is logged.
pub(crate) fn is_measured(target: &str) -> bool {
    [ENDED_RUNS, COUNTED].contains(&target)
}

/// The metric that a [`COUNTED`] line names.
fn of_count(fields: &Map<String, Value>) -> Vec<Metric> {
    let name = fields.get("metric").and_then(Value::as_str).and_then(MetricName::named);
    name.map(|name| Metric::count(name, 1)).into_iter().collect()
}

/// The metrics of an [`ENDED_RUNS`] event with these fields.
fn of_run(fields: &Map<String, Value>) -> Vec<Metric> {
    let millis = |name: &str| fields.get(name).and_then(Value::as_u64).map(Duration::from_millis);
    let outcome = match fields.get("outcome").and_then(Value::as_str) {
        Some("complete") => MetricName::Completed,
        Some("failed") => MetricName::Failed,
        Some("retried") => MetricName::Retried,
        // The ticker finds out whether it is a zombie, and counts it then.
        _ => MetricName::Unknown,
    };
    let mut metrics = vec![Metric::count(outcome, 1)];
    metrics.extend(millis("late_ms").map(|late| Metric::seconds(MetricName::Lateness, late)));
    metrics.extend(millis("run_ms").map(|run| Metric::seconds(MetricName::RunTime, run)));
    metrics
}

fn embedded(prefix: &str, metrics: &[Metric], properties: &Map<String, Value>, now: Timestamp) -> Value {
    let described: Vec<_> =
        metrics.iter().map(|metric| json!({ "Name": metric.name.as_str(), "Unit": metric.unit })).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_millis(),
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [["Prefix"]], "Metrics": described }],
        },
        "Prefix": prefix,
    });
    for metric in metrics {
        line[metric.name.as_str()] = json!(metric.value);
    }
    for (name, value) in properties {
        line[name] = value.clone();
    }
    line
}

#[cfg(test)]
mod tests;
