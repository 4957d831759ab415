//! `tasklane dev`: the whole service, here.

mod sync;
mod watch;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::broadcast::error::RecvError,
};
use tokio_util::sync::CancellationToken;

use self::{sync::Synced, watch::Watch};
use super::{Outcome, Verdict, callers::CallerArgs, output};
use crate::{
    auth::oidc::Issuer,
    http::{self, CorsOrigins},
    local::{
        administrator,
        lambda::JailMode,
        logs::LoggedLine,
        machine::{Machine, MachineConfig},
        server::Server,
    },
    model::ConcurrencyLimit,
    ports::TaskFailedContent,
    service::Settings,
};

/// Serve the whole service on this machine.
///
/// Syncs every task-config.json under the paths and syncs again whenever something changes there. Everything is kept in
/// the data folder, with an administrator's credentials in its file `credentials`, which the other commands find by
/// themselves. Ctrl-C stops it and lets what runs come to its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  Serve the examples, on whatever port is free:
    tasklane dev examples --listen 127.0.0.1:0")]
pub struct Args {
    /// Folders to search for task-config.json files, or such files
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Take code also from outside of the paths, where a task-config.json's "path" leads there
    #[arg(long)]
    pub allow_outside: bool,

    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4000")]
    pub listen: SocketAddr,

    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".tasklane")]
    pub data_dir: PathBuf,

    /// Refuse Functions whose runtime is not exactly the version of node or python that this machine has
    #[arg(long)]
    pub strict_runtimes: bool,

    /// Whether each Function runs in a jail made by bubblewrap: auto, on or off. auto runs them without one where
    /// there can be none, and says so
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub jail: JailMode,

    /// Post every task_failed event to this URL too
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,

    /// How many queued Tasks may run at once
    #[arg(long, value_name = "N", default_value = "5", value_parser = concurrency)]
    pub concurrency: ConcurrencyLimit,

    /// How many direct executions may be in progress at once, besides the queued Tasks; by default as many as
    /// `--concurrency` says
    #[arg(long, value_name = "N", value_parser = concurrency)]
    pub direct_concurrency: Option<ConcurrencyLimit>,

    /// After how many days finished Tasks and API Requests go away; 0 keeps them for ever
    #[arg(long, value_name = "DAYS", default_value = "30")]
    pub retention_days: u16,

    /// What stands before a Function's name in AWS_LAMBDA_FUNCTION_NAME
    #[arg(long, value_name = "PREFIX", default_value = "tasklane")]
    pub prefix: String,

    /// Who calls, and by which address
    #[command(flatten)]
    pub callers: CallerArgs,
}

/// Serves until Ctrl-C.
pub(super) async fn run(args: Args) -> Outcome {
    // Asked for before anything can run: a signal that comes early is waited for like any other.
    let mut signals = Signals::listen()?;
    let config = args.callers.http_config(args.listen.ip(), CorsOrigins::Localhost);
    let machine = Machine::start(MachineConfig {
        data_dir: args.data_dir.clone(),
        prefix: args.prefix,
        task_concurrency: args.concurrency.get(),
        direct_concurrency: args.direct_concurrency.unwrap_or(args.concurrency).get(),
        api_concurrency: Settings::default().api_concurrency,
        retention: (args.retention_days > 0)
            .then(|| Duration::from_secs(u64::from(args.retention_days) * 24 * 60 * 60)),
        strict_runtimes: args.strict_runtimes,
        jail: jail_for(args.listen, args.jail)?,
        webhook: args.webhook,
        live_log: Some(Arc::new(|batch| {
            let line = |logged: &LoggedLine| output::prefixed(logged.function.as_str(), &logged.line.message);
            output::note(&batch.iter().map(line).collect::<Vec<_>>().join("\n"));
        })),
        oidc: args.callers.oidc()?,
    })
    .await?;
    if let Some(why) = machine.unjailed() {
        output::note(&format!("Functions run without a jail, as you, with your rights ({why})"));
        output::note("sync and create only Functions whose code you would run yourself");
    }
    let shown = show_events(&machine);
    if let Some(issuer) = machine.issuer.clone() {
        try_issuer(issuer);
    }
    let server = Server::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let url = server.url();
    let credentials = args.data_dir.join("credentials");
    administrator::ensure(&credentials, &url, &machine.store, &machine.ports, &*machine.secrets).await?;

    // The Functions first: whoever reads that the service is ready finds them there.
    let mut watch = Watch::start(&args.paths, &args.data_dir);
    let mut synced = Synced::new(args.allow_outside);
    synced.sync(&machine.service, &args.paths).await;

    let stop = CancellationToken::new();
    let in_flight = config.in_flight.clone();
    let router = http::router(machine.service.clone(), machine.authenticator.clone(), config);
    let serving = tokio::spawn(server.serve(router, stop.clone()));
    output::note(&format!("an administrator's credentials are in {}", credentials.display()));
    output::data(&url)?;

    loop {
        tokio::select! {
            () = watch.changed() => synced.sync(&machine.service, &args.paths).await,
            () = signals.next() => break,
        }
    }
    output::note("stopping: what runs gets its time; once more ends it at once");
    stop.cancel();
    let drained = async {
        let served = serving.await;
        in_flight.close();
        in_flight.wait().await;
        machine.drain().await;
        served
    };
    tokio::select! {
        served = drained => served.context("the HTTP server failed")?.context("the HTTP server failed")?,
        () = signals.next() => anyhow::bail!("stopped before everything had ended"),
    }
    shown.abort();
    Ok(Verdict::Yes)
}

/// Shows every `task_failed` event on stderr.
fn show_events(machine: &Machine) -> tokio::task::JoinHandle<()> {
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

/// Fetches the issuer's keys ahead of the first token, so that a mistake in its name shows now.
fn try_issuer(issuer: Arc<Issuer>) {
    tokio::spawn(async move {
        if let Err(error) = issuer.fetch().await {
            output::note(&format!("nobody gets in with a token of the OIDC issuer yet: {error}"));
        }
    });
}

/// What people and supervisors stop a process with.
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

/// Whoever reaches this machine from another may be a stranger, and without a jail a Function may do what the server's
/// user may.
fn jail_for(listen: SocketAddr, asked: JailMode) -> anyhow::Result<JailMode> {
    match asked {
        _ if listen.ip().is_loopback() => Ok(asked),
        JailMode::Auto | JailMode::On => Ok(JailMode::On),
        JailMode::Off => anyhow::bail!(
            "without a jail it listens on this machine only: leave --jail off away, or listen on a loopback address \
             instead of {listen}"
        ),
    }
}

fn concurrency(text: &str) -> Result<ConcurrencyLimit, String> {
    let number = text.parse().map_err(|_| "must be a whole number".to_owned())?;
    ConcurrencyLimit::new(number).map_err(|e| e.to_string())
}
