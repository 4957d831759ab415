//! `tasklane dev`: the whole service on this machine.

mod administrator;
mod sync;
mod warnings;
mod watch;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use tasklane_auth::oidc::Issuer;
use tasklane_http::{CorsOrigins, HttpConfig};
use tasklane_lambda_local::{JailMode, LoggedLine};
use tasklane_local::{
    machine::{Machine, MachineConfig},
    server::Server,
};
use tasklane_model::ConcurrencyLimit;
use tasklane_ports::TaskFailedContent;
use tasklane_service::Settings;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::broadcast::error::RecvError,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{sync::Synced, watch::Watch};
use super::{Outcome, Verdict, callers::CallerArgs, output};

/// Serve the whole service on this machine.
///
/// Syncs every task-config.json under the paths, and again whenever a file there changes. All data is kept in the data
/// folder, with an administrator's credentials in its file `credentials`, which the other commands find on their own.
/// Ctrl-C stops the service once running Tasks have ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  Serve the examples on any free port:
    tasklane dev examples --listen 127.0.0.1:0")]
pub struct Args {
    /// Folders to search for task-config.json files, or such files
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Also take code from outside the paths, if the "path" in a task-config.json leads there
    #[arg(long)]
    pub allow_outside: bool,

    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4000")]
    pub listen: SocketAddr,

    /// The folder that holds all data
    #[arg(long, value_name = "DIR", default_value = ".tasklane")]
    pub data_dir: PathBuf,

    /// Refuse Functions whose runtime is not exactly this machine's version of node or python
    #[arg(long)]
    pub strict_runtimes: bool,

    /// Whether each Function runs in a bubblewrap jail: auto, on or off. With auto, Functions run without a jail if
    /// none can be made here, and a warning says so
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub jail: JailMode,

    /// Also post every task_failed event to this URL
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,

    /// How many queued Tasks may run at once
    #[arg(long, value_name = "N", default_value = "5", value_parser = concurrency)]
    pub concurrency: ConcurrencyLimit,

    /// How many direct executions may run at once, in addition to the queued Tasks [default: as many as
    /// `--concurrency`]
    #[arg(long, value_name = "N", value_parser = concurrency)]
    pub direct_concurrency: Option<ConcurrencyLimit>,

    /// Delete finished Tasks and API Requests after this many days; 0 keeps them forever
    #[arg(long, value_name = "DAYS", default_value = "30")]
    pub retention_days: u16,

    /// The prefix of a Function's name in AWS_LAMBDA_FUNCTION_NAME
    #[arg(long, value_name = "PREFIX", default_value = "tasklane")]
    pub prefix: String,

    /// How callers are identified, and the address that they use
    #[command(flatten)]
    pub callers: CallerArgs,
}

pub(super) async fn run(args: Args) -> Outcome {
    // Before anything can run, so that an early signal is not lost.
    let mut signals = Signals::listen()?;
    warnings::show();
    let config = args.callers.http_config(args.listen.ip(), CorsOrigins::Localhost);
    let machine = Machine::start(machine_config(&args)?).await?;
    if let Some(why) = machine.unjailed() {
        output::note(&format!("Functions run without a jail, with your user's permissions ({why})"));
        output::note("sync and create only Functions whose code you would run yourself");
    }
    let shown = show_events(&machine);
    if let Some(issuer) = machine.issuer.clone() {
        try_issuer(issuer);
    }
    let server = Server::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let url = server.url();
    let credentials = args.data_dir.join("credentials");
    administrator::ensure(&credentials, &url, &machine).await?;

    // Before the URL is printed: a program that waits for it finds the Functions there.
    let mut watch = Watch::start(&args.paths, &args.data_dir);
    let mut synced = Synced::new(args.allow_outside);
    synced.sync(&machine.service, &args.paths).await;

    let serving = Serving::start(server, &machine, config);
    output::note(&format!("an administrator's credentials are in {}", credentials.display()));
    output::data(&url)?;

    loop {
        tokio::select! {
            () = watch.changed() => synced.sync(&machine.service, &args.paths).await,
            () = signals.next() => break,
        }
    }
    output::note("stopping: waiting for running Tasks; press Ctrl-C again to stop now");
    tokio::select! {
        stopped = serving.stop(&machine) => stopped?,
        () = signals.next() => anyhow::bail!("stopped while Tasks were still running"),
    }
    shown.abort();
    Ok(Verdict::Yes)
}

fn machine_config(args: &Args) -> anyhow::Result<MachineConfig> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    Ok(MachineConfig {
        data_dir: args.data_dir.clone(),
        prefix: args.prefix.clone(),
        task_concurrency: args.concurrency.get(),
        direct_concurrency: args.direct_concurrency.unwrap_or(args.concurrency).get(),
        api_concurrency: Settings::default().api_concurrency,
        retention: (args.retention_days > 0).then(|| DAY * u32::from(args.retention_days)),
        strict_runtimes: args.strict_runtimes,
        jail: jail_for(args.listen, args.jail)?,
        webhook: args.webhook.clone(),
        live_log: Some(Arc::new(|batch| {
            let line = |logged: &LoggedLine| output::prefixed(logged.function.as_str(), &logged.message);
            output::note(&batch.iter().map(line).collect::<Vec<_>>().join("\n"));
        })),
        oidc: args.callers.oidc()?,
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
        self.stop.cancel();
        let served = self.server.await;
        self.in_flight.close();
        self.in_flight.wait().await;
        machine.drain().await;
        served.context("the HTTP server failed")?.context("the HTTP server failed")
    }
}

/// Shows every `task_failed` event on stderr.
fn show_events(machine: &Machine) -> JoinHandle<()> {
    let mut events = machine.events.watch();
    tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok(event) => {
                    let TaskFailedContent { id, function_name, error } = event.content;
                    let text = format!("{function_name} {id}: {}: {}", error.name, error.message);
                    output::note_from("task_failed", &text);
                }
                Err(RecvError::Lagged(missed)) => output::note(&format!("task_failed | {missed} more")),
                Err(RecvError::Closed) => return,
            }
        }
    })
}

/// Fetches the issuer's keys before the first token arrives, so that a mistake in its URL is noticed at once.
fn try_issuer(issuer: Arc<Issuer>) {
    tokio::spawn(async move {
        if let Err(error) = issuer.fetch().await {
            output::note(&format!("cannot accept tokens of the OIDC issuer yet: {error}"));
        }
    });
}

/// The signals that stop a process.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
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

fn concurrency(text: &str) -> Result<ConcurrencyLimit, String> {
    let number = text.parse().map_err(|_| "must be a whole number".to_owned())?;
    ConcurrencyLimit::new(number).map_err(|e| e.to_string())
}
