//! Data on stdout, everything else on stderr, and no panic when nobody listens.

use std::io::{self, BufRead as _, IsTerminal, Write};

use super::terminal;

/// Prints a line of data, or several, on stdout: nothing in it that a terminal would act upon but colours.
///
/// # Errors
/// When stdout is closed: pass it on, it ends the command quietly.
pub fn data(text: &str) -> io::Result<()> {
    print(&terminal::shown(text))
}

/// Prints JSON on stdout. Where a terminal would act upon a character it is escaped.
///
/// # Errors
/// As [`data`].
pub fn json(text: &str) -> io::Result<()> {
    print(&terminal::json(text))
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Prints a line for the person at the terminal on stderr, with nothing in it that the terminal would act upon but
/// colours. If stderr is closed nobody wanted to know.
pub fn note(text: &str) {
    // In one piece: stderr has no buffer, and other programs write there too.
    let _ = io::stderr().lock().write_all(format!("{}\n", terminal::shown(text)).as_bytes());
}

/// Prints text for the person at the terminal with a word in front of each of its lines, so that no line can pass for
/// something else.
pub fn note_from(source: &str, text: &str) {
    note(&prefixed(source, text));
}

/// `source | line` for each line.
pub fn prefixed(source: &str, text: &str) -> String {
    terminal::lines(text).map(|line| format!("{source} | {line}")).collect::<Vec<_>>().join("\n")
}

/// Asks the person at the terminal a question; `false` where there is nobody to be asked.
pub fn confirm(question: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let _ = io::stderr().lock().write_all(format!("{} [y/N] ", terminal::shown(question)).as_bytes());
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Whether colours are welcome on stdout: a terminal, and nothing in the environment against them
/// (<https://no-color.org>).
pub fn stdout_has_colors() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_text_goes_without_its_source() {
        assert_eq!(
            prefixed("hello", "one\ntwo\r\nthree\rFAKE LINE"),
            "hello | one\nhello | two\nhello | three\nhello | FAKE LINE"
        );
        assert_eq!(prefixed("hello", ""), "hello | ");
    }
}
