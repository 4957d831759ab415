//! Turns by key: how long a key with few Tasks waits beside one with many, with a flow and without.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use hot_paths::engine::{Engine, Kept, function_of, name};
use tasklane::{
    model::{Caller, Flow, FlowPath, Json, NewTask, ObjectId, Tags, TaskOptions},
    ports::{Clock as _, SystemClock},
};

use super::lateness::quantile;
use crate::{
    context::Context,
    figure::Figure,
    row::{Result, Target},
};

/// A run takes 200 ms, so that 160 Tasks a second run.
const SLOTS: u16 = 32;

/// How many creations are in flight.
const CREATIONS: usize = 16;

/// A key with many Tasks, and a new key each second.
const BURST: u64 = 10_000;
const NEWCOMERS: u64 = 60;

/// Keys of unequal load: the first has so many Tasks, the second half of that, the third a third.
const KEYS: u64 = 1000;
const OF_THE_FIRST: u64 = 1000;
/// Keys with at most so many Tasks are the small ones.
const SMALL: u64 = 2;

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let mut figures: HashMap<(&str, bool, u32), Vec<f64>> = HashMap::new();
    // Each of them takes minutes, and their figures differ by factors.
    for round in 0..context.rounds.min(2) {
        for with_flow in [true, false] {
            for (what, waits) in
                [("newcomers", newcomers(context, with_flow).await?), ("small", small_keys(context, with_flow).await?)]
            {
                let mut waits = waits;
                let (p50, p99) = (quantile(&mut waits, 0.5), quantile(&mut waits, 0.99));
                context.say(&format!("   round {round}, flow {with_flow}, {what}: p50 {p50:.0} ms, p99 {p99:.0} ms"));
                figures.entry((what, with_flow, 50)).or_default().push(p50);
                figures.entry((what, with_flow, 99)).or_default().push(p99);
            }
        }
    }
    let mut result = Result::default();
    for (what, described) in [
        ("newcomers", "a new key each second beside one with 10,000 Tasks: its wait"),
        ("small", "1,000 keys of unequal load, those with 1 or 2 Tasks: their wait"),
    ] {
        for quantile in [50, 99] {
            let mut of =
                |with_flow| Figure::new("ms", figures.remove(&(what, with_flow, quantile)).unwrap_or_default());
            let (with, without) = (of(true), of(false));
            result.line(&format!("{described}, p{quantile}"), with, Some(("without a flow", without)), Target::Shown);
        }
    }
    result.note(format!("{SLOTS} slots, and runs of 200 ms: 160 a second. Priorities are equal."));
    Ok(result)
}

/// How long each Task of a new key waited, in milliseconds.
async fn newcomers(context: &Context, with_flow: bool) -> anyhow::Result<Vec<f64>> {
    let folder = context.scratch()?;
    let engine = start(folder.path(), with_flow).await?;
    let (burst, newcomers) = (context.count(BURST), context.count(NEWCOMERS));
    create_all(&engine, (0..burst).map(|_| "burst".to_owned())).await?;
    let mut new = Vec::new();
    for number in 0..newcomers {
        new.push(create(&engine, &format!("newcomer-{number}")).await?);
        SystemClock.sleep(Duration::from_secs(1)).await;
    }
    let waits = waits(&engine, &new, burst + newcomers).await?;
    engine.stop().await;
    Ok(waits)
}

/// How long the Tasks of keys with few of them waited, in milliseconds. All are created in one go, key by key.
async fn small_keys(context: &Context, with_flow: bool) -> anyhow::Result<Vec<f64>> {
    let folder = context.scratch()?;
    let engine = start(folder.path(), with_flow).await?;
    let first = context.count(OF_THE_FIRST);
    let load = (1..=context.count(KEYS)).map(|key| (key, (first / key).max(1)));
    let large = load.clone().filter(|(_, tasks)| *tasks > SMALL);
    let small = load.filter(|(_, tasks)| *tasks <= SMALL);
    let keys = |load: &mut dyn Iterator<Item = (u64, u64)>| {
        load.flat_map(|(key, tasks)| (0..tasks).map(move |_| format!("key-{key}"))).collect::<Vec<_>>()
    };
    let (mut large, mut small) = (large, small);
    let (large, small) = (keys(&mut large), keys(&mut small));
    let all = u64::try_from(large.len() + small.len())?;
    create_all(&engine, large.into_iter()).await?;
    let small = create_all(&engine, small.into_iter()).await?;
    let waits = waits(&engine, &small, all).await?;
    engine.stop().await;
    Ok(waits)
}

async fn start(folder: &std::path::Path, with_flow: bool) -> anyhow::Result<Engine> {
    let engine = Engine::start(Kept::OnDisk, folder, SLOTS).await?;
    let mut function = function_of("slow")?;
    if with_flow {
        let key = FlowPath::parse("data.key").map_err(|error| anyhow::anyhow!("{error}"))?;
        function.options.flow = Some(Some(Flow { key, concurrent: None, rate: None }));
    }
    engine.service.create_function(function).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(engine)
}

async fn create_all(engine: &Engine, keys: impl Iterator<Item = String>) -> anyhow::Result<Vec<ObjectId>> {
    let creations = keys.map(|key| async move { create(engine, &key).await });
    stream::iter(creations).buffered(CREATIONS).try_collect().await
}

async fn create(engine: &Engine, key: &str) -> anyhow::Result<ObjectId> {
    let data = Json::parse(format!("{{\"key\":\"{key}\"}}")).map_err(|error| anyhow::anyhow!("{error}"))?;
    let new = NewTask {
        function_name: name("slow"),
        data: Some(data),
        start_timestamp: None,
        priority: None,
        tags: Tags::default(),
        options: TaskOptions::default(),
    };
    let task = engine.service.create_task(&Caller::Nobody, new).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(task.id)
}

/// How long these Tasks waited, once all `tasks` have started.
async fn waits(engine: &Engine, of: &[ObjectId], tasks: u64) -> anyhow::Result<Vec<f64>> {
    let until = SystemClock.now().saturating_add(Duration::from_secs(600));
    while u64::try_from(engine.lambda.started().len())? < tasks {
        anyhow::ensure!(SystemClock.now() < until, "not every task ran");
        SystemClock.sleep(Duration::from_millis(100)).await;
    }
    let started: HashMap<_, _> = engine.lambda.started().into_iter().map(|run| (run.task, run)).collect();
    of.iter()
        .map(|id| started.get(id).map(super::lateness::lateness).ok_or_else(|| anyhow::anyhow!("{id} did not run")))
        .collect()
}
