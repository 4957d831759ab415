//! `tasklane completions`: prints completion scripts for shells.

use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

use super::{Cli, Outcome, Verdict, output};

/// Print the completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tasklane completions bash > /etc/bash_completion.d/tasklane
  tasklane completions zsh > \"${fpath[1]}/_tasklane\"
  tasklane completions fish > ~/.config/fish/completions/tasklane.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Outcome {
    // The generator panics if it cannot write; writing to a `Vec` cannot fail.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut with_hints(Cli::command()), "tasklane", &mut script);
    output::data(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Verdict::Yes)
}

/// The names of values that are files or folders. For every other value, the shell must not offer the files that lie around.
const PATHS: [&str; 4] = ["PATH", "FILE", "DIR", "JSON"];

fn with_hints(command: Command) -> Command {
    command.mut_args(with_hint).mut_subcommands(with_hints)
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
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn values_are_offered_and_files_only_where_a_file_is_meant() {
        let mut script = Vec::new();
        clap_complete::generate(Shell::Zsh, &mut with_hints(Cli::command()), "tasklane", &mut script);
        let script = String::from_utf8(script).unwrap();
        let line = |text: &str| script.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}"));
        assert!(
            line("--status=").contains("(new inProgress complete failed retried canceled)"),
            "{}",
            line("--status=")
        );
        assert!(line("--jail=").contains("(auto on off)") && line("--executionPermission=").contains("allUsers"));
        assert!(line("--credentials=").contains("_files"));
        assert!(!line("--rql=").contains("_files") && !line("--runtime=").contains("_files"));
    }
}
