//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// The parsed arguments.
pub struct Args {
    /// The rows to take; if empty, all that are taken by default.
    pub only: Vec<String>,
    /// Few and short rounds.
    pub quick: bool,
    /// The number of rounds, if it was set.
    pub rounds: Option<usize>,
    /// The length of the sustained load, in minutes.
    pub minutes: u64,
    /// Set if another process started this one as a bare loop.
    pub bare: Option<BareArgs>,
}

/// The arguments of a bare loop's process.
pub struct BareArgs {
    /// Its folder, with the file `bare.json`.
    pub folder: PathBuf,
    /// The database for a direct execution's two writes.
    pub writes: Option<PathBuf>,
}

impl Args {
    /// Parses it. `cargo bench` adds `--bench`.
    pub fn from_command_line() -> anyhow::Result<Self> {
        let mut args = Self { only: Vec::new(), quick: false, rounds: None, minutes: 2, bare: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--bench" => {}
                "--quick" => args.quick = true,
                "--rounds" => args.rounds = Some(value()?.parse().context("--rounds takes a number")?),
                "--minutes" => args.minutes = value()?.parse().context("--minutes takes a number")?,
                "--only" => args.only.extend(value()?.split(',').map(str::to_owned)),
                "--bare-loop" => args.bare = Some(BareArgs { folder: PathBuf::from(value()?), writes: None }),
                "--writes" => {
                    let database = PathBuf::from(value()?);
                    args.bare.as_mut().context("--writes comes after --bare-loop")?.writes = Some(database);
                }
                other => {
                    bail!("unknown argument {other}; there are --only ROW,ROW, --quick, --rounds N and --minutes N")
                }
            }
        }
        Ok(args)
    }
}
