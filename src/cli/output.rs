//! Data on stdout, everything else on stderr, and no panic if they are closed.

use std::io::{self, BufRead as _, IsTerminal, Write};

use super::terminal;

/// Prints one or more lines of data on stdout. Control characters other than colors are replaced.
///
/// # Errors
/// When stdout is closed. Return the error, which ends the command quietly.
pub fn data(text: &str) -> io::Result<()> {
    print(&terminal::shown(text))
}

/// Prints JSON on stdout. Control characters are escaped.
///
/// # Errors
/// See [`data`].
pub fn json(text: &str) -> io::Result<()> {
    print(&terminal::json(text))
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Prints a line for people on stderr. Control characters other than colors are replaced. If stderr is closed, the line is
/// dropped.
pub fn note(text: &str) {
    // In one piece, because stderr has no buffer and other programs write to it, too.
    let _ = io::stderr().lock().write_all(format!("{}\n", terminal::shown(text)).as_bytes());
}

/// Prints text for people with its source in front of each line, so that no line can pass for something else.
pub fn note_from(source: &str, text: &str) {
    note(&prefixed(source, text));
}

/// `source | line` for each line.
pub fn prefixed(source: &str, text: &str) -> String {
    terminal::lines(text).map(|line| format!("{source} | {line}")).collect::<Vec<_>>().join("\n")
}

/// Asks the person at the terminal a question; `false` if there is no terminal.
pub fn confirm(question: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let _ = io::stderr().lock().write_all(format!("{} [y/N] ", terminal::shown(question)).as_bytes());
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Whether to use colors on stdout: it is a terminal, and the environment does not forbid them
/// (<https://no-color.org>).
pub fn stdout_has_colors() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_gets_its_source() {
        assert_eq!(
            prefixed("hello", "one\ntwo\r\nthree\rFAKE LINE"),
            "hello | one\nhello | two\nhello | three\nhello | FAKE LINE"
        );
        assert_eq!(prefixed("hello", ""), "hello | ");
    }
}
