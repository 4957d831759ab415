//! The whole service in one process: every part put together on one machine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::sys::stat::{Mode, umask};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{
    database::{self, DatabaseError},
    events::{EventsError, LocalEvents},
    lambda::{JailMode, LocalLambda, LocalLambdaConfig, RuntimeSupport},
    logs::{DEFAULT_RETENTION, LiveLog, LocalLogs},
    wakeups::LocalWakeups,
};
use crate::{
    adapters::HttpDocuments,
    auth::{
        AuthSettings, Authenticator, KeyFile, KeyFileError,
        oidc::{Issuer, OidcConfig},
    },
    dispatch::{Dispatcher, FunctionDirectory, SlotLimits, SlotPolicy, Slots, Ticker},
    ports::{Ids, PortError, Ports, SystemChance, SystemClock},
    service::{AnonymousConcurrency, Service, Settings},
    store::{RunnerId, Store, StoreConfig, StoreError},
};

/// What a machine is started with.
#[derive(Clone)]
pub struct MachineConfig {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What stands before a Function's name in Lambda.
    pub prefix: String,
    /// How many queued Tasks may run at once.
    pub task_concurrency: u16,
    /// How many direct executions may be in progress at once.
    pub direct_concurrency: u16,
    /// How many API Functions may run at once.
    pub api_concurrency: u16,
    /// How long finished Tasks and API Requests are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// Refuse Functions whose runtime is not exactly what this machine has.
    pub strict_runtimes: bool,
    /// Whether Functions run in a jail.
    pub jail: JailMode,
    /// Where events are posted to, besides the events file.
    pub webhook: Option<String>,
    /// Shown every line that a Function logs.
    pub live_log: Option<LiveLog>,
    /// Whose JWTs are taken; none when absent.
    pub oidc: Option<OidcConfig>,
}

/// The running service.
pub struct Machine {
    /// What callers can do.
    pub service: Service,
    /// The tables.
    pub store: Store,
    /// The ports, for what is put together outside.
    pub ports: Ports,
    /// Knows callers by their credentials.
    pub authenticator: Arc<Authenticator>,
    /// Knows the callers that an OIDC issuer vouches for.
    pub issuer: Option<Arc<Issuer>>,
    /// Seals what must be kept and not be readable.
    pub secrets: Arc<KeyFile>,
    /// The events, for whoever shows them.
    pub events: Arc<LocalEvents>,
    lambda: Arc<LocalLambda>,
    stop: CancellationToken,
    loops: TaskTracker,
}

/// Why a machine does not start.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The data folder cannot be made.
    #[error("the data folder {path} cannot be used: {cause}", path = .path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the file system said.
        cause: std::io::Error,
    },
    /// The database does not open.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The tables cannot be made or read.
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

/// The name under which this process holds runs and slots. The database belongs to one process at a time, so whatever
/// an earlier one held under this name is this one's to clean up.
const RUNNER: &str = "local";

/// What the names in the data folder begin with that hold what people stored, threw or logged. The key and the
/// credentials see to themselves.
const OURS: [&str; 4] = ["database.sqlite", "logs.sqlite", "events.jsonl", "lambda"];

/// How long runs get that nobody waits for any more: there should be none.
const LAST_GRACE: Duration = Duration::from_secs(1);

