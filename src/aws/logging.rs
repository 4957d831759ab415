//! What the handlers log: one JSON object a line.

use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

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
        .with(lines)
        .with(RunMetrics::new(prefix))
        .try_init();
}
