//! The handlers' log: one flat JSON object a line, with the fields of the event and of every span around it. So a query
//! of CloudWatch Logs Insights finds `task`, `function`, `request_id` and `aws_request_id` (the handler's own
//! invocation) at the top of every line, however deep in the code it was written.
//!
//! The crate `json-subscriber` could replace the layer. It is kept because it is small and shares its fields and lines
//! with the metrics.

use std::sync::Arc;

use serde_json::{Map, Value};
use tasklane_ports::{Clock as _, SystemClock};
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, ParseError, Targets, filter_fn},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::{
    lines::{Fields, Lines, stdout},
    metrics::{RunMetrics, is_measured},
};

/// What the names of our crates begin with. Their spans and events are logged together with those of the handler.
const OURS: &str = "tasklane";

/// Sends the log to stdout, where Lambda picks it up, and reports runs as metrics of the stack with this prefix.
/// `handler` is the crate that calls this: its spans count as those of our other crates. `TASKLANE_LOG` sets what is logged: a
/// level, or filters such as `tasklane=debug,warn`. It does not affect metrics.
// It is set on the handler, and settles nothing but what is logged.
#[allow(clippy::disallowed_methods)]
pub fn start(handler: &'static str, prefix: &str) {
    let wanted = std::env::var("TASKLANE_LOG").unwrap_or_default();
    let (filter, misunderstood) = match targets(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (Targets::default().with_target("tasklane", Level::INFO).with_default(Level::WARN), Some(error)),
    };
    // This fails only when called twice in one process. The first subscriber stays.
    let _ = subscriber(handler, prefix, filter, stdout()).try_init();
    if let Some(error) = misunderstood {
        tracing::warn!("TASKLANE_LOG is neither a level nor filters such as tasklane=debug,warn: {error}");
    }
}

fn targets(wanted: &str) -> Result<Targets, ParseError> {
    match wanted {
        "" => "tasklane=info,warn".parse(),
        // At these levels, the crates below log too much.
        "error" | "warn" | "info" | "debug" | "trace" => format!("tasklane={wanted},warn").parse(),
        filters => filters.parse(),
    }
}

fn subscriber(handler: &'static str, prefix: &str, filter: Targets, lines: Lines) -> impl Subscriber + Send + Sync {
    let is_ours = move |metadata: &Metadata<'_>| is_ours(metadata.target()) || crate_of(metadata.target()) == handler;
    // Their fields are needed however little is logged.
    let spans = filter_fn(move |metadata| metadata.is_span() && is_ours(metadata));
    let secretless = filter_fn(move |metadata| is_ours(metadata) || holds_no_secret(metadata));
    let measured = filter_fn(|metadata| metadata.is_event() && is_measured(metadata.target()));
    tracing_subscriber::registry()
        .with(JsonLines { lines: Arc::clone(&lines) }.with_filter(filter.or(spans).and(secretless)))
        .with(RunMetrics::new(prefix, lines).with_filter(measured))
}

/// Whether a line may be logged, whatever the filters say. At the trace level, the AWS SDK and the crates below it
/// print whole requests and responses with the records in them, so such lines never are.
pub fn holds_no_secret(line: &Metadata<'_>) -> bool {
    is_ours(line.target()) || *line.level() <= Level::DEBUG
}

/// `tasklane::runs`, `tasklane_service::execute`.
fn is_ours(target: &str) -> bool {
    let rest = crate_of(target).strip_prefix(OURS);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

fn crate_of(target: &str) -> &str {
    target.split("::").next().unwrap_or(target)
}

/// Writes each event as one JSON object.
struct JsonLines {
    lines: Lines,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLines {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.0.clone());
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let now = SystemClock.now();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), Value::String(now.to_string()));
        line.insert("level".to_owned(), Value::String(metadata.level().to_string()));
        line.insert("target".to_owned(), Value::String(metadata.target().to_owned()));
        line.insert("message".to_owned(), fields.0.remove("message").unwrap_or_default());
        for (name, value) in fields.0 {
            line.entry(name).or_insert(value);
        }
        (self.lines)(&Value::Object(line));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tasklane_dispatch::ENDED_RUNS;
    use tasklane_testing::log::capture;
    use tracing::{field, info, info_span, warn};

    use super::*;

    fn logged(wanted: &str, log: impl FnOnce()) -> Vec<Value> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&kept);
        let lines: Lines = Arc::new(move |line| keep.lock().unwrap().push(line.clone()));
        let guard = capture(subscriber("dispatcher", "dev", targets(wanted).unwrap(), lines));
        log();
        drop(guard);
        kept.lock().unwrap().clone()
    }

    #[test]
    fn our_crates_are_known_by_their_names() {
        assert!(["tasklane", "tasklane::runs", "tasklane_service::execute"].into_iter().all(is_ours));
        assert!(!["hyper", "tasklanes", "aws_sdk_dynamodb::tasklane"].into_iter().any(is_ours));
    }

    #[test]
    fn a_line_names_the_task_the_function_and_both_requests_however_deep_it_was_written() {
        let lines = logged("info", || {
            let _invocation = info_span!(target: "dispatcher", "invocation", aws_request_id = "handler-1").entered();
            let run = info_span!("run", task = %"6589a42a", function = "invoices", status = field::Empty).entered();
            run.record("status", 200);
            info!(request_id = "run-1", delay_s = 5_u64, direct = true, "task complete");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        for (name, value) in [
            ("level", "INFO"),
            ("message", "task complete"),
            ("aws_request_id", "handler-1"),
            ("task", "6589a42a"),
            ("function", "invoices"),
            ("request_id", "run-1"),
        ] {
            assert_eq!(line[name], value, "{name} of {line}");
        }
        assert_eq!((&line["status"], &line["delay_s"], &line["direct"]), (&200.into(), &5.into(), &true.into()));
        assert!(line["timestamp"].as_str().unwrap().parse::<tasklane_model::Timestamp>().is_ok(), "{line}");
    }

    #[test]
    fn a_level_applies_to_this_crate_and_filters_are_used_as_written() {
        let enabled = |wanted: &str, target: &str, level: Level| targets(wanted).unwrap().would_enable(target, &level);
        assert!(enabled("", "tasklane::service", Level::INFO) && !enabled("", "hyper", Level::INFO));
        assert!(enabled("debug", "tasklane", Level::DEBUG) && !enabled("debug", "aws_config", Level::DEBUG));
        assert!(enabled("error,hyper=trace", "hyper::client", Level::TRACE));
        assert!(!enabled("error,hyper=trace", "tasklane", Level::WARN));
        assert!(targets("tasklane=loud").is_err());
    }

    #[test]
    fn the_innermost_field_of_a_name_wins_and_no_field_replaces_the_level() {
        let lines = logged("info", || {
            let _outer = info_span!("request", request_id = "outer", level = "none").entered();
            warn!(request_id = "inner", "careful");
        });
        assert_eq!((&lines[0]["request_id"], &lines[0]["level"]), (&"inner".into(), &"WARN".into()));
    }

    #[test]
    fn runs_are_counted_and_lines_name_their_task_at_every_log_level() {
        let lines = logged("error", || {
            let _run = info_span!("run", task = "6589a42a").entered();
            info!(target: ENDED_RUNS, outcome = "complete", run_ms = 5_u64, "run ended");
            tracing::error!("no good");
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"], "tasklane");
        assert_eq!((&lines[1]["message"], &lines[1]["task"]), (&"no good".into(), &"6589a42a".into()));
    }
}
