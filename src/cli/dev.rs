//! `tasklane dev`: the whole service, here.

use std::{net::SocketAddr, path::PathBuf};

use super::Outcome;
use crate::model::ConcurrencyLimit;

/// Serve the whole service on this machine.
///
/// Syncs every task-config.json under the paths and syncs again whenever something changes there. Everything is kept in
/// the data folder, with an administrator's credentials in its file `credentials`, which the other commands find by
/// themselves. Ctrl-C stops it and lets what runs come to its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane dev examples --listen 127.0.0.1:0    serve the examples on a free port")]
pub struct Args {
    /// Folders to search for task-config.json files, or such files
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4000")]
    pub listen: SocketAddr,

    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".tasklane")]
    pub data_dir: PathBuf,

    /// Refuse Functions whose runtime is not exactly the version of node or python that this machine has
    #[arg(long)]
    pub strict_runtimes: bool,

    /// Post every task_failed event to this URL too
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,

    /// How many Tasks may run at once
    #[arg(long, value_name = "N", default_value = "5", value_parser = concurrency)]
    pub concurrency: ConcurrencyLimit,

    /// What stands before a Function's name in AWS_LAMBDA_FUNCTION_NAME
    #[arg(long, value_name = "PREFIX", default_value = "tasklane")]
    pub prefix: String,
}

/// Serves until Ctrl-C.
pub(super) async fn run(_args: Args) -> Outcome {
    anyhow::bail!("`tasklane dev` is not built yet")
}

fn concurrency(text: &str) -> Result<ConcurrencyLimit, String> {
    let number = text.parse().map_err(|_| "must be a whole number".to_owned())?;
    ConcurrencyLimit::new(number).map_err(|e| e.to_string())
}
