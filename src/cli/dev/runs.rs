//! Passes the event that `dispatch` logs for each run that ended on to the statistics.

use std::{fmt, time::Duration};

use tasklane_local::history::{RunEnd, RunLog};
use tasklane_model::FunctionName;
use tasklane_service::ENDED_RUNS;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{Layer, filter::Targets, layer::Context, registry::LookupSpan};

/// A layer that counts runs in this log.
pub(super) fn layer<S>(log: RunLog) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    Runs(log).with_filter(Targets::new().with_target(ENDED_RUNS, LevelFilter::INFO))
}

struct Runs(RunLog);

impl<S: Subscriber> Layer<S> for Runs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut run = Run::default();
        event.record(&mut run);
        if let (Some(function), Some(end)) = (run.function, run.end) {
            self.0.ended(&function, end, run.late, run.took);
        }
    }
}

/// The fields of the event.
#[derive(Default)]
struct Run {
    function: Option<FunctionName>,
    end: Option<RunEnd>,
    late: Option<Duration>,
    took: Duration,
}

impl Visit for Run {
    fn record_str(&mut self, field: &Field, value: &str) {
        match (field.name(), value) {
            ("function", name) => self.function = FunctionName::parse(name).ok(),
            ("outcome", "complete") => self.end = Some(RunEnd::Complete),
            ("outcome", "failed") => self.end = Some(RunEnd::Failed),
            ("outcome", "retried") => self.end = Some(RunEnd::Retried),
            // The outcome of a run may be unknown.
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "late_ms" => self.late = Some(Duration::from_millis(value)),
            "run_ms" => self.took = Duration::from_millis(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
