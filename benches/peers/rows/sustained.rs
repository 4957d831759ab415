//! Many minutes of load on many Functions: does it stay as fast and as small as at the start?

use std::{
    fs,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use tasklane::load::{Caller, Live, Pace, Report, Until, drive};

use super::api::{millis, sound};
use crate::{
    context::Context,
    dev::Dev,
    figure::Figure,
    functions::Language,
    http::{Call, Connection},
    row::{Plot, PlotKind, Result, Target},
};

const FUNCTIONS: usize = 100;
const CONNECTIONS: usize = 16;
/// The share of the peak rate that is requested.
const SHARE: f64 = 0.7;

pub async fn take(context: &Context) -> anyhow::Result<Result> {
    let names: Vec<_> = (0..FUNCTIONS).map(|n| format!("sustained-{n}")).collect();
    let functions: Vec<_> = names.iter().map(|name| (name.as_str(), Language::Node)).collect();
    // One process of each Function may stay.
    let dev = Dev::start(context, &functions, 100).await?;
    let paths: Vec<_> = names.iter().map(|name| format!("/tasks/v1/api/{name}/")).collect();
    let load = async |pace, until| {
        let callers = (0..CONNECTIONS).map(|n| Round::new(&dev, &paths, n * 7)).collect();
        drive(callers, pace, until, &std::sync::Arc::new(Live::default())).await
    };
    // Calls every Function once, and then as fast as possible.
    sound(&load(Pace::Flat, Until::Calls(400)).await)?;
    let peak = load(Pace::Flat, Until::Elapsed(context.span(Duration::from_secs(15)))).await;
    sound(&peak)?;
    let rate = peak.rate() * SHARE;
    context.say(&format!("   peak {:.0}/s, so {rate:.0}/s for {} minutes", peak.rate(), context.minutes));
    let window = Duration::from_secs(if context.quick { 5 } else { 30 });
    let windows = usize::try_from(context.minutes * 60 / window.as_secs().max(1))?.max(2);
    let before = Size::of(&dev)?;
    let (mut p99, mut p50, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    let began = Instant::now();
    for _ in 0..windows {
        let report: Report = load(Pace::PerSecond(rate), Until::Elapsed(window)).await;
        sound(&report)?;
        p99.push(millis(report.quantile(0.99)));
        p50.push(millis(report.quantile(0.5)));
        memory.push(Size::of(&dev)?.megabytes);
        context.say(&format!(
            "   {:.0} s: p50 {:.2} p99 {:.2} ms, {:.0} MB",
            began.elapsed().as_secs_f64(),
            p50[p50.len() - 1],
            p99[p99.len() - 1],
            memory[memory.len() - 1]
        ));
    }
    let after = Size::of(&dev)?;
    let minute = usize::try_from(60 / window.as_secs().max(1))?.clamp(1, windows / 2);
    let part = |values: &[f64]| Figure::new("ms", vec![Figure::new("", values.to_vec()).median()]);
    let mut result = Result::default();
    let what = format!(
        "{FUNCTIONS} Functions at 70 % of the peak ({rate:.0}/s), {} minutes: p99 of the last minute",
        context.minutes
    );
    let first = Some(("the first minute", part(&p99[..minute])));
    result.line(&what, part(&p99[windows - minute..]), first, Target::RatioAtMost(1.2));
    let mut sizes = |what: &str, unit: &str, after: f64, before: f64| {
        let what = format!("the same: {what} at the end");
        result.line(
            &what,
            Figure::count(unit, after),
            Some(("at its start", Figure::count(unit, before))),
            Target::RatioAtMost(1.1),
        );
    };
    sizes("memory of the server", "MB", after.megabytes, before.megabytes);
    sizes("open descriptors", "", after.descriptors, before.descriptors);
    sizes("processes", "", after.processes, before.processes);
    result.note(format!(
        "{CONNECTIONS} connections call {FUNCTIONS} Functions in turn, at a fixed rate; a call is timed from when it was due. \
         It takes {} minutes unless `--minutes` is given.",
        context.minutes
    ));
    let seconds = |at: usize| format!("{}", (at as u64 + 1) * window.as_secs());
    let points =
        |values: &[f64]| values.iter().enumerate().map(|(at, value)| (seconds(at), *value)).collect::<Vec<_>>();
    result.plots.push(Plot {
        name: "sustained".to_owned(),
        title: "Sustained load: time of a call by second".to_owned(),
        unit: "ms".to_owned(),
        kind: PlotKind::Lines,
        groups: vec![("p50".to_owned(), points(&p50)), ("p99".to_owned(), points(&p99))],
    });
    Ok(result)
}

/// Calls one path after another.
struct Round {
    connection: Connection,
    paths: Vec<String>,
    next: usize,
}

impl Round {
    fn new(dev: &Dev, paths: &[String], first: usize) -> Self {
        let call = Call { address: dev.address, method: Method::GET, path: String::new(), body: Bytes::new() };
        Self { connection: Connection { call, sender: None }, paths: paths.to_vec(), next: first }
    }
}

impl Caller for Round {
    async fn call(&mut self) -> std::result::Result<(), String> {
        self.connection.call.path.clone_from(&self.paths[self.next % self.paths.len()]);
        self.next += 1;
        self.connection.call().await
    }
}

/// The resources that the server uses.
struct Size {
    megabytes: f64,
    descriptors: f64,
    processes: f64,
}

impl Size {
    #[allow(clippy::cast_precision_loss)] // counts
    fn of(dev: &Dev) -> anyhow::Result<Self> {
        let proc = format!("/proc/{}", dev.id());
        let statm = fs::read_to_string(format!("{proc}/statm"))?;
        let pages: f64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(f64::NAN);
        let descriptors = fs::read_dir(format!("{proc}/fd"))?.count() as f64;
        let mut processes = 0.0;
        for thread in fs::read_dir(format!("{proc}/task"))? {
            let children = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            processes += children.split_whitespace().count() as f64;
        }
        Ok(Self { megabytes: pages * 4096.0 / 1e6, descriptors, processes })
    }
}
