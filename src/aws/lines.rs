//! The lines of the handlers' log: one JSON object each, on stdout, where Lambda picks them up.

use std::{fmt, io::Write as _, sync::Arc};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};

/// Where lines go.
pub type Lines = Arc<dyn Fn(&Value) + Send + Sync>;

/// Writes lines to stdout, each in one piece.
pub fn stdout() -> Lines {
    Arc::new(|line| {
        // A line that cannot be written is not worth an error, and there is nowhere to report one.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    })
}

/// The fields of an event or a span, by name.
#[derive(Clone, Default)]
pub struct Fields(pub Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}
