//! `tasklane man-pages`: writes the manual pages of every command, for packages.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::CommandFactory;

use super::{Cli, Outcome, Verdict};

/// Write the manual pages of every command into a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tasklane man-pages /usr/local/share/man/man1")]
pub(super) struct Args {
    /// The folder, which is created if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> Outcome {
    let failed = || format!("cannot write manual pages to {}", args.folder.display());
    fs::create_dir_all(&args.folder).with_context(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).with_context(failed)?;
    Ok(Verdict::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_hidden_ones_have_none() {
        let folder = tempfile::tempdir().unwrap();
        run(&Args { folder: folder.path().join("man1") }).unwrap();
        let page = |name: &str| fs::read_to_string(folder.path().join("man1").join(name));
        assert!(page("tasklane.1").unwrap().contains("self\\-hosted task service"));
        assert!(page("tasklane-tasks-create.1").unwrap().contains("priority"));
        assert!(page("tasklane-man-pages.1").is_err());
    }
}
