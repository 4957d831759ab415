//! The whole service in one process: every part put together on one machine.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tasklane_adapters::HttpDocuments;
use tasklane_auth::{
    AuthSettings, Authenticator, KeyFile, KeyFileError,
    oidc::{Issuer, OidcConfig},
};
use tasklane_dispatch::{SlotLimits, SlotPolicy, Ticker};
use tasklane_model::{FunctionName, Program};
use tasklane_ports::{Clock, Ids, Lambda, PortError, Ports, SystemChance, SystemClock};
use tasklane_service::{AnonymousConcurrency, Core, Feed, Limits, Rehearsal, Service, Settings, UnknownRuntimes};
use tasklane_store::{Division, RunnerId, Store, StoreConfig, StoreError};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{
    database::{self, DatabaseError, Watch},
    events::{EventsError, LocalEvents},
    history::{History, RunLog},
    lambda_port::{LambdaPort, port_error},
    logs::{DEFAULT_RETENTION, LiveLog, LocalLogs},
    objects::FileObjects,
    private::{close_to_others, make_private_dir, privately},
    rehearsal::LocalRehearsal,
    uploads::FileUploads,
    wakeups::LocalWakeups,
};
use tasklane_lambda_local::{ImageSource, Inspection, JailMode, LocalLambda, LocalLambdaConfig, SecretSource, Support};

/// The configuration of a machine.
#[derive(Clone)]
pub struct MachineConfig {
    /// The folder for all data.
    pub data_dir: PathBuf,
    /// The prefix of Functions' names in Lambda.
    pub prefix: String,
    /// How many queued Tasks may run at once.
    pub task_concurrency: u16,
    /// How many direct executions may be in progress at once.
    pub direct_concurrency: u16,
    /// How many API Functions may run at once.
    pub api_concurrency: u16,
    /// How long finished Tasks and API Requests are kept; `None` keeps them for ever.
    pub retention: Option<Duration>,
    /// Refuse Functions whose runtime is not exactly one that this machine has.
    pub strict_runtimes: bool,
    /// Whether Functions run in a jail.
    pub jail: JailMode,
    /// The folders and zips that take the place of layers, by ARN.
    pub layers: BTreeMap<String, PathBuf>,
    /// The Functions that run under a debugger.
    pub inspected: BTreeMap<FunctionName, Inspection>,
    /// Where the images of Functions are.
    pub images: Arc<dyn ImageSource>,
    /// Where the values of secrets come from.
    pub secrets: Arc<dyn SecretSource>,
    /// How many of the last versions of a Function stay runnable.
    pub runnable_versions: u16,
    /// The URL that events are posted to, besides the events file.
    pub webhook: Option<String>,
    /// Receives every line that a Function logs.
    pub live_log: Option<LiveLog>,
    /// The issuer whose JWTs are accepted; none when absent.
    pub oidc: Option<OidcConfig>,
    /// Where the runs that end are counted.
    pub runs: RunLog,
    /// Let callers set the clock forward and let runs fail, for tests.
    pub test_clock: bool,
}

/// The running service.
pub struct Machine {
    /// What callers can do.
    pub service: Service,
    /// The tables.
    pub store: Store,
    /// The ports, for the parts that are assembled elsewhere.
    pub ports: Ports,
    /// Identifies callers by their credentials.
    pub authenticator: Arc<Authenticator>,
    /// Identifies callers by the tokens of an OIDC issuer.
    pub issuer: Option<Arc<Issuer>>,
    /// Seals secrets before they are stored.
    pub secrets: Arc<KeyFile>,
    /// The events, for a listener that shows them.
    pub events: Arc<LocalEvents>,
    feed: Feed,
    lambda: Arc<LocalLambda>,
    stop: CancellationToken,
    loops: TaskTracker,
}

/// A machine did not start.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The data folder cannot be created.
    #[error("the data folder {path} cannot be used: {cause}", path = .path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// The file system's error.
        cause: std::io::Error,
    },
    /// The database does not open.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The tables cannot be created or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The local Lambda or its logs do not start.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The key that seals secrets cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// Events cannot be published.
    #[error(transparent)]
    Events(#[from] EventsError),
}

/// The name under which this process holds runs and slots. The database belongs to one process at a time, so this
/// process cleans up everything that an earlier one held under the same name.
const RUNNER: &str = "local";

/// How long to wait for runs whose caller is gone. There should be none.
const LAST_GRACE: Duration = Duration::from_secs(1);

