//! Metrics, as lines of the log that CloudWatch counts by itself (the embedded metric format).
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//! A metric costs while it is reported, so what is zero is left out, but for the one that shows that ticks come.

use std::{io::Write, time::Duration};

use serde_json::{Map, Value, json};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{Layer, layer::Context};

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

/// Reports measurements of the stack with this prefix. A metric that cannot be written is not worth an error.
pub fn report(prefix: &str, metrics: &[Metric], now: Timestamp) {
    let line = embedded(prefix, metrics, &Map::new(), now);
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Reports each run that ended, as `dispatch` tells the log of it.
pub struct RunMetrics {
    prefix: String,
}

impl RunMetrics {
    /// Of the stack with this prefix.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }
}

impl<S: Subscriber> Layer<S> for RunMetrics {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != ENDED_RUNS {
            return;
        }
        let mut run = EndedRun::default();
        event.record(&mut run);
        let now = Timestamp::saturating_from_millis(jiff::Timestamp::now().as_millisecond());
        let line = embedded(&self.prefix, &run.metrics(), &run.properties, now);
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// The fields of an event of [`ENDED_RUNS`].
#[derive(Default)]
struct EndedRun {
    properties: Map<String, Value>,
}

impl EndedRun {
    fn metrics(&self) -> Vec<Metric> {
        let text = |name: &str| self.properties.get(name).and_then(Value::as_str);
        let millis = |name: &str| self.properties.get(name).and_then(Value::as_u64).map(Duration::from_millis);
        let outcome = match text("outcome") {
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
}

impl Visit for EndedRun {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.properties.insert(field.name().to_owned(), Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.properties.insert(field.name().to_owned(), Value::String(value.to_owned()));
    }

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        self.properties.insert(field.name().to_owned(), value.into());
    }
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
mod tests {
    use super::*;

    #[test]
    fn a_quiet_tick_reports_that_it_came_and_nothing_else() {
        let now = "2026-01-31T08:00:30Z".parse().unwrap();
        assert_eq!(of_tick(&Ticked::default(), 0, None, now), [Metric::seconds("OldestDueTask", Duration::ZERO)]);
        let ticked = Ticked { zombies: 2, ..Ticked::default() };
        let due = "2026-01-31T08:00:00Z".parse().unwrap();
        assert_eq!(
            of_tick(&ticked, 3, Some(due), now),
            [
                Metric::seconds("OldestDueTask", Duration::from_secs(30)),
                Metric::count("QueueDepth", 3),
                Metric::count("Zombies", 2)
            ]
        );
    }

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let run = EndedRun {
            properties: Map::from_iter([
                ("outcome".to_owned(), json!("retried")),
                ("late_ms".to_owned(), json!(1500)),
                ("run_ms".to_owned(), json!(20)),
                ("function".to_owned(), json!("invoices")),
            ]),
        };
        let line = embedded("dev", &run.metrics(), &run.properties, "2026-01-31T08:00:00Z".parse().unwrap());
        let metrics = [
            json!({ "Name": "Retried", "Unit": "Count" }),
            json!({ "Name": "Lateness", "Unit": "Seconds" }),
            json!({ "Name": "RunTime", "Unit": "Seconds" }),
        ];
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"], json!(metrics));
        assert_eq!((&line["Prefix"], &line["Retried"], &line["Lateness"]), (&json!("dev"), &json!(1.0), &json!(1.5)));
        assert_eq!((&line["function"], &line["RunTime"]), (&json!("invoices"), &json!(0.02)));
    }
}
