//! `tasklane completions`: completions for shells. A script in the shell asks this program what fits, each time, because only
//! the service knows the names of its Functions.

mod install;
mod names;

use std::io::Error;

use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::{CompleteEnv, Shell, env::Shells};

use super::{Cli, Outcome, Verdict, output};

/// Print the completions for a shell, or install them.
///
/// Commands, options and their values are completed, and so are the names of Functions and Schedules and the ids of recent
/// Tasks: those of the service that the command would use, if it answers at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tasklane completions --install
  tasklane completions bash > /etc/bash_completion.d/tasklane
  tasklane completions zsh > \"${fpath[1]}/_tasklane\"")]
pub(super) struct Args {
    /// The shell [default with --install: that of $SHELL]
    #[arg(required_unless_present = "install")]
    shell: Option<Shell>,

    /// Have each new bash, zsh or fish load them: with a few lines in ~/.bashrc or ~/.zshrc, or a file of fish
    #[arg(long)]
    install: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    if args.install {
        install::run(args.shell)?;
    } else if let Some(shell) = args.shell {
        output::data(script(shell)?.trim_end())?;
    }
    Ok(Verdict::Yes)
}

/// The variable by which the script in the shell asks.
const ASKED: &str = "TASKLANE_COMPLETE";

/// From a folder of `fpath`, zsh loads the script as a function when Tab is pressed for the first time, and calls it for an
/// answer.
const LOADED_BY_ZSH: &str = "[[ \"$funcstack[1]\" == _tasklane ]] && _clap_dynamic_completer_tasklane \"$@\"\n";

/// If a shell asks what fits, answers it and ends the process.
pub(super) fn answer_a_shell() {
    CompleteEnv::with_factory(command).var(ASKED).complete();
}

/// What the shell runs: it finds this program by its name, so that it stays right when the program moves.
fn script(shell: Shell) -> Result<String, Error> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let writer = shells.completer(&name).ok_or_else(|| Error::other(format!("there are no completions for {name}")))?;
    let mut script = Vec::new();
    writer.write_registration(ASKED, "tasklane", "tasklane", "tasklane", &mut script)?;
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Zsh {
        script += LOADED_BY_ZSH;
    }
    Ok(script)
}

/// The command with what its values may be.
fn command() -> Command {
    with_values(Cli::command())
}

/// The names of values that are files or folders. For every other value, the shell must not offer the files that lie around.
const PATHS: [&str; 4] = ["PATH", "FILE", "DIR", "JSON"];

fn with_values(command: Command) -> Command {
    // The name of a Function that is made here is new.
    let is_new = command.get_name() == "init";
    let values = |arg| if is_new { with_hint(arg) } else { names::offered(with_hint(arg)) };
    command.mut_args(values).mut_subcommands(with_values)
}

fn with_hint(arg: Arg) -> Arg {
    if !arg.get_action().takes_values() {
        return arg;
    }
    let names = arg.get_value_names().unwrap_or_default();
    let is_path = names.iter().any(|name| PATHS.contains(&name.as_str()));
    arg.value_hint(if is_path { ValueHint::AnyPath } else { ValueHint::Other })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    /// What is offered for the last word of this line, in a folder with one file.
    fn offered(line: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a-file"), "").unwrap();
        let words: Vec<_> = line.split(' ').map(Into::into).collect();
        let last = words.len() - 1;
        let found = clap_complete::engine::complete(&mut command(), words, last, Some(folder.path())).unwrap();
        found.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn values_are_offered_and_files_only_where_a_file_is_meant() {
        let status = offered("tasklane tasks list --status ");
        assert_eq!(status, ["new", "inProgress", "complete", "failed", "retried", "canceled"]);
        assert_eq!(offered("tasklane dev --jail "), ["auto", "on", "off"]);
        assert!(offered("tasklane sync --executionPermission ").contains(&"allUsers".to_owned()));
        assert!(offered("tasklane list --credentials ").contains(&"a-file".to_owned()));
        for line in ["tasklane tasks list --rql ", "tasklane sync --runtime ", "tasklane init "] {
            assert_eq!(offered(line).iter().find(|value| *value == "a-file"), None, "{line}");
        }
        assert!(offered("tasklane sched").contains(&"schedules".to_owned()));
        assert!(!offered("tasklane ").contains(&"man-pages".to_owned()), "it is hidden");
    }

    #[test]
    fn every_shell_has_a_script_that_finds_the_program_by_its_name() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = script(shell.parse().unwrap()).unwrap();
            assert!(script.contains(ASKED) && script.contains("tasklane") && !script.contains("/target/"), "{script}");
        }
    }

    #[test]
    fn a_shell_is_needed_unless_it_is_known_from_the_environment() {
        let parsed = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(parsed("tasklane completions --install") && parsed("tasklane completions zsh"));
        assert!(!parsed("tasklane completions") && !parsed("tasklane completions cmd"));
    }
}
