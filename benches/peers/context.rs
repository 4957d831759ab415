//! The settings and folders that all rows use.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use crate::{args::Args, row::Taken};

/// The settings and folders that all rows use.
pub struct Context {
    /// Few and short rounds.
    pub quick: bool,
    pub rounds: usize,
    /// The length of the sustained load.
    pub minutes: u64,
    /// The folder in which peers are installed: `target/bench`.
    pub folder: PathBuf,
    /// The root of the repository.
    pub repository: PathBuf,
}

impl Context {
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        // `CARGO_TARGET_TMPDIR` is `<target>/tmp`.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("there is no target folder")?;
        let folder = target.join("bench");
        fs::create_dir_all(&folder)?;
        let rounds = args.rounds.unwrap_or(if args.quick { 2 } else { 5 });
        let minutes = if args.quick { 1 } else { args.minutes };
        Ok(Self { quick: args.quick, rounds, minutes, folder, repository })
    }

    /// The length of one measurement: `usual`, or a fifth of it in a quick run.
    pub fn span(&self, usual: Duration) -> Duration {
        if self.quick { usual / 5 } else { usual }
    }

    /// A quantity: `usual`, or a tenth of it in a quick run.
    pub fn count(&self, usual: u64) -> u64 {
        if self.quick { (usual / 10).max(1) } else { usual }
    }

    /// A folder that is deleted after the run, on the same disk as `target`, because `/tmp` may be in memory.
    pub fn scratch(&self) -> anyhow::Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new().prefix("run-").tempdir_in(&self.folder)?)
    }

    /// Prints a line of progress.
    pub fn say(&self, line: &str) {
        eprintln!("{line}");
    }

    /// The folder for the page, its plots and the rows' results: `docs`, so that rows can be taken one by one, in any
    /// checkout. A quick run only shows whether everything works, and writes to `target/bench`.
    pub fn pages(&self) -> PathBuf {
        if self.quick { self.folder.clone() } else { self.repository.join("docs") }
    }

    /// Saves the result of a row, so that another run can take other rows.
    pub fn keep(&self, taken: &Taken) -> anyhow::Result<()> {
        let path = self.result(&taken.id);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        let mut text = serde_json::to_string_pretty(taken)?;
        text.push('\n');
        fs::write(path, text)?;
        Ok(())
    }

    /// The last result of a row.
    pub fn kept(&self, id: &str) -> anyhow::Result<Option<Taken>> {
        match fs::read(self.result(id)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| format!("the result of {id}"))?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn result(&self, id: &str) -> PathBuf {
        self.pages().join("benchmarks/results").join(format!("{id}.json"))
    }
}
