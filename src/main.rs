//! The `tasklane` command.

use std::process::ExitCode;

/// A fifth of a call's time went into glibc's allocator, whose threads wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A process that is to become a Function's does nothing else before.
    tasklane_lambda_local::enter_if_asked();
    tasklane_cli::main()
}
