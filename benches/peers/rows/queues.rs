//! Queued Tasks over the network, compared with the queues that people choose otherwise.

use std::collections::HashMap;

use anyhow::Context as _;

use super::lateness::quantile;
use crate::{
    context::Context,
    figure::Figure,
    queues::{Peer, Queue, SLOTS, free_port},
    row::{Result, Target},
};

/// What is measured of each queue.
#[derive(Default)]
struct Measured {
    created: Vec<f64>,
    complete: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    memory_at_rest: Vec<f64>,
    memory_after: Vec<f64>,
}

/// One of the figures.
type Part = fn(&Measured) -> &Vec<f64>;

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let mut measured: HashMap<Peer, Measured> = HashMap::new();
    for round in 0..context.rounds {
        for peer in Peer::ALL {
            let figures = measured.entry(peer).or_default();
            throughput(context, peer, figures).await?;
            pick_up(context, peer, figures).await?;
            let last = |figures: &[f64]| figures.last().copied().unwrap_or(f64::NAN);
            context.say(&format!(
                "   round {round}, {}: {:.0}/s created, {:.0}/s complete, picked up after {:.2} ms (p99 {:.2})",
                peer.described(),
                last(&figures.created),
                last(&figures.complete),
                last(&figures.p50),
                last(&figures.p99),
            ));
        }
    }
    report(&measured)
}

async fn throughput(context: &Context, peer: Peer, figures: &mut Measured) -> anyhow::Result<()> {
    let queue = Queue::start(context, peer, None).await?;
    // pg-boss takes as long for a tenth.
    let jobs = if peer == Peer::PgBoss { context.count(1000) } else { context.count(10_000) };
    figures.memory_at_rest.push(queue.memory()?);
    let answer = queue.measure("create", jobs).await?;
    figures.memory_after.push(queue.memory()?);
    let figure = |name: &str| answer[name].as_f64().with_context(|| format!("no {name} in {answer}"));
    figures.created.push(figure("created")?);
    figures.complete.push(figure("complete")?);
    Ok(())
}

async fn pick_up(context: &Context, peer: Peer, figures: &mut Measured) -> anyhow::Result<()> {
    let queue = Queue::start(context, peer, Some(free_port()?)).await?;
    let jobs = if peer == Peer::PgBoss { 30 } else { 10 + context.count(300) };
    let answer = queue.measure("rest", jobs).await?;
    let waits = answer["waits"].as_array().with_context(|| format!("no waits in {answer}"))?;
    let mut waits: Vec<f64> = waits.iter().filter_map(serde_json::Value::as_f64).collect();
    figures.p50.push(quantile(&mut waits, 0.5));
    figures.p99.push(quantile(&mut waits, 0.99));
    Ok(())
}

fn report(measured: &HashMap<Peer, Measured>) -> anyhow::Result<Result> {
    let mut result = Result::default();
    let figure =
        |peer: Peer, unit: &str, of: Part| Figure::new(unit, measured.get(&peer).map(of).cloned().unwrap_or_default());
    let mut compare = |what: &str, unit: &str, of: Part, with: &[(Peer, Target)]| {
        for (peer, target) in with {
            let ours = figure(Peer::Tasklane, unit, of);
            result.line(what, ours, Some((peer.described(), figure(*peer, unit, of))), *target);
        }
    };
    compare(
        "queued Tasks over HTTP, created → complete, 64 slots",
        "/s",
        |measured| &measured.complete,
        &[
            (Peer::Restate, Target::RatioAtLeast(2.0)),
            (Peer::GraphileWorker, Target::RatioAtLeast(2.0)),
            (Peer::BullMqSandboxed, Target::RatioAtLeast(1.0)),
            (Peer::BullMq, Target::Shown),
            (Peer::PgBoss, Target::Shown),
        ],
    );
    compare(
        "creation alone, 16 in flight, while they run",
        "/s",
        |measured| &measured.created,
        &[(Peer::GraphileWorker, Target::RatioAtLeast(3.0)), (Peer::Restate, Target::RatioAtLeast(3.0))],
    );
    let best = [Peer::Restate, Peer::GraphileWorker, Peer::BullMq, Peer::PgBoss];
    let median = |peer: Peer, of: Part| figure(peer, "ms", of).median();
    let first =
        |of: Part| best.into_iter().min_by(|a, b| median(*a, of).total_cmp(&median(*b, of))).unwrap_or(Peer::BullMq);
    let p50: Part = |measured| &measured.p50;
    let p99: Part = |measured| &measured.p99;
    compare("pick-up at rest, p50", "ms", p50, &[(first(p50), Target::RatioAtMost(1.0))]);
    compare("pick-up at rest, p99", "ms", p99, &[(first(p99), Target::RatioAtMost(1.0))]);
    compare(
        "memory of the server at rest",
        "MB",
        |measured| &measured.memory_at_rest,
        &[(Peer::Restate, Target::RatioAtMost(0.5))],
    );
    compare(
        "memory of the server after these Tasks",
        "MB",
        |measured| &measured.memory_after,
        &[(Peer::Restate, Target::RatioAtMost(0.5))],
    );
    let groups = Peer::ALL.into_iter().map(|peer| {
        let complete = figure(peer, "/s", |measured| &measured.complete).median();
        (peer.described().to_owned(), vec![("created → complete".to_owned(), complete)])
    });
    result.bars("queues", "Queued Tasks: created → complete a second", "/s", groups.collect());
    result.note(format!(
        "One client in node creates jobs over the network, 16 in flight, and {SLOTS} run at once: the same no-op in node. All keep \
         each acknowledged write on the disk: tasklane and Restate sync their logs, Redis runs with `appendfsync always`, \
         PostgreSQL with its defaults. tasklane and BullMQ's sandboxed processors run each job in a process of its own; the \
         others run it in the worker, or call it over HTTP (Restate). Pick-up is the time from the creation's call to the \
         handler's first line, one job at a time."
    ));
    Ok(result)
}
