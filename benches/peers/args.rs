//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// What was asked for.
pub struct Args {
    /// Rows to take; none named: all that are taken by themselves.
    pub only: Vec<String>,
    /// Few and short rounds.
    pub quick: bool,
    /// How many rounds, when that is said.
    pub rounds: Option<usize>,
    /// How long the sustained load lasts, in minutes.
    pub minutes: u64,
    /// This process is a bare loop that another one started.
    pub bare: Option<BareArgs>,
}

/// What the process of a bare loop is told.
pub struct BareArgs {
    /// Its folder, with the file `bare.json`.
    pub folder: PathBuf,
    /// A database to make a direct execution's two writes in.
    pub writes: Option<PathBuf>,
}

impl Args {
    /// Reads it. `cargo bench` adds a `--bench` of its own.
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
