//! The delay of Tasks after their time: planned Tasks, and retries.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hot_paths::engine::{Engine, Kept, Started, name};
use tasklane::{
    model::{Caller, NewTask, Tags, TaskOptions, Timestamp},
    ports::{Clock as _, SystemClock},
};

use super::api::millis;
use crate::{
    context::Context,
    figure::Figure,
    row::{Result, Target},
};

/// The delays before the first, second and third retry, in seconds (contract §4).
const RETRIES: [u64; 3] = [2, 5, 10];

/// The number of Tasks that fail and are retried in a round.
const CHAINS: usize = 20;

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let mut p99 = Vec::new();
    let mut late: [Vec<f64>; 3] = Default::default();
    for round in 0..context.rounds {
        let folder = context.scratch()?;
        let engine = Engine::start(Kept::OnDisk, folder.path(), 32).await?;
        let tasks = usize::try_from(context.count(500))?;
        let until = Instant::now() + Duration::from_secs(60);
        for _ in 0..CHAINS {
            create(&engine, "flaky", SystemClock.now()).await?;
        }
        // Fifty per second, starting one second from now.
        let first = SystemClock.now().saturating_add(Duration::from_secs(1));
        for n in 0..tasks {
            create(&engine, "hello", first.saturating_add(Duration::from_millis(20 * n as u64 + (n as u64 * 7) % 20)))
                .await?;
        }
        while engine.lambda.started().len() < tasks + CHAINS * (RETRIES.len() + 1) {
            anyhow::ensure!(Instant::now() < until, "not every task ran");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let started = engine.lambda.started();
        engine.stop().await;
        let mut planned: Vec<_> =
            started.iter().filter(|run| run.due >= first).filter(|run| run.retries == 0).map(lateness).collect();
        p99.push(quantile(&mut planned, 0.99));
        let mut retried: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for run in started.iter().filter(|run| run.retries > 0) {
            retried.entry(run.retries).or_default().push(lateness(run));
        }
        for (at, late) in late.iter_mut().enumerate() {
            late.push(retried.get_mut(&(at + 1)).map_or(f64::NAN, |late| quantile(late, 1.0)));
        }
        context.say(&format!(
            "   round {round}: p99 {:.1} ms, retries at most {:?} ms late",
            p99[round],
            late.clone().map(|late| late[round])
        ));
    }
    let mut result = Result::default();
    let what = "planned Tasks, 50 a second: start − startTimestamp, p99";
    result.line(what, Figure::new("ms", p99), None, Target::AtMost(50.0));
    for (late, delay) in late.into_iter().zip(RETRIES) {
        let what = format!("the retry after {delay} s: how much later, at most");
        result.line(&what, Figure::new("ms", late), None, Target::AtMost(100.0));
    }
    Ok(result)
}

async fn create(engine: &Engine, function: &str, start: Timestamp) -> anyhow::Result<()> {
    let new = NewTask {
        function_name: name(function),
        data: None,
        start_timestamp: Some(start),
        priority: None,
        tags: Tags::default(),
        options: TaskOptions::default(),
    };
    engine.service.create_task(&Caller::Nobody, new).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(())
}

/// How much later than it was due a run began, in milliseconds.
pub(super) fn lateness(run: &Started) -> f64 {
    let due = Duration::from_millis(u64::try_from(run.due.as_millis()).unwrap_or(0));
    millis(run.at.saturating_sub(due))
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // an index
pub(super) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(at).copied().unwrap_or(f64::NAN)
}
