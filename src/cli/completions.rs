//! `tasklane completions`: prints completion scripts for shells.

use clap::CommandFactory;
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
    clap_complete::generate(args.shell, &mut Cli::command(), "tasklane", &mut script);
    output::data(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Verdict::Yes)
}
