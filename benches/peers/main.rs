//! `cargo bench --bench peers`: compares tasklane with its peers and with the limit, in one run on one machine.
//!
//! Installs the peers that `infra/bench` pins into `target/bench`, and writes `docs/benchmarks.md` and its plots. Every
//! figure is the median of rounds that alternate: A, B, A, B, …
//!
//! `-- --only api,warm` measures only these rows again and keeps the others; `--quick` takes few and short rounds, to
//! see whether everything works.

// A command for people: its output goes to stderr. It measures real time.
#![allow(clippy::print_stderr, clippy::disallowed_methods, missing_docs)]

mod args;
mod bare;
mod child;
mod context;
mod dev;
#[allow(dead_code)] // `hot-paths` uses the rest
mod figure;
mod functions;
mod http;
mod offline;
mod packages;
mod plot;
mod queues;
mod report;
mod rie;
mod row;
mod rows;

use std::process::ExitCode;

use args::Args;
use context::Context;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let args = Args::from_command_line()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(bare) = &args.bare {
        return runtime.block_on(bare::serve(bare));
    }
    let wanted = wanted(&args.only)?;
    let context = Context::new(&args)?;
    runtime.block_on(async {
        for row in wanted {
            context.say(&format!("== {}: {}", row.id, row.what));
            let taken = rows::take(row, &context).await?;
            context.keep(&taken)?;
        }
        report::write(&context)
    })
}

/// The rows with these names; if there are none, all that are taken by default.
fn wanted(only: &[String]) -> anyhow::Result<Vec<&'static rows::Row>> {
    let known: Vec<_> = rows::ALL.iter().map(|row| row.id).collect();
    if let Some(unknown) = only.iter().find(|only| !known.contains(&only.as_str())) {
        anyhow::bail!("there is no row {unknown}; there are {}", known.join(", "));
    }
    let is_wanted = |id: &str| match only {
        [] => !rows::ONLY_WHEN_NAMED.contains(&id),
        only => only.iter().any(|only| only == id),
    };
    Ok(rows::ALL.iter().filter(|row| is_wanted(row.id)).collect())
}
