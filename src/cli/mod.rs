//! The `tasklane` command.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 when all went well, 1 when the answer is no (`sync
//! --plan` found differences, the Function failed), 2 for an error. Each subcommand has a file of its own, with its
//! arguments and what it does.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod dev;
mod exit;
pub mod input;
pub mod output;
pub mod run;

pub use exit::{Outcome, Verdict};

const AFTER_HELP: &str = "\
Exit codes: 0 all went well; 1 the answer is no (`sync --plan` found differences, the Function failed); 2 an error.

Examples:
  tasklane run examples/hello-js --data '{\"name\":\"Ada\"}'    run a Function once, here, without a service
  tasklane dev examples                                     serve the whole service here, with these Functions";

/// A self-hosted task service: run Functions, queue Tasks, call Functions over HTTP.
#[derive(Debug, Parser)]
#[command(name = "tasklane", version, after_help = AFTER_HELP, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Dev(dev::Args),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return exit::usage(&e),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return exit::code(Err(anyhow::Error::new(e).context("cannot start the asynchronous runtime"))),
    };
    exit::code(runtime.block_on(cli.command.run()))
}

impl Command {
    async fn run(self) -> Outcome {
        match self {
            Self::Run(args) => run::run(args).await,
            Self::Dev(args) => dev::run(args).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_contradict_each_other_nowhere() {
        Cli::command().debug_assert();
    }
}
