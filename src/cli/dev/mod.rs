//! `tasklane dev`: the whole service on this machine.

mod administrator;
mod console;
mod paths;
mod ready;
mod runs;
mod shown;
mod sync;
mod warnings;
mod watch;

use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tasklane_auth::oidc::Issuer;
use tasklane_http::{CorsOrigins, HttpConfig, OnAnswer};
use tasklane_lambda_local::{Inspection, JailMode};
use tasklane_local::{
    history::RunLog,
    machine::{Machine, MachineConfig},
    server::Server,
};
use tasklane_model::{ConcurrencyLimit, FunctionName};
use tasklane_service::Settings;
use tasklane_task_config::TaskConfig;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    shown::{live_log, show_call, show_events, show_ready},
    sync::{Here, Refused, Syncing},
    watch::Watch,
};
use super::{
    Outcome, Verdict, browser,
    callers::CallerArgs,
    env_file::EnvFile,
    input::address,
    output,
    signals::Signals,
    stand_ins::{ImageFiles, StandIns, Stands},
};

/// The port on which Chrome and editors expect the debugger of Node.js.
const INSPECTOR: u16 = 9229;

/// Serve the whole service on this machine.
///
/// Syncs every task-config.json under the paths, and again whenever a file there changes. All data is kept in the data
/// folder, with an administrator's credentials in its file `credentials`, which the other commands find on their own.
/// Ctrl-C stops the service once running Tasks have ended.
///
/// Prints the URL on stdout as soon as the service answers, and `ready: …` on stderr once every Function is synced; with
/// `--json`, both as JSON on stdout.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Serve the examples on any free port:
    tasklane dev examples --port 0
  With variables for the $NAME values of their configurations:
    tasklane dev examples --env-file .env")]
pub struct Args {
    /// Folders to search for task-config.json files, or such files [default: the working directory, unless it is your home
    /// folder]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Also take code from outside the paths, if the "path" in a task-config.json leads there
    #[arg(long)]
    pub allow_outside: bool,

    /// Reset every property that a file does not name to its default, instead of keeping what the Function has
    #[arg(long)]
    pub exact: bool,

    /// Delete Functions that were synced from these paths and are no longer described there
    #[arg(long)]
    pub prune: bool,

    #[command(flatten)]
    pub env_file: EnvFile,

    #[command(flatten)]
    pub stand_ins: StandIns,

    /// Where to listen: an address such as 127.0.0.1:4000, or localhost:4000, or a port; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4000", value_parser = address)]
    pub listen: SocketAddr,

    /// The port to listen on, on this machine only
    #[arg(long, short, value_name = "PORT", conflicts_with = "listen")]
    pub port: Option<u16>,

    /// Open the page of the API in a browser
    #[arg(long)]
    pub open: bool,

    /// Do not open the console, the pages about this service on the next port
    #[arg(long)]
    pub no_console: bool,

    /// Show only what Functions print, failures and problems: no calls, and no START, END and REPORT lines
    #[arg(long, short)]
    pub quiet: bool,

    /// The folder that holds all data
    #[arg(long, value_name = "DIR", default_value = ".tasklane")]
    pub data_dir: PathBuf,

    /// Refuse Functions whose runtime is not exactly this machine's version of node or python
    #[arg(long)]
    pub strict_runtimes: bool,

    /// Let a debugger attach to this Function on a port of this machine [default port: 9229]. Its runs follow one another, and
    /// each may take 5 minutes. For Node.js; may be repeated, with other ports; port 0 is any free one, which Node.js prints
    #[arg(long, value_name = "NAME[=PORT]", value_parser = inspected)]
    pub inspect: Vec<(FunctionName, u16)>,

    /// Whether each Function runs in a bubblewrap jail: auto, on or off. With auto, Functions run without a jail if
    /// none can be made here, and a warning says so
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = jail_mode())]
    pub jail: JailMode,

    /// Also post every event to this URL, such as task_failed
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,

    /// How many queued Tasks may run at once
    #[arg(long, value_name = "N", default_value = "5", value_parser = concurrency)]
    pub concurrency: ConcurrencyLimit,

    /// How many direct executions may run at once, in addition to the queued Tasks [default: as many as
    /// `--concurrency`]
    #[arg(long, value_name = "N", value_parser = concurrency)]
    pub direct_concurrency: Option<ConcurrencyLimit>,

    /// How many of the last versions of a Function can be rolled back to, with the current one: 1-100
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub runnable_versions: u16,

    /// Delete finished Tasks and API Requests after this many days; 0 keeps them forever
    #[arg(long, value_name = "DAYS", default_value = "30")]
    pub retention_days: u16,

    /// The prefix of a Function's name in AWS_LAMBDA_FUNCTION_NAME
    #[arg(long, value_name = "PREFIX", default_value = "tasklane", value_parser = prefix)]
    pub prefix: String,

    /// For tests: serve /tasklane/v1/test, where callers who may change Functions set the service's clock forward and let
    /// runs fail
    #[arg(long)]
    pub test_clock: bool,

    /// For programs: print a line of JSON on stdout once the service answers, and one once every Function is synced
    #[arg(long)]
    pub json: bool,

    /// For programs: also stop when stdin ends, so that the service ends with the program that started it
    #[arg(long)]
    pub until_eof: bool,

    /// How callers are identified, and the address that they use
    #[command(flatten)]
    pub callers: CallerArgs,
}

