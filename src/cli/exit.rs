//! The exit code of the command.

use std::{io, process::ExitCode};

use tasklane_model::with_causes;

use super::output;

/// The result of a subcommand that worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0.
    Yes,
    /// Exit code 1: there are differences, the Function failed.
    No,
}

/// How a subcommand ended. An error becomes exit code 2, and its message with all causes one line on stderr.
pub type Outcome = anyhow::Result<Verdict>;

/// Prints the error, if there is one, and returns the exit code.
pub(super) fn code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(Verdict::Yes) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(1),
        // The reader of our output has seen enough, like `head`. This is not an error.
        Err(e) if is_closed_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            output::note(&format!("error: {}", with_causes(e.as_ref())));
            ExitCode::from(2)
        }
    }
}

/// The exit code for invalid arguments, or for `--help` and `--version`. A program that asked for JSON gets the error as
/// JSON, too.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let message = error.to_string();
        let message = message.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let _ = output::json(&serde_json::json!({ "error": { "message": message } }).to_string());
    }
    // This can fail only because of a closed pipe.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
