//! Options of debounced creations.

use tasklane_model::{Debounce, DebounceKey, DebounceMode, DebounceSeconds, MostDebounceSeconds};

use super::input::seconds;

/// One Task for several creations in a row.
#[derive(Debug, clap::Args)]
pub(super) struct DebounceArgs {
    /// Make one Task of this and further creations with the same key: each changes the data and puts the start off
    #[arg(long, value_name = "KEY", value_parser = key, requires = "debounce", conflicts_with_all = ["start", "idempotency_key"])]
    debounce_key: Option<DebounceKey>,

    /// How long the Task waits after the last creation: 5s, 2m
    #[arg(long, value_name = "TIME", value_parser = waits, requires = "debounce_key")]
    debounce: Option<DebounceSeconds>,

    /// How long it waits after the first creation at most [default: ten times --debounce]
    #[arg(long, value_name = "TIME", value_parser = waits_at_most, requires = "debounce_key")]
    debounce_max: Option<MostDebounceSeconds>,

    /// Add the data to an array instead of replacing it
    #[arg(long, requires = "debounce_key")]
    debounce_append: bool,
}

impl DebounceArgs {
    pub(super) fn read(self) -> Option<Debounce> {
        let mode = if self.debounce_append { DebounceMode::Append } else { DebounceMode::Replace };
        Some(Debounce { key: self.debounce_key?, seconds: self.debounce?, max_seconds: self.debounce_max, mode })
    }
}

fn key(text: &str) -> Result<DebounceKey, String> {
    DebounceKey::parse(text).map_err(|error| error.to_string())
}

fn waits(text: &str) -> Result<DebounceSeconds, String> {
    seconds(text, DebounceSeconds::new)
}

fn waits_at_most(text: &str) -> Result<MostDebounceSeconds, String> {
    seconds(text, MostDebounceSeconds::new)
}