pub(super) async fn run(args: Args) -> Outcome {
    // Before anything can run, so that an early signal is not lost.
    let mut signals = Signals::listen()?;
    if args.until_eof {
        signals.end_with_stdin();
    }
    let runs = RunLog::default();
    warnings::show(runs.clone());
    let paths = paths::checked(&args)?;
    let listen = args.port.map_or(args.listen, |port| SocketAddr::new(args.listen.ip(), port));
    let mut config = args.callers.http_config(listen.ip(), CorsOrigins::Localhost);
    if !args.quiet {
        config.on_answer = Some(OnAnswer(show_call));
    }
    let starting = async {
        let stands = args.stand_ins.source()?;
        let images = Arc::clone(&stands.images);
        let machine = Machine::start(machine_config(&args, stands, listen, runs)?).await?;
        let server = Server::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let credentials = args.data_dir.join("credentials");
        administrator::ensure(&credentials, &server.url(), &machine).await?;
        anyhow::Ok((machine, server, credentials, images))
    };
    let (machine, server, credentials, images) = tokio::select! {
        started = starting => started?,
        () = signals.next() => {
            output::note("stopped before the service was up");
            return Ok(Verdict::Yes);
        }
    };
    if let Some(why) = machine.unjailed() {
        output::note(&format!("Functions run without a jail, with your user's permissions ({why})"));
        output::note("sync and create only Functions whose code you would run yourself");
    }
    let shown = show_events(&machine);
    if let Some(issuer) = machine.issuer.clone() {
        try_issuer(issuer);
    }
    let url = server.url();
    let host = config.public_url.as_ref().map_or_else(|| url.clone(), ToString::to_string);
    let serving = Serving::start(server, &machine, config);
    output::note(&format!("an administrator's credentials are in {}", credentials.display()));
    if args.json {
        output::json(&ready::listening(&url, &credentials))?;
    } else {
        output::data(&url)?;
    }
    if args.test_clock {
        output::note("callers who may change Functions can set the clock of this service: it is for tests only");
    }
    if args.open {
        browser::open(&format!("{url}/docs"));
    }
    // After the URL, which is what scripts wait for.
    let console = if args.no_console { None } else { console::open(&url, next_port(&url), &credentials).await };
    let (stop_syncing, syncing) = sync(&args, paths, &machine, images, url, host);

    signals.next().await;
    output::note("stopping: waiting for running Tasks; press Ctrl-C again to stop now");
    stop_syncing.cancel();
    let stopping = async {
        let _ = syncing.await;
        if let Some(console) = console {
            console.close().await;
        }
        serving.stop(&machine).await
    };
    tokio::select! {
        stopped = stopping => stopped?,
        () = signals.next() => anyhow::bail!("stopped while Tasks were still running"),
    }
    shown.abort();
    Ok(Verdict::Yes)
}

/// Syncs the paths until the token is canceled. Functions reach the service at `host`.
fn sync(
    args: &Args,
    paths: Vec<PathBuf>,
    machine: &Machine,
    images: Arc<ImageFiles>,
    url: String,
    host: String,
) -> (CancellationToken, JoinHandle<()>) {
    let options = sync::Options {
        paths,
        allow_outside: args.allow_outside,
        exact: args.exact,
        prune: args.prune,
        env_file: args.env_file.clone(),
        memory: args.data_dir.join("synced.json"),
        host,
    };
    let stop = CancellationToken::new();
    let (paths, data_dir) = (options.paths.clone(), args.data_dir.clone());
    let here = Here { images, support: Arc::new(machine.support()) };
    let syncing = Syncing::new(machine.service.clone(), options, here, stop.clone());
    let json = args.json;
    let inspected: Vec<_> = args.inspect.iter().map(|(name, _)| name.clone()).collect();
    let working = tokio::spawn(async move {
        let watch = tokio::task::spawn_blocking(move || Watch::start(&paths, &data_dir)).await;
        if let Ok(watch) = watch {
            let ready = |functions: &[TaskConfig], refused: &[Refused]| {
                show_ready(functions, &url);
                for name in inspected.iter().filter(|name| functions.iter().all(|function| function.name != **name)) {
                    output::note(&format!(
                        "warning: --inspect {name}: no Function with this name was synced from here"
                    ));
                }
                // If nobody reads stdout any more, nobody waits for it either.
                let _ = json.then(|| output::json(&ready::ready(functions, refused)));
            };
            syncing.run(watch, ready).await;
        }
    });
    (stop, working)
}