impl Machine {
    /// Starts everything but the HTTP server. Tasks that an earlier process left running end as zombies, and Tasks
    /// that came due meanwhile run.
    pub async fn start(config: MachineConfig) -> Result<Self, MachineError> {
        make_private_dir(&config.data_dir)
            .and_then(|()| close_to_others(&config.data_dir))
            .map_err(|cause| MachineError::DataDir { path: config.data_dir.clone(), cause })?;
        let feed = Feed::default();
        let rehearsal = config.test_clock.then(|| Arc::new(LocalRehearsal::default()));
        let clock = clock(rehearsal.as_deref());
        let store = open_store(&config, &feed, clock.clone()).await?;
        let live = live_log(config.live_log.clone(), feed.clone());
        let logs = LocalLogs::open(&config.data_dir, DEFAULT_RETENTION, Some(live))?;
        let lambda = start_lambda(&config, &logs, rehearsal.as_deref())?;
        let events = Arc::new(LocalEvents::open(&config.data_dir, config.webhook.as_deref())?);
        let objects = FileObjects::open(&config.data_dir, config.retention)
            .map_err(|cause| MachineError::DataDir { path: config.data_dir.clone(), cause })?;
        let uploads = FileUploads::open(&config.data_dir)
            .map_err(|cause| MachineError::DataDir { path: config.data_dir.clone(), cause })?;
        let wakeups = LocalWakeups::default();
        let ports = Ports {
            lambda: lambda_port(&lambda, uploads.clone(), rehearsal.as_deref()),
            wakeups: Arc::new(wakeups.clone()),
            events: events.clone(),
            logs: Arc::new(logs),
            objects: Arc::new(objects),
            uploads: Arc::new(uploads.clone()),
            clock,
            ids: Arc::new(Ids::new(Arc::new(SystemChance))),
            chance: Arc::new(SystemChance),
        };
        let secrets = Arc::new(KeyFile::open_or_create(&config.data_dir.join("key"))?);
        let history = History::open(&config.data_dir, config.runs.clone())?;
        let settings = Settings {
            history: Some(Arc::new(history.clone())),
            rehearsal: rehearsal.clone().map(|rehearsal| rehearsal as Arc<dyn Rehearsal>),
            ..settings(&config, &feed)
        };
        let core = Core::assemble(store.clone(), ports.clone(), secrets.clone(), settings, limits(&config));
        recover(&core.ticker).await?;
        if let Some(rehearsal) = rehearsal {
            rehearsal.drive(&store, &core, RunnerId::new(RUNNER), wakeups.dispatcher.clone());
        }

        let (stop, loops) = (CancellationToken::new(), TaskTracker::new());
        core.spawn_loops(&loops, &stop, wakeups.dispatcher, wakeups.ticker);
        loops.spawn(history.keep(stop.clone()));
        let issuer = config
            .oidc
            .map(|oidc| Arc::new(Issuer::new(oidc, Arc::new(HttpDocuments::over_tls()), Arc::new(SystemClock))));
        let authenticator = authenticator(&store, secrets.clone(), issuer.clone());
        let service = core.service;
        Ok(Self { service, store, ports, authenticator, issuer, secrets, events, feed, lambda, stop, loops })
    }

    /// Why Functions run without a jail, or none if they have one. Without a jail they have the service user's
    /// permissions.
    pub fn unjailed(&self) -> Option<&str> {
        self.lambda.unjailed()
    }

    /// Finds out what this machine has for a program, or lacks.
    pub fn support(&self) -> impl Fn(Program) -> BoxFuture<'static, Arc<Support>> + Send + Sync + use<> {
        let lambda = self.lambda.clone();
        move |program| {
            let lambda = lambda.clone();
            Box::pin(async move { lambda.support(&program).await })
        }
    }

    /// Ends the streams, which would otherwise keep the server from stopping.
    pub fn end_streams(&self) {
        self.feed.close();
    }

    /// Starts no more runs and waits for those in progress, each of which has its own time limit. Nothing is lost:
    /// Tasks that have not started wait in the store.
    pub async fn drain(&self) {
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
        self.service.drain().await;
        self.lambda.shutdown(LAST_GRACE).await;
        info!("all runs have ended");
    }
}

