//! Warnings and errors of the service, on stderr.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use tasklane_local::history::RunLog;

use crate::output;

/// The prefix of the targets of our crates. Warnings of dependencies are meant for developers.
const OURS: &str = "tasklane";

/// Starts to show them, and to count the runs that end. Does nothing if the program already has a subscriber.
pub(super) fn show(runs: RunLog) {
    let subscriber = subscriber(output::note).with(super::runs::layer(runs));
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn subscriber(show: impl Fn(&str) + Send + Sync + 'static) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync {
    let ours = Targets::new().with_target(OURS, LevelFilter::WARN);
    tracing_subscriber::registry().with(Lines { show }.with_filter(ours))
}

/// Shows each event as one plain line, like the rest of the output.
struct Lines<F> {
    show: F,
}

impl<S: Subscriber, F: Fn(&str) + 'static> Layer<S> for Lines<F> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let severity = if *event.metadata().level() == Level::ERROR { "error" } else { "warning" };
        (self.show)(&format!("{severity}: {}", said.line()));
    }
}

/// The content of an event.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Said {
    fn line(self) -> String {
        let mut line = self.message;
        // Most messages already contain their fields.
        let unsaid: Vec<_> = self.fields.iter().filter(|(_, value)| !line.contains(value.as_str())).collect();
        for (at, (name, value)) in unsaid.iter().enumerate() {
            let _ = write!(line, "{}{name}: {value}", if at == 0 { " (" } else { ", " });
        }
        if !unsaid.is_empty() {
            line.push(')');
        }
        line
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tasklane_testing::log::capture;

    use super::*;

    #[test]
    fn warnings_and_errors_of_ours_are_plain_lines_and_the_rest_is_not_shown() {
        let shown = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&shown);
        let guard = capture(subscriber(move |line| lines.lock().unwrap().push(line.to_owned())));
        tracing::warn!("the disk is nearly full");
        tracing::error!(error = %"no room", tasks = 3, "could not write: no room");
        tracing::warn!(target: "tasklane_model::x", name = "a b", "part of ours");
        tracing::info!("not worth a line");
        tracing::error!(target: "hyper::proto", "of a dependency");
        drop(guard);
        assert_eq!(
            *shown.lock().unwrap(),
            [
                "warning: the disk is nearly full",
                "error: could not write: no room (tasks: 3)",
                "warning: part of ours (name: a b)"
            ]
        );
    }
}
