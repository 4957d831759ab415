//! Queued Tasks from their creation to their end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use hot_paths::engine::{Engine, Kept, Writes, name};
use tasklane::model::{Caller, NewTask, Tags, TaskOptions};

use crate::{
    context::Context,
    figure::Figure,
    row::{Result, Target},
};

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let mut result = Result::default();
    for slots in [4_usize, 64] {
        let tasks = usize::try_from(context.count(2000))?.max(slots * 4);
        let (mut ours, mut limits) = (Vec::new(), Vec::new());
        for round in 0..context.rounds {
            ours.push(queued(context, slots, tasks).await?);
            limits.push(written(context, slots, tasks).await?);
            context.say(&format!("   {slots} slots, round {round}: {:.0}/s | {:.0}/s", ours[round], limits[round]));
        }
        let what = format!("queued Tasks, created → complete, {slots} slots");
        let limit = "the store's three writes alone";
        let against = Some((limit, Figure::new("/s", limits)));
        result.line(&what, Figure::new("/s", ours), against, Target::RatioAtLeast(0.7));
    }
    result.note(
        "The engine runs with a Lambda that answers immediately, which shows the engine's own cost. The limit makes \
         the same three durable writes for each Task, with the same concurrency, and nothing else.",
    );
    Ok(result)
}

/// Tasks per second through the whole engine. As many callers create them as there are slots.
async fn queued(context: &Context, slots: usize, tasks: usize) -> anyhow::Result<f64> {
    let folder = context.scratch()?;
    let engine = Engine::start(Kept::OnDisk, folder.path(), u16::try_from(slots)?).await?;
    let began = Instant::now();
    let service = engine.service.clone();
    let creations = (0..tasks).map(move |_| {
        let service = service.clone();
        // A separate tokio task for each caller, as for requests.
        tokio::spawn(async move {
            let new = NewTask {
                function_name: name("hello"),
                data: None,
                start_timestamp: None,
                priority: None,
                tags: Tags::default(),
                options: TaskOptions::default(),
            };
            service.create_task(&Caller::Nobody, new).await
        })
    });
    let mut creations = stream::iter(creations).buffer_unordered(slots);
    while let Some(created) = creations.next().await {
        created?.map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    while engine.lambda.started().len() < tasks {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Once the engine has stopped, every run that was started is recorded.
    let lambda = engine.lambda.clone();
    engine.stop().await;
    let took = began.elapsed().as_secs_f64();
    anyhow::ensure!(lambda.started().len() == tasks, "a task ran twice");
    Ok(per_second(tasks, took))
}

/// Tasks per second if only their three writes are made, one after another for each Task.
async fn written(context: &Context, at_once: usize, tasks: usize) -> anyhow::Result<f64> {
    let folder = context.scratch()?;
    let writes = Arc::new(Writes::open(&folder.path().join("database.sqlite")).await?);
    let began = Instant::now();
    let mut lives = stream::iter((0..tasks).map(|_| {
        let writes = writes.clone();
        tokio::spawn(async move { writes.queued().await })
    }))
    .buffer_unordered(at_once);
    while let Some(life) = lives.next().await {
        life??;
    }
    Ok(per_second(tasks, began.elapsed().as_secs_f64()))
}

#[allow(clippy::cast_precision_loss)] // a figure for people, which need not be exact
fn per_second(tasks: usize, seconds: f64) -> f64 {
    tasks as f64 / seconds
}
