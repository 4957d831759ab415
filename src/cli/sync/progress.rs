//! Progress for people at a terminal.

use std::{borrow::Cow, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tasklane_model::FunctionName;

/// A spinner on stderr until it is dropped; nothing if stderr is not a terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn start(name: &FunctionName) -> Self {
        let bar = ProgressBar::new_spinner().with_prefix(Cow::Owned(name.to_string()));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    pub(super) fn step(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