impl Machine {
    /// Starts everything but the HTTP server. Tasks that an earlier process left running end as zombies, and Tasks
    /// that came due meanwhile run.
    pub async fn start(config: MachineConfig) -> Result<Self, MachineError> {
        make_private_dir(&config.data_dir)?;
        close_to_others(&config.data_dir)?;
        let clock = Arc::new(SystemClock);
        let client = privately(|| database::open(&config.data_dir.join("database.sqlite")))?;
        let tables = StoreConfig { retention: config.retention, ..StoreConfig::new(&config.prefix) };
        let store = Store::new(client, tables, clock.clone());
        store.create_tables().await?;

        let logs = LocalLogs::open(&config.data_dir, DEFAULT_RETENTION, config.live_log)?;
        let mut lambda = LocalLambdaConfig::new(&config.data_dir, logs.writer().clone());
        lambda.prefix.clone_from(&config.prefix);
        let runs = [config.task_concurrency, config.direct_concurrency, config.api_concurrency];
        lambda.max_processes = runs.into_iter().map(usize::from).sum();
        lambda.strict_runtimes = config.strict_runtimes;
        lambda.jail = config.jail;
        let lambda = LocalLambda::new(lambda)?;
        let events = Arc::new(LocalEvents::open(&config.data_dir, config.webhook.as_deref())?);
        let wakeups = LocalWakeups::default();
        let ports = Ports {
            lambda: lambda.clone(),
            wakeups: Arc::new(wakeups.clone()),
            events: events.clone(),
            logs: Arc::new(logs),
            clock: clock.clone(),
            ids: Arc::new(Ids::new(Arc::new(SystemChance))),
        };

        let functions = Arc::new(FunctionDirectory::new(store.clone(), clock.clone()));
        let slots = Arc::new(Slots::new(
            store.slots.clone(),
            RunnerId::new(RUNNER),
            clock,
            SlotPolicy::Alone,
            SlotLimits { tasks: config.task_concurrency, direct: config.direct_concurrency },
        ));
        let settings = Settings {
            prefix: config.prefix,
            api_concurrency: config.api_concurrency,
            anonymous_concurrency: Some(AnonymousConcurrency::half_of(
                config.api_concurrency,
                config.direct_concurrency,
            )),
            record_before_answer: false,
            answer_within: None,
        };
        let secrets = Arc::new(KeyFile::open_or_create(&config.data_dir.join("key"))?);
        let issuer = config
            .oidc
            .map(|oidc| Arc::new(Issuer::new(oidc, Arc::new(HttpDocuments::over_tls()), ports.clock.clone())));
        let authenticator = Authenticator::new(
            Arc::new(store.credentials.clone()),
            secrets.clone(),
            // In the store, so that what was seen before a restart does not count again after it.
            Arc::new(store.nonces.clone()),
            ports.clock.clone(),
            // One process on one machine: a look-up costs little, and a revocation counts at once.
            AuthSettings::default(),
        );
        let authenticator = Arc::new(authenticator.trusting(issuer.clone()));
        let service =
            Service::new(store.clone(), ports.clone(), settings, slots.clone(), functions.clone(), secrets.clone());
        let dispatcher = Dispatcher::new(store.clone(), ports.clone(), slots, functions.clone());
        let ticker = Ticker::new(store.clone(), ports.clone(), functions);

        let buried = ticker.bury(&RunnerId::new(RUNNER)).await?;
        if buried > 0 {
            warn!(tasks = buried, "tasks were running when the service last stopped; their outcome is unknown");
        }
        let stop = CancellationToken::new();
        let loops = TaskTracker::new();
        let (stopped, woken) = (stop.clone(), wakeups.dispatcher);
        loops.spawn(async move { dispatcher.run_until(&stopped, &woken).await });
        let (stopped, changed) = (stop.clone(), wakeups.ticker);
        loops.spawn(async move { ticker.run_until(&stopped, &changed).await });
        Ok(Self { service, store, ports, authenticator, issuer, secrets, events, lambda, stop, loops })
    }

    /// Why Functions run without a jail, where they do: then they have the rights of the user who runs the service.
    pub fn unjailed(&self) -> Option<&str> {
        self.lambda.unjailed()
    }

    /// What this machine can run, and what is missing for the rest.
    pub async fn runtimes(&self) -> Vec<RuntimeSupport> {
        self.lambda.runtimes().await
    }

    /// Starts no more runs, and waits for those that are in progress: each has its own time limit. Nothing is lost:
    /// what has not started waits in the store.
    pub async fn drain(&self) {
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
        self.service.drain().await;
        self.lambda.shutdown(LAST_GRACE).await;
        info!("everything that was running has ended");
    }
}

/// Does something whose files nobody else may read, whatever the folder that they are in allows. SQLite gives its
/// write-ahead log the mode of the database, now and later.
fn privately<T>(open: impl FnOnce() -> T) -> T {
    let before = umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let opened = open();
    umask(before);
    opened
}

/// Takes the rights of others away from what an earlier version, or a copy, left in the data folder. The folder itself
/// may be one that others have business in.
fn close_to_others(data_dir: &Path) -> Result<(), MachineError> {
    use std::os::unix::fs::PermissionsExt as _;
    let closed = || {
        for entry in std::fs::read_dir(data_dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_ours = name.to_str().is_some_and(|name| OURS.iter().any(|ours| name.starts_with(ours)));
            let found = entry.metadata()?;
            let mode = found.permissions().mode();
            if is_ours && !found.is_symlink() && mode & 0o077 != 0 {
                std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(mode & 0o700))?;
                warn!(path = %entry.path().display(), "others could read it; now they cannot");
            }
        }
        Ok(())
    };
    closed().map_err(|cause| MachineError::DataDir { path: data_dir.to_owned(), cause })
}

/// Secrets are kept there: nobody else may look in.
fn make_private_dir(path: &Path) -> Result<(), MachineError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|cause| MachineError::DataDir { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    };

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_opened_privately_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        privately(|| fs::File::create(&file)).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn what_others_could_read_in_an_open_data_folder_is_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::DirBuilder::new().mode(0o755).create(&data).unwrap();
        let open = |name: &str, to: u32| {
            fs::write(data.join(name), "secret").unwrap();
            fs::set_permissions(data.join(name), fs::Permissions::from_mode(to)).unwrap();
        };
        for name in ["database.sqlite", "database.sqlite-wal", "logs.sqlite", "events.jsonl", "events.jsonl.1"] {
            open(name, 0o644);
        }
        open("index.html", 0o644);
        close_to_others(&data).unwrap();
        for name in ["database.sqlite", "database.sqlite-wal", "logs.sqlite", "events.jsonl", "events.jsonl.1"] {
            assert_eq!(mode(&data.join(name)), 0o600, "{name}");
        }
        assert_eq!((mode(&data.join("index.html")), mode(&data)), (0o644, 0o755), "somebody else's");
    }
}
