//! The arguments about what follows a Task.

use tasklane_model::{FunctionName, OnComplete};

use super::{functions, input::JsonSource};

// No doc comment: clap would show it instead of the subcommand's own.
#[derive(Debug, clap::Args)]
pub(super) struct FollowArgs {
    /// The Function to run once the Task has ended, after its last retry
    #[arg(long, value_name = "FUNCTION", value_parser = functions::name)]
    on_complete: Option<FunctionName>,

    /// What that Function gets as event.data.context: JSON, or @FILE
    #[arg(long, value_name = "JSON", requires = "on_complete", allow_negative_numbers = true)]
    on_complete_data: Option<JsonSource>,
}

impl FollowArgs {
    /// What follows, if anything.
    pub(super) fn read(self) -> anyhow::Result<Option<OnComplete>> {
        let data = self.on_complete_data.map(|source| source.read()).transpose()?;
        Ok(self.on_complete.map(|function_name| OnComplete { function_name, data }))
    }
}
