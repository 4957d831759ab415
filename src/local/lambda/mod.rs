//! The Lambda port on one machine: Functions as child processes that speak the real Runtime API.
//!
//! A package unpacks to a folder named after its hash. A run takes an idle process of the Function's version, or starts
//! one; `node` and `python` are started with small bootstraps that behave as AWS's runtime clients do, `provided.*` with
//! the package's own. A process without work is frozen in a moment, as Lambda
//! freezes it, and after a while it ends.
//!
//! Where the machine has bubblewrap, each process is in a jail of its own (`jail`). Without one, Functions run as the
//! user who runs the server, and what they may do to the machine is not limited.

mod birth;
mod bootstraps;
mod cgroup;
mod code;
mod command;
mod config;
mod connections;
mod freezing;
mod init;
mod isolation;
mod jail;
mod output;
mod peers;
mod pool;
mod process_tree;
mod procfs;
mod report;
mod run;
mod runtime_api;
mod runtimes;
mod sandbox;
mod sdk;
mod sockets;
mod versions;
mod watchdog;

#[cfg(test)]
mod tests;

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    model::{Deployment, FunctionName},
    ports::{DeployError, FunctionSpec, Invocation, InvokeError, InvokeRequest, Lambda, PortError, PortFuture},
};

pub use config::{LocalLambdaConfig, Notice};
pub use jail::{JailMode, enter_if_asked};
pub use runtimes::{RuntimeSupport, Support};
pub use sdk::{Sdk, SdkError, SdkLanguage};

/// The most bytes that a request may have: Lambda's 6 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const MAX_REQUEST_BYTES: usize = 6 * 1024 * 1024;

/// The most bytes that a response may have. Lambda says 6 MB and takes a hundred bytes more.
pub const MAX_RESPONSE_BYTES: usize = MAX_REQUEST_BYTES + 100;

/// How long a version stays invocable after [`Lambda::retire`]: callers who read the Function's record just before
/// still invoke with it.
const RETIRE_AFTER: Duration = Duration::from_secs(60);

/// AWS Lambda on one machine.
pub struct LocalLambda {
    engine: Arc<Engine>,
    _watchdog: watchdog::Watchdog,
}

/// What runs share.
struct Engine {
    config: LocalLambdaConfig,
    versions: versions::Versions,
    runtimes: runtimes::Runtimes,
    bootstraps: bootstraps::Bootstraps,
    launcher: isolation::Launcher,
    /// Or why there is none.
    jail: Result<jail::Jail, String>,
    /// Where this machine lets the server make control groups.
    groups: Option<cgroup::Groups>,
    pool: pool::Pool,
    /// Where processes have their temporary files; a folder of this start of the server alone.
    scratch: tempfile::TempDir,
    /// Every run that is under way.
    runs: TaskTracker,
    /// Set when runs under way are to be killed.
    abort: CancellationToken,
}

impl LocalLambda {
    /// Starts the engine on `config.data_dir`, which is created when it is not there. Runs within a tokio runtime.
    pub fn new(mut config: LocalLambdaConfig) -> Result<Arc<Self>, PortError> {
        let failed = |error| PortError::new("set the local Lambda's folder up", error);
        // Nothing that this process starts, not only what it runs as a Function, gets what it inherited itself.
        isolation::close_on_exec();
        isolation::raise_file_limit();
        let folder = config.prepare_folder().map_err(failed)?;
        let scratch = config::scratch_folder(&folder).map_err(failed)?;
        let bootstraps = bootstraps::Bootstraps::write(&folder, config.sdk.as_ref()).map_err(failed)?;
        let jail = match config.jail {
            JailMode::Off => Err("it is switched off".to_owned()),
            JailMode::Auto | JailMode::On => jail::Jail::find(&config.data_dir, bootstraps.folder(), scratch.path()),
        };
        if let (JailMode::On, Err(why)) = (config.jail, &jail) {
            return Err(PortError::new("jail Functions", io::Error::other(why.clone())));
        }
        let engine = Arc::new(Engine {
            versions: versions::Versions::open(&folder).map_err(failed)?,
            runtimes: runtimes::Runtimes::new(bootstraps.python_module()),
            bootstraps,
            launcher: isolation::Launcher::start().map_err(failed)?,
            jail,
            groups: cgroup::Groups::find(scratch.path()),
            pool: pool::Pool::new(config.max_processes, config.patience),
            runs: TaskTracker::new(),
            abort: CancellationToken::new(),
            config,
            scratch,
        });
        let watchdog =
            watchdog::Watchdog::start(engine.scratch.path(), engine.groups.as_ref().map(cgroup::Groups::folder))
                .map_err(failed)?;
        pool::freeze_idle(&engine);
        pool::watch_frozen(Arc::downgrade(&engine));
        pool::reap_idle(Arc::downgrade(&engine));
        Ok(Arc::new(Self { engine, _watchdog: watchdog }))
    }

