//! Data on stdout, everything else on stderr, and no panic when nobody listens.

use std::io::{self, IsTerminal, Write};

/// Prints a line of data on stdout.
///
/// # Errors
/// When stdout is closed: pass it on, it ends the command quietly.
pub fn data(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Prints a line for the person at the terminal on stderr. If stderr is closed nobody wanted to know.
pub fn note(line: &str) {
    // In one piece: stderr has no buffer, and other programs write there too.
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Whether colours are welcome on stdout: a terminal, and nothing in the environment against them
/// (<https://no-color.org>).
pub fn stdout_has_colors() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
