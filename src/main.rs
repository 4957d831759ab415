//! The `tasklane` command.

fn main() {}
