//! `tasklane bench`: measures how fast a service is.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tasklane_client::{Client, ClientError, NewTaskBody};
use tasklane_load::{Caller, Live, Pace, Report, Until, drive};
use tasklane_model::{FunctionName, Json};

use super::{Outcome, Verdict, functions, input::JsonSource, output, session::Session};

/// Make many calls of a Function and measure how long they take.
///
/// Each connection makes one call after the other. The figures and a histogram go to stdout. Failed calls are counted
/// separately, by error. On AWS, every call is charged as usual.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Kinds: `direct` executes the Function and waits for its result; `task` creates a Task and waits until it is
queued, not until it has run; `api` calls the Function over HTTP with GET.

Exit codes: 0 every call succeeded; 1 some failed; 2 nothing could be measured.

Examples:
  tasklane bench hello-js
  tasklane bench hello-js --kind api --path /hello --connections 16 --duration 30
  tasklane bench --url https://abc.execute-api.eu-west-1.amazonaws.com --function hello-js --kind task --requests 1000")]
pub(super) struct Args {
    /// The Function to call
    #[arg(value_name = "FUNCTION", value_parser = functions::name, required_unless_present = "function_flag")]
    function: Option<FunctionName>,

    /// The same as FUNCTION
    #[arg(long = "function", value_name = "NAME", value_parser = functions::name, conflicts_with = "function")]
    function_flag: Option<FunctionName>,

    /// What each call does
    #[arg(long, value_enum, default_value = "direct")]
    kind: Kind,

    /// How many connections to use
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,

    /// How long to make calls, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    duration: u32,

    /// Stop after N calls instead of after --duration
    #[arg(long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,

    /// Limit to N calls per second in total [default: unlimited]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Input for the Function, as event.data: JSON, @FILE, or - for stdin; not for --kind api
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    data: Option<JsonSource>,

    /// The path after the Function's name in the URL; only for --kind api
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    path: String,
}

/// What each call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Execute the Function directly
    Direct,
    /// Create a Task
    Task,
    /// Call the Function over HTTP
    Api,
}

pub(super) async fn run(session: Session, args: Args) -> Outcome {
    if args.kind == Kind::Api && args.data.is_some() {
        bail!("--data is not for --kind api, which calls with GET");
    }
    let Some(function) = args.function.or(args.function_flag) else { bail!("name the Function to call") };
    let data = args.data.map(|source| source.read()).transpose()?;
    let call = Call { client: session.client.clone(), kind: args.kind, function, data, path: args.path };
    // If every call would fail, it is better to say so once.
    call.make().await?;
    let until = match args.requests {
        Some(calls) => Until::Calls(calls),
        None => Until::Elapsed(Duration::from_secs(u64::from(args.duration))),
    };
    let pace = args.rate.map_or(Pace::Flat, |rate| Pace::PerSecond(f64::from(rate)));
    let live = Arc::new(Live::default());
    let progress = Progress::start(&live, until);
    let report = drive(vec![call; usize::from(args.connections)], pace, until, &live).await;
    drop(progress);
    if session.json {
        session.show_json(&as_json(&report))?;
    } else {
        output::data(&for_people(&report))?;
    }
    Ok(if report.failed() == 0 { Verdict::Yes } else { Verdict::No })
}

#[derive(Clone)]
struct Call {
    client: Client,
    kind: Kind,
    function: FunctionName,
    data: Option<Json>,
    path: String,
}

impl Call {
    async fn make(&self) -> Result<(), ClientError> {
        match self.kind {
            Kind::Direct => self.client.execute(&self.function, self.data.as_ref(), None).await.map(|_| ()),
            Kind::Api => self.client.call_api_function(&self.function, &self.path).await.map(|_| ()),
            Kind::Task => {
                let body = NewTaskBody { data: self.data.clone(), ..NewTaskBody::of(self.function.clone()) };
                self.client.create_task(&body).await.map(|_| ())
            }
        }
    }
}

impl Caller for Call {
    async fn call(&mut self) -> Result<(), String> {
        self.make().await.map_err(|error| match &error {
            // Messages contain ids and times; status and name are the same for all errors of a kind.
            ClientError::Service(service) => format!("{} {}", service.status, service.name),
            other => other.to_string(),
        })
    }
}

/// A progress bar on stderr; nothing if stderr is not a terminal.
struct Progress {
    bar: ProgressBar,
    watch: tokio::task::JoinHandle<()>,
}

impl Progress {
    fn start(live: &Arc<Live>, until: Until) -> Self {
        let (length, template) = match until {
            Until::Calls(calls) => (calls, "{bar:30} {pos}/{len} calls {msg}"),
            Until::Elapsed(time) => (time.as_secs(), "{bar:30} {pos}/{len} s {msg}"),
        };
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let (shown, live) = (bar.clone(), live.clone());
        let watch = tokio::spawn(async move {
            let began = tokio::time::Instant::now();
            let mut before = 0;
            loop {
                tokio::time::sleep(Duration::from_millis(250)).await;
                let (succeeded, failed) = (live.succeeded.load(Ordering::Relaxed), live.failed.load(Ordering::Relaxed));
                shown.set_position(match until {
                    Until::Calls(_) => succeeded + failed,
                    Until::Elapsed(time) => began.elapsed().min(time).as_secs(),
                });
                shown.set_message(format!("{}/s, {failed} failed", (succeeded - before) * 4));
                before = succeeded;
            }
        });
        Self { bar, watch }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.watch.abort();
        self.bar.finish_and_clear();
    }
}

const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

fn for_people(report: &Report) -> String {
    let mut lines = vec![format!(
        "{} calls in {:.1} s: {:.1}/s, {} failed",
        report.succeeded() + report.failed(),
        report.took().as_secs_f64(),
        report.rate(),
        report.failed()
    )];
    for (why, count) in report.failures() {
        lines.push(format!("  {count} × {why}"));
    }
    if report.succeeded() == 0 {
        return lines.join("\n");
    }
    let quantile = |(name, share): &(&str, f64)| format!("{name} {}", millis(report.quantile(*share)));
    lines.push(format!(
        "mean {}  {} (ms)",
        millis(report.mean()),
        QUANTILES.iter().map(quantile).collect::<Vec<_>>().join("  ")
    ));
    let steps = report.steps(STEP);
    let most = steps.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    lines.push(String::new());
    for (upto, count) in steps {
        let wide = usize::try_from((count * WIDTH).div_ceil(most)).unwrap_or(0);
        lines.push(format!("≤ {:>9} ms  {count:>8}  {}", millis(upto), "█".repeat(wide)).trim_end().to_owned());
    }
    lines.join("\n")
}

/// Each step of the histogram ends at this multiple of the one before.
const STEP: f64 = 1.5;
/// The width of the longest bar, in characters.
const WIDTH: u64 = 40;

fn as_json(report: &Report) -> Value {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let quantiles: serde_json::Map<_, _> =
        QUANTILES.iter().map(|(name, share)| ((*name).to_owned(), json!(ms(report.quantile(*share))))).collect();
    let steps: Vec<_> =
        report.steps(STEP).iter().map(|(upto, count)| json!({ "upToMs": ms(*upto), "calls": count })).collect();
    json!({
        "calls": report.succeeded() + report.failed(),
        "failed": report.failed(),
        "failures": report.failures(),
        "seconds": report.took().as_secs_f64(),
        "perSecond": report.rate(),
        "meanMs": ms(report.mean()),
        "quantilesMs": quantiles,
        "histogram": steps,
    })
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("must begin with a slash".to_owned()) }
}
