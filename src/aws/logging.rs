//! What the handlers log: one JSON object a line.

use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

use super::metrics::RunMetrics;

/// Sends everything that is logged to stdout, where Lambda picks it up, and reports runs as metrics of the stack with
/// this prefix. `TASKLANE_LOG` says how much: a level, or filters as `tasklane=debug,warn`.
pub fn start(prefix: &str) {
    let wanted = std::env::var("TASKLANE_LOG").unwrap_or_default();
    let filter = match wanted.as_str() {
        "" => "tasklane=info,warn".to_owned(),
        // The crates below say too much at the levels where this one says what is needed.
        "error" | "warn" | "info" | "debug" | "trace" => format!("tasklane={wanted},warn"),
        filters => filters.to_owned(),
    };
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
    // Only a second start in one process fails, and then the first one counts.
    let _ = tracing_subscriber::registry()
        .with(EnvFilter::new(filter))
        .with(filter_fn(holds_no_secret))
        .with(lines)
        .with(RunMetrics::new(prefix))
        .try_init();
}

/// Whether lines like this one may be logged, whatever was asked for: not those in which the AWS SDK and the crates below
/// it print whole requests and answers, with the records in them, which is at the level of traces.
pub fn holds_no_secret(line: &Metadata<'_>) -> bool {
    line.target().starts_with("tasklane") || *line.level() <= Level::DEBUG
}
