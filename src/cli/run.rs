//! `tasklane run`: one Function, once, here.

use std::path::PathBuf;

use super::{Outcome, input::JsonSource};

/// Run a Function once on this machine, without a service.
///
/// Takes a folder that holds a task-config.json, or such a file. The result goes to stdout as JSON, what the Function
/// logs to stderr.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the Function returned; 1 it failed (its error is on stderr); 2 it could not be run.

Example:
  tasklane run examples/hello-js --data '{\"name\":\"Ada\"}'")]
pub struct Args {
    /// The Function's folder, or its task-config.json
    pub path: PathBuf,

    /// What the Function finds in event.data: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    pub data: Option<JsonSource>,

    /// The whole event instead of a Task: JSON, @FILE, or - for stdin. Given more than once, the Function is called with one after the other
    #[arg(long = "event", value_name = "JSON", conflicts_with = "data")]
    pub events: Vec<JsonSource>,
}

/// Runs it.
pub(super) async fn run(_args: Args) -> Outcome {
    anyhow::bail!("`tasklane run` is not built yet")
}
