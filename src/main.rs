//! The `tasklane` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    tasklane::cli::main()
}
