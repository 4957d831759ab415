use std::sync::{Arc, Mutex};

use tasklane_store::StoreError;
use tasklane_testing::log::capture;
use tracing::info;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// CloudWatch's units.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

#[test]
fn a_quiet_tick_reports_only_that_it_happened() {
    let now = "2026-01-31T08:00:30Z".parse().unwrap();
    assert_eq!(
        of_tick(&Ok(Ticked::default()), Backlog::default(), now),
        [Metric::seconds(MetricName::OldestDueTask, Duration::ZERO)]
    );
    let ticked = Ticked { zombies: 2, ..Ticked::default() };
    let due_since = "2026-01-31T08:00:00Z".parse().unwrap();
    assert_eq!(
        of_tick(&Ok(ticked), due(3, due_since), now),
        [
            Metric::seconds(MetricName::OldestDueTask, Duration::from_secs(30)),
            Metric::count(MetricName::QueueDepth, 3),
            Metric::count(MetricName::Zombies, 2)
        ]
    );
}

#[test]
fn a_failed_tick_reports_what_it_did_and_rings_the_alarm_of_missing_ticks() {
    let now = "2026-01-31T08:00:30Z".parse().unwrap();
    let ticked = Ticked { scheduled: 2, ..Ticked::default() };
    let failed = Err(TickError { ticked, first: StoreError::Throttled { action: "create the task of the schedule" } });
    assert_eq!(
        of_tick(&failed, due(3, now), now),
        [Metric::count(MetricName::QueueDepth, 3), Metric::count(MetricName::Scheduled, 2)]
    );
}

#[test]
fn each_run_is_counted_by_its_outcome_with_its_lateness_and_duration() {
    for (outcome, counted) in
        [("complete", "Completed"), ("failed", "Failed"), ("retried", "Retried"), ("unknown", "Unknown")]
    {
        let line = &reported(|| {
            let (late_ms, run_ms) = (1500_u64, 20_u64);
            info!(target: ENDED_RUNS, task = "6589a42a", function = "invoices", outcome, late_ms, run_ms, "run ended");
            info!(target: "tasklane::elsewhere", outcome, "no run ended here");
        });
        let [line] = line.as_slice() else { panic!("one run is one line: {line:?}") };
        assert_is_embedded_metric_format(line);
        assert_eq!(measured(line), [(counted, 1.0), ("Lateness", 1.5), ("RunTime", 0.02)]);
        // Not a dimension, because each value would cost a metric, but queries find it.
        assert_eq!((&line["task"], &line["function"]), (&json!("6589a42a"), &json!("invoices")));
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Prefix"]]));
        assert_eq!(line["Prefix"], "dev");
    }
}

#[test]
fn a_direct_execution_is_never_late() {
    let lines = reported(|| info!(target: ENDED_RUNS, outcome = "complete", run_ms = 20_u64, "run ended"));
    assert_eq!(measured(&lines[0]), [("Completed", 1.0), ("RunTime", 0.02)]);
}

#[test]
fn the_report_of_a_tick_is_valid_for_cloudwatch() {
    let ticked = Ticked {
        promoted: 1,
        scheduled: 2,
        zombies: 3,
        expired: 0,
        republished: 4,
        gates: 0,
        bulk_slices: 0,
        is_cut: false,
    };
    let now = "2026-01-31T08:00:00Z".parse().unwrap();
    let line = embedded("dev", &of_tick(&Ok(ticked), due(5, now), now), &Map::new(), now);
    assert_is_embedded_metric_format(&line);
    assert_eq!(line["_aws"]["Timestamp"], 1_769_846_400_000_i64);
    let counts = [("QueueDepth", 5.0), ("Zombies", 3.0), ("Promoted", 1.0), ("Scheduled", 2.0)];
    assert_eq!(measured(&line)[1..], counts);
}

#[test]
fn an_event_counts_as_unpublished_when_it_is_no_longer_on_its_way() {
    let now: Timestamp = "2026-01-31T08:10:00Z".parse().unwrap();
    let of = |seconds| {
        let oldest_unpublished = Some(now.saturating_sub(Duration::from_secs(seconds)));
        of_tick(&Ok(Ticked::default()), Backlog { oldest_unpublished, ..Backlog::default() }, now)
    };
    assert_eq!(of(59), [Metric::seconds(MetricName::OldestDueTask, Duration::ZERO)]);
    assert_eq!(of(60)[1..], [Metric::seconds(MetricName::OldestUnpublishedEvent, Duration::from_secs(60))]);
}

#[test]
fn what_is_counted_is_a_metric_with_the_reason_beside_it() {
    let lines = reported(|| {
        info!(target: COUNTED, metric = MetricName::Throttled.as_str(), function = "invoices", "Lambda refused a run");
        info!(target: COUNTED, metric = "Nonsense", "no metric has this name");
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_is_embedded_metric_format(line);
    assert_eq!((measured(line), &line["function"]), (vec![("Throttled", 1.0)], &json!("invoices")));
}

#[test]
fn every_metric_is_found_by_its_name() {
    for name in MetricName::ALL {
        assert_eq!(MetricName::named(name.as_str()), Some(name));
    }
}

fn due(due: usize, since: Timestamp) -> Backlog {
    Backlog { due, oldest_due: Some(since), oldest_unpublished: None }
}

fn reported(run: impl FnOnce()) -> Vec<Value> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let lines: Lines = Arc::new(move |line| keep.lock().unwrap().push(line.clone()));
    let guard = capture(tracing_subscriber::registry().with(RunMetrics::new("dev", lines)));
    run();
    drop(guard);
    kept.lock().unwrap().clone()
}

/// The metrics of a line, by name.
fn measured(line: &Value) -> Vec<(&str, f64)> {
    let definitions = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().iter();
    definitions.map(|it| it["Name"].as_str().unwrap()).map(|name| (name, line[name].as_f64().unwrap())).collect()
}

/// The schema and the rules of AWS's page on the format. CloudWatch drops a line that breaks one without an error.
fn assert_is_embedded_metric_format(line: &Value) {
    let members = line.as_object().unwrap();
    assert!(!line.to_string().contains('\n') && line.to_string().len() <= 1024 * 1024, "one event of at most 1 MB");
    assert!(line["_aws"]["Timestamp"].is_u64(), "milliseconds since the epoch: {line}");
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    assert!(!directives.is_empty(), "{line}");
    let text = |value: &Value, longest: usize| {
        let text = value.as_str().unwrap_or_else(|| panic!("{value} is not a string in {line}")).to_owned();
        assert!((1..=longest).contains(&text.len()), "{text} is too long or empty");
        text
    };
    for directive in directives {
        text(&directive["Namespace"], 1024);
        for set in directive["Dimensions"].as_array().unwrap() {
            let set = set.as_array().unwrap();
            assert!((1..=30).contains(&set.len()), "{line}");
            for dimension in set {
                // Its value is a string at the root.
                text(&members[&text(dimension, 250)], 1024);
            }
        }
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&metrics.len()), "{line}");
        for metric in metrics {
            let name = text(&metric["Name"], 1024);
            assert!(members[&name].is_number(), "{name} has no number at the root of {line}");
            assert!(UNITS.contains(&metric["Unit"].as_str().unwrap()), "{metric} has no unit of CloudWatch's");
            assert!(metric.get("StorageResolution").is_none_or(|it| *it == 1 || *it == 60), "{metric}");
        }
    }
}