async fn open_store(config: &MachineConfig, feed: &Feed, clock: Arc<dyn Clock>) -> Result<Store, MachineError> {
    let watch = Watch::new(&config.prefix, feed.clone());
    let connection = privately(|| database::open_watched(&config.data_dir.join("database.sqlite"), watch))?;
    let tables = StoreConfig { retention: config.retention, slots: Division::NONE, ..StoreConfig::new(&config.prefix) };
    let store = Store::new(connection, tables, clock, &SystemChance);
    store.create_tables().await?;
    Ok(store)
}

/// Passes the lines that runs log on to the streams, and to the listener of the configuration.
fn live_log(live: Option<LiveLog>, feed: Feed) -> LiveLog {
    Arc::new(move |lines| {
        feed.logged(lines.iter().map(|line| (line.correlation, line.timestamp, line.message.as_str())));
        if let Some(live) = &live {
            live(lines);
        }
    })
}

/// The system's clock, or one that tests set.
fn clock(rehearsal: Option<&LocalRehearsal>) -> Arc<dyn Clock> {
    match rehearsal {
        None => Arc::new(SystemClock),
        Some(rehearsal) => Arc::new(rehearsal.clock()),
    }
}

fn lambda_port(lambda: &Arc<LocalLambda>, uploads: FileUploads, rehearsal: Option<&LocalRehearsal>) -> Arc<dyn Lambda> {
    let port = Arc::new(LambdaPort { lambda: Arc::clone(lambda), uploads });
    match rehearsal {
        None => port,
        Some(rehearsal) => rehearsal.lambda(port),
    }
}

fn start_lambda(
    config: &MachineConfig,
    logs: &LocalLogs,
    rehearsal: Option<&LocalRehearsal>,
) -> Result<Arc<LocalLambda>, PortError> {
    let lines = logs.writer().clone();
    let lines = match rehearsal {
        None => Arc::new(lines),
        Some(rehearsal) => rehearsal.log(lines),
    };
    let mut lambda = LocalLambdaConfig::new(&config.data_dir, lines);
    lambda.prefix.clone_from(&config.prefix);
    let runs = [config.task_concurrency, config.direct_concurrency, config.api_concurrency];
    lambda.max_processes = runs.into_iter().map(usize::from).sum();
    lambda.strict_runtimes = config.strict_runtimes;
    lambda.jail = config.jail;
    lambda.layers.clone_from(&config.layers);
    lambda.inspected.clone_from(&config.inspected);
    lambda.images = Arc::clone(&config.images);
    lambda.secrets = Arc::clone(&config.secrets);
    LocalLambda::new(lambda).map_err(port_error)
}

fn settings(config: &MachineConfig, feed: &Feed) -> Settings {
    Settings {
        prefix: config.prefix.clone(),
        api_concurrency: config.api_concurrency,
        anonymous_concurrency: Some(AnonymousConcurrency::half_of(config.api_concurrency, config.direct_concurrency)),
        record_before_answer: false,
        answer_within: None,
        longest_wait: Settings::LONGEST_WAIT,
        starts_within: Duration::from_secs(10),
        runnable_versions: config.runnable_versions,
        unknown_runtimes: UnknownRuntimes::Refused,
        inspected: config.inspected.keys().cloned().collect(),
        feed: Some(feed.clone()),
        history: None,
        rehearsal: None,
    }
}

fn limits(config: &MachineConfig) -> Limits {
    Limits {
        holder: RunnerId::new(RUNNER),
        policy: SlotPolicy::Alone,
        slots: SlotLimits { tasks: config.task_concurrency, direct: config.direct_concurrency },
        runs_per_dispatcher: None,
    }
}

fn authenticator(store: &Store, secrets: Arc<KeyFile>, issuer: Option<Arc<Issuer>>) -> Arc<Authenticator> {
    let authenticator = Authenticator::new(
        Arc::new(store.credentials.clone()),
        secrets,
        // Kept in the store, so that a nonce seen before a restart is still refused after it.
        Arc::new(store.nonces.clone()),
        // Callers sign with the real time, whatever a test does to the service's.
        Arc::new(SystemClock),
        // One process on one machine: a look-up costs little, and a revocation takes effect at once.
        AuthSettings::default(),
    );
    Arc::new(authenticator.trusting(issuer))
}

/// Ends the Tasks that an earlier process left running: the database's lock shows that it is dead.
async fn recover(ticker: &Ticker) -> Result<(), StoreError> {
    let buried = ticker.bury(&RunnerId::new(RUNNER)).await?;
    if buried > 0 {
        warn!(tasks = buried, "tasks were running when the service last stopped; their outcome is unknown");
    }
    Ok(())
}
