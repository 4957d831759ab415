//! How the command ends.

use std::{io, process::ExitCode};

use super::output;

/// What a subcommand answers when nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0.
    Yes,
    /// Exit code 1: there are differences, the Function failed.
    No,
}

/// How a subcommand ended. An error becomes exit code 2 and its message, with its causes, one line on stderr.
pub type Outcome = anyhow::Result<Verdict>;

/// The exit code, once an error has been told.
pub(super) fn code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(Verdict::Yes) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(1),
        // Whoever read our output has seen enough, as `head` does: that is no fault.
        Err(e) if is_closed_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            output::note(&format!("error: {e:#}"));
            ExitCode::from(2)
        }
    }
}

/// The exit code for arguments that cannot be understood, or for `--help` and `--version`.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is all that can go wrong here.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
