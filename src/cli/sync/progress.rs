//! Progress for people.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _},
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tasklane_model::FunctionName;
use tasklane_runtime::lock::Lock;
use tokio::task::JoinHandle;

use super::super::output;

/// What is being done with a Function, until it is dropped.
pub(super) enum Progress {
    /// A spinner, at a terminal.
    Spinner(ProgressBar),
    /// A line on stderr for each step that takes longer than a moment.
    Lines { step: Arc<Lock<String>>, printer: JoinHandle<()> },
}

/// How long a step may say nothing.
const SILENCE: Duration = Duration::from_secs(1);

impl Progress {
    pub(super) fn start(name: &FunctionName) -> Self {
        if io::stderr().is_terminal() {
            return Self::spinner(name);
        }
        let step = Arc::new(Lock::new(String::new()));
        let (name, current) = (name.clone(), Arc::clone(&step));
        let printer = tokio::spawn(async move {
            let mut said = String::new();
            loop {
                tokio::time::sleep(SILENCE).await;
                let step = current.lock().clone();
                if step != said {
                    output::note(&format!("{name}: {step} …"));
                    said = step;
                }
            }
        });
        Self::Lines { step, printer }
    }

    fn spinner(name: &FunctionName) -> Self {
        let bar = ProgressBar::new_spinner().with_prefix(Cow::Owned(name.to_string()));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Spinner(bar)
    }

    pub(super) fn step(&self, what: &str) {
        match self {
            Self::Spinner(bar) => bar.set_message(what.to_owned()),
            Self::Lines { step, .. } => what.clone_into(&mut step.lock()),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        match self {
            Self::Spinner(bar) => bar.finish_and_clear(),
            Self::Lines { printer, .. } => printer.abort(),
        }
    }
}