fn machine_config(args: &Args, stands: Stands, listen: SocketAddr, runs: RunLog) -> anyhow::Result<MachineConfig> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let Stands { layers, images, secrets } = stands;
    Ok(MachineConfig {
        inspected: inspections(&args.inspect)?,
        layers,
        images,
        secrets,
        data_dir: args.data_dir.clone(),
        prefix: args.prefix.clone(),
        task_concurrency: args.concurrency.get(),
        direct_concurrency: args.direct_concurrency.unwrap_or(args.concurrency).get(),
        api_concurrency: Settings::default().api_concurrency,
        runnable_versions: args.runnable_versions,
        retention: (args.retention_days > 0).then(|| DAY * u32::from(args.retention_days)),
        strict_runtimes: args.strict_runtimes,
        jail: jail_for(listen, args.jail)?,
        webhook: args.webhook.clone(),
        live_log: Some(live_log(args.quiet)),
        oidc: args.callers.oidc()?,
        runs,
        test_clock: args.test_clock,
    })
}

/// The running HTTP server.
struct Serving {
    server: JoinHandle<io::Result<()>>,
    in_flight: TaskTracker,
    stop: CancellationToken,
}

impl Serving {
    fn start(server: Server, machine: &Machine, config: HttpConfig) -> Self {
        let (stop, in_flight) = (CancellationToken::new(), TaskTracker::new());
        let router =
            tasklane_http::router(machine.service.clone(), machine.authenticator.clone(), config, in_flight.clone());
        Self { server: tokio::spawn(server.serve(router, stop.clone())), in_flight, stop }
    }

    /// Accepts no more requests, and waits for those in progress.
    async fn stop(self, machine: &Machine) -> anyhow::Result<()> {
        machine.end_streams();
        self.stop.cancel();
        let served = self.server.await;
        self.in_flight.close();
        self.in_flight.wait().await;
        machine.drain().await;
        served.context("the HTTP server failed")?.context("the HTTP server failed")
    }
}

/// Fetches the issuer's keys before the first token arrives, so that a mistake in its URL is noticed at once.
fn try_issuer(issuer: Arc<Issuer>) {
    tokio::spawn(async move {
        if let Err(error) = issuer.fetch().await {
            output::note(&format!("cannot accept tokens of the OIDC issuer yet: {error}"));
        }
    });
}

/// The Functions under a debugger.
fn inspections(asked: &[(FunctionName, u16)]) -> anyhow::Result<BTreeMap<FunctionName, Inspection>> {
    let mut ports = BTreeMap::new();
    for (name, port) in asked.iter().filter(|(_, port)| *port > 0) {
        if let Some(other) = ports.insert(port, name) {
            anyhow::bail!(
                "--inspect {other} and --inspect {name} have the same port: give one of them another, such as {name}=9230"
            );
        }
    }
    Ok(asked.iter().map(|(name, port)| (name.clone(), Inspection { port: *port, waits: false })).collect())
}

/// A caller from another machine may be a stranger, and without a jail a Function has the permissions of the server's
/// user.
fn jail_for(listen: SocketAddr, asked: JailMode) -> anyhow::Result<JailMode> {
    match asked {
        _ if listen.ip().is_loopback() => Ok(asked),
        JailMode::Auto | JailMode::On => Ok(JailMode::On),
        JailMode::Off => anyhow::bail!(
            "without a jail the service listens on this machine only: remove `--jail off`, or listen on a loopback address \
             instead of {listen}"
        ),
    }
}

/// Reads a jail mode; completions and `--help` list all.
fn jail_mode() -> impl TypedValueParser<Value = JailMode> {
    PossibleValuesParser::new(["auto", "on", "off"]).try_map(|text| text.parse::<JailMode>())
}

/// The port after the service's. A service on any free port has a console on any free one, too.
fn next_port(url: &str) -> u16 {
    let port = url.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    port.and_then(|port| port.checked_add(1)).unwrap_or(0)
}

/// A Function's name, with the port of its debugger.
fn inspected(text: &str) -> Result<(FunctionName, u16), String> {
    let (name, port) = match text.split_once('=') {
        None => (text, INSPECTOR),
        Some((name, port)) => (name, port.parse().map_err(|_| "the port must be a number from 0 to 65535".to_owned())?),
    };
    Ok((FunctionName::parse(name).map_err(|error| error.to_string())?, port))
}

/// A prefix is the beginning of the names of tables and Lambda functions.
fn prefix(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 32 of the characters A-Z a-z 0-9 _ -".to_owned())
    }
}

fn concurrency(text: &str) -> Result<ConcurrencyLimit, String> {
    let number = text.parse().map_err(|_| "must be a whole number".to_owned())?;
    ConcurrencyLimit::new(number).map_err(|e| e.to_string())
}
