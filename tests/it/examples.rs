//! The examples do what their READMEs show.
//!
//! A README starts the service with a line `tasklane dev …`, and its `console` blocks hold commands after `$`, each
//! followed by its output. There, `…` is any text within a line. Messages to stderr are left out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{command, dev::Dev, project::repository};

/// A command of a README, and what it prints.
struct Step {
    command: String,
    output: Vec<String>,
}

#[test]
fn tenants_take_turns() {
    as_shown("tenants");
}

#[test]
fn orders_are_charged_once_and_can_be_replayed() {
    as_shown("orders");
}

#[test]
fn a_report_has_a_schedule() {
    as_shown("report");
}

/// Follows the README of an example.
fn as_shown(example: &str) {
    let folder = repository().join("examples").join(example);
    let readme = fs::read_to_string(folder.join("README.md")).expect("the example has a README");
    assert!(readme.contains(&format!("\ntasklane dev examples/{example}\n")), "README says how to start {example}");
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start(home.path(), [&folder]);
    let steps = steps(&readme);
    assert!(!steps.is_empty(), "README of {example} shows no command");
    for Step { command, output } in steps {
        let ended = shell(home.path(), &command);
        let printed: Vec<_> = ended.stdout.lines().map(str::trim_end).collect();
        let fits = printed.len() == output.len() && printed.iter().zip(&output).all(|(line, like)| is_like(line, like));
        let shown = output.join("\n");
        assert!(
            fits,
            "{example}: $ {command}\n--- README\n{shown}\n--- stdout\n{}\n--- stderr\n{}",
            ended.stdout, ended.stderr
        );
    }
    dev.stop();
}

fn shell(home: &Path, line: &str) -> command::Ended {
    let tasklane = PathBuf::from(env!("CARGO_BIN_EXE_tasklane"));
    let folder = tasklane.parent().expect("it is in a folder");
    let path = std::env::join_paths([folder.to_owned(), "/usr/bin".into(), "/bin".into()]).unwrap();
    let mut shell = Command::new("sh");
    // A README shows a terminal that is as wide as it needs to be.
    shell.args(["-c", line]).current_dir(home).env_clear().env("HOME", home).env("PATH", path);
    command::Ended::of(&mut shell)
}

fn steps(readme: &str) -> Vec<Step> {
    let blocks = readme.split("\n```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("console\n"));
    let mut steps = Vec::<Step>::new();
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
            (None, Some(step)) => step.output.push(line.trim_end().to_owned()),
            (None, None) => panic!("'{line}' comes before a command"),
        }
    }
    steps
}

/// Whether a line is this one, where `…` is any text.
fn is_like(line: &str, like: &str) -> bool {
    let mut parts = like.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn three_dots_are_any_text_within_a_line() {
    for (line, like, fits) in [
        ("1 of 2 in a", "1 of … in …", true),
        ("1 of 2 in a", "… in a", true),
        ("1 of 2 in a", "1 of 2 in a", true),
        ("1 of 2 in a", "1 of 2", false),
        ("1 of 2 in a", "2 of … in …", false),
        ("1 of 2 in a", "… in b", false),
        ("", "…", true),
    ] {
        assert_eq!(is_like(line, like), fits, "{line} / {like}");
    }
}
