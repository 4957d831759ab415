//! The rows, one file for each.

mod api;
mod build;
mod calls;
mod cold;
mod direct;
mod lambda;
mod lateness;
mod queue;
mod queues;
mod scale;
mod sustained;
mod turns;
mod warm;

use std::process::Command;

use crate::{
    context::Context,
    row::{Result as RowResult, Taken},
};

/// A row of the table.
pub struct Row {
    /// The name for `--only`.
    pub id: &'static str,
    /// The description.
    pub what: &'static str,
}

/// Every row, in the order of the table.
pub const ALL: &[Row] = &[
    Row { id: "api", what: "API Function, node hello over HTTP, compared with serverless-offline" },
    Row { id: "warm", what: "warm call, compared with the bare loop and AWS's emulator" },
    Row { id: "cold", what: "first call of a Function, compared with AWS's emulator" },
    Row { id: "direct", what: "direct execution, compared with the bare loop and the store's two writes" },
    Row { id: "queue", what: "queued Tasks, compared with the store's own writes" },
    Row { id: "queues", what: "queued Tasks over the network, compared with the queues that people choose otherwise" },
    Row { id: "lateness", what: "how late Tasks start" },
    Row { id: "turns", what: "keys that take turns, compared with the same load without a flow" },
    Row { id: "scale", what: "list, claim and create, with a million Tasks in the table compared with a thousand" },
    Row { id: "sustained", what: "minutes of load on a hundred Functions, compared with the first minute" },
    Row { id: "lambda", what: "the API's Lambda function, compared with a hello Function" },
    Row { id: "calls", what: "the number of AWS calls and write units" },
    Row { id: "build", what: "builds and tests" },
];

/// Rows that take too long to be taken by default.
pub const ONLY_WHEN_NAMED: &[&str] = &["lambda", "build"];

pub async fn take(row: &Row, context: &Context) -> anyhow::Result<Taken> {
    let load_before = load();
    let RowResult { lines, notes, plots } = match row.id {
        "api" => api::take(context).await?,
        "warm" => warm::take(context).await?,
        "cold" => cold::take(context).await?,
        "direct" => direct::take(context).await?,
        "queue" => queue::take(context).await?,
        "queues" => queues::take(context).await?,
        "lateness" => lateness::take(context).await?,
        "turns" => turns::take(context).await?,
        "scale" => scale::take(context).await?,
        "sustained" => sustained::take(context).await?,
        "lambda" => lambda::take(context).await?,
        "calls" => calls::take(context).await?,
        "build" => build::take(context).await?,
        other => anyhow::bail!("the row {other} cannot be taken"),
    };
    let at = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let id = row.id.to_owned();
    let commit = crate::packages::version(Command::new("git").args(["rev-parse", "--short", "HEAD"]));
    Ok(Taken { id, at, rounds: context.rounds, quick: context.quick, load_before, commit, lines, notes, plots })
}

/// The number of processes that wanted to run in the last minute, according to the kernel.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}