    /// What this machine can run, and what is missing for the rest. Asks the machine's own `node` and `python3` once.
    pub async fn runtimes(&self) -> Vec<RuntimeSupport> {
        self.engine.runtimes.all().await
    }

    /// Why Functions run without a jail, where they do: then they have the rights of the user who runs the server.
    pub fn unjailed(&self) -> Option<&str> {
        self.engine.jail.as_ref().err().map(String::as_str)
    }

    /// How many processes are at work.
    pub fn busy_processes(&self) -> usize {
        self.engine.pool.busy_count()
    }

    /// Takes no more runs, gives those under way `grace` to end, then kills every process.
    pub async fn shutdown(&self, grace: Duration) {
        self.engine.pool.close();
        self.engine.runs.close();
        if tokio::time::timeout(grace, self.engine.runs.wait()).await.is_err() {
            self.engine.abort.cancel();
            self.engine.runs.wait().await;
        }
        self.engine.pool.end_idle(|_| true).await;
        self.engine.config.logs.flush().await;
    }
}

impl Drop for LocalLambda {
    fn drop(&mut self) {
        self.engine.pool.close();
        self.engine.abort.cancel();
    }
}

impl Lambda for LocalLambda {
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        code: Option<Bytes>,
        current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>> {
        Box::pin(async move {
            let support = self.engine.runtimes.support(&spec.configuration.runtime).await;
            if self.engine.config.strict_runtimes {
                support.require_exact(&spec.configuration.runtime).map_err(DeployError::InvalidConfiguration)?;
            }
            if let Some(text) = self.engine.runtimes.first_notice(&spec.configuration.runtime, &support) {
                (self.engine.config.notice)(&text);
            }
            self.engine.versions.deploy(spec, code, current).await
        })
    }

    fn retire<'a>(
        &'a self,
        function: &'a FunctionName,
        replaced: &'a Deployment,
    ) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let (engine, function, version) =
                (Arc::downgrade(&self.engine), function.clone(), replaced.version.clone());
            let deployed = self.engine.versions.deployed_at(&function, &version);
            tokio::spawn(async move {
                tokio::time::sleep(RETIRE_AFTER).await;
                if let Some(engine) = engine.upgrade() {
                    engine.drop_replaced(&function, &version, deployed).await;
                }
            });
            Ok(())
        })
    }

    fn remove<'a>(&'a self, function: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            self.engine.versions.remove(function).await?;
            self.engine.pool.end_idle(|version| version.function == *function).await;
            self.engine.versions.sweep_code(&self.engine.pool.code_in_use()).await
        })
    }

    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(run::invoke(&self.engine, request))
    }
}

impl Engine {
    /// Forgets a version that was retired, unless it was deployed again meanwhile.
    async fn drop_replaced(&self, function: &FunctionName, version: &str, deployed: Option<SystemTime>) {
        let dropped = async {
            if self.versions.drop_replaced(function, version, deployed).await? {
                self.pool.end_idle(|idle| idle.function == *function && idle.id == version).await;
                self.versions.sweep_code(&self.pool.code_in_use()).await?;
            }
            Ok::<_, PortError>(())
        };
        if let Err(error) = dropped.await {
            tracing::warn!(%function, version, "could not drop version {version} of {function}: {error}");
        }
    }
}
