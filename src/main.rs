//! The `tasklane` command.

use std::process::ExitCode;

/// A fifth of a call's time went into glibc's allocator, whose threads wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tasklane::cli::main()
}
