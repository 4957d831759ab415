//! An API Function over HTTP, compared with the Serverless Framework's local server.

use std::time::Duration;

use tasklane::load::{Pace, Report, Until};

use crate::{
    context::Context,
    dev::Dev,
    figure::Figure,
    functions::Language,
    http::Call,
    offline::Offline,
    row::{Result, Target},
};

#[derive(Default)]
struct Side {
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let dev = Dev::start(context, &[("hello", Language::Node)], 5).await?;
    let offline = Offline::start(context).await?;
    let ours = Call::get(dev.address, "/tasks/v1/api/hello/");
    let theirs = Call::get(offline.address, "/hello");
    let span = context.span(Duration::from_secs(5));
    let mut result = Result::default();
    let mut bars = (Vec::new(), Vec::new());
    for connections in [1, 16] {
        for call in [&ours, &theirs] {
            sound(&call.load(connections, Pace::Flat, Until::Elapsed(context.span(Duration::from_secs(2)))).await?)?;
        }
        let (mut us, mut them) = (Side::default(), Side::default());
        for round in 0..context.rounds {
            for (call, side) in [(&ours, &mut us), (&theirs, &mut them)] {
                let report = call.load(connections, Pace::Flat, Until::Elapsed(span)).await?;
                sound(&report)?;
                side.add(&report);
            }
            context.say(&format!(
                "   {connections} connections, round {round}: {:.0}/s p50 {:.2} p99 {:.2} ms | {:.0}/s p50 {:.2} p99 {:.2} ms",
                last(&us.rate), last(&us.p50), last(&us.p99), last(&them.rate), last(&them.p50), last(&them.p99),
            ));
        }
        let at_16 = connections == 16;
        let name = if at_16 { "16 connections" } else { "1 connection" };
        bars.0.push((name.to_owned(), pair(&us.rate, &them.rate)));
        bars.1.push((name.to_owned(), pair(&us.p99, &them.p99)));
        let target = |wanted| if at_16 { wanted } else { Target::Shown };
        let mut line = |what: &str, unit: &str, ours: Vec<f64>, theirs: Vec<f64>, target| {
            let against = Some(("serverless-offline", Figure::new(unit, theirs)));
            result.line(&format!("API Function, node, {name}: {what}"), Figure::new(unit, ours), against, target);
        };
        line("requests", "/s", us.rate, them.rate, target(Target::RatioAtLeast(3.0)));
        let p50 = if at_16 { Target::Shown } else { Target::RatioAtMost(1.0) };
        line("p50", "ms", us.p50, them.p50, p50);
        line("p99", "ms", us.p99, them.p99, target(Target::RatioAtMost(1.0 / 3.0)));
    }
    result.bars("api-rate", "API Function, node hello: requests per second", "/s", bars.0);
    result.bars("api-p99", "API Function, node hello: 99th percentile", "ms", bars.1);
    result.note(
        "Both serve the same handler, with the same requests from the same program. tasklane also writes an API \
         Request record for each call, and Lambda's log lines.",
    );
    Ok(result)
}

impl Side {
    fn add(&mut self, report: &Report) {
        self.rate.push(report.rate());
        self.p50.push(millis(report.quantile(0.5)));
        self.p99.push(millis(report.quantile(0.99)));
    }
}

fn pair(ours: &[f64], theirs: &[f64]) -> Vec<(String, f64)> {
    let median = |values: &[f64]| Figure::new("", values.to_vec()).median();
    vec![("tasklane".to_owned(), median(ours)), ("serverless-offline".to_owned(), median(theirs))]
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}

/// In milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Refuses figures of calls that failed, because they mean nothing.
pub fn sound(report: &Report) -> anyhow::Result<()> {
    anyhow::ensure!(report.failed() == 0, "calls failed: {:?}", report.failures());
    anyhow::ensure!(report.succeeded() > 0, "no call was answered");
    Ok(())
}
