//! AWS Lambda on one machine: Functions as child processes that speak the real Runtime API.
//!
//! A package is unpacked to a folder named after its hash. A run uses an idle process of the Function's version, or
//! starts one; `node` and `python` Functions run in small bootstraps that behave like AWS's runtime clients,
//! `provided.*` ones in the package's own bootstrap. An idle process is frozen shortly after its run, as in Lambda, and
//! ended after a while.
//!
//! If bubblewrap is installed, each process has a jail of its own (`jail`). Otherwise Functions run as the user who
//! runs the server, and can do to the machine what that user can.
//!
//! This crate depends only on the types of [`tasklane_model`] and on the helpers of [`tasklane_runtime`]. Log lines go to a
//! [`LogSink`].

// Processes run in the time of the machine.
#![allow(clippy::disallowed_methods)]

mod bootstraps;
mod code;
mod command;
mod config;
mod connections;
mod engine;
mod entrypoint;
mod error;
mod folders;
mod freezing;
mod image;
mod init;
mod inspection;
mod isolation;
// Nothing enters a jail elsewhere.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod jail;
mod layers;
mod limits;
mod machine;
mod names;
mod output;
pub mod package;
mod peers;
mod platform;
mod pool;
mod process_tree;
mod report;
mod run;
mod runtime_api;
mod runtimes;
mod sandbox;
mod sdk;
mod secrets;
mod sink;
mod site;
mod start;
mod stillness;
mod system;
mod upkeep;
mod variables;
mod versions;
mod watchdog;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tasklane_model::{
    CodeSha256, Deployment, FunctionName, FunctionSpec, ImageReference, Invocation, InvokeError, InvokeRequest, Program,
};
use tokio_util::task::TaskTracker;

pub use config::{LocalLambdaConfig, Notice};
pub use error::{DeployError, MachineFailure};
#[cfg(feature = "fuzzing")]
pub use image::fuzz::image_layer;
pub use image::{ImageError, ImageSource, NoImages};
pub use inspection::{Inspection, InspectionError};
pub use jail::{JailMode, enter_if_asked};
pub use limits::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES};
pub use machine::{Machine, Memory};
pub use platform::cgroup::GroupLimits;
pub use runtimes::{Interpreter, Language, RuntimeSupport, Source, Support};
pub use sdk::{Sdk, SdkError, SdkLanguage};
pub use secrets::{NoSecrets, SecretSource};
pub use sink::{LogSink, LoggedLine};

use self::{
    engine::Engine,
    platform::cgroup::Groups,
    pool::Pool,
    runtimes::Runtimes,
    site::Site,
    versions::{NewCode, Versions},
    watchdog::Watchdog,
};

/// How long a version can still be invoked after [`LocalLambda::retire`], for callers that read the Function's record
/// just before.
const RETIRE_AFTER: Duration = Duration::from_secs(60);

/// New code of a Function.
#[derive(Clone, Debug)]
pub enum Code {
    /// A zip.
    Zip(Bytes),
    /// The image that the configuration names, as it is in its place now.
    Image,
}

impl From<Bytes> for Code {
    fn from(zip: Bytes) -> Self {
        Self::Zip(zip)
    }
}

impl From<Vec<u8>> for Code {
    fn from(zip: Vec<u8>) -> Self {
        Self::Zip(zip.into())
    }
}

/// The digest of the image of this name in an OCI layout or an archive of `docker save`: what [`LocalLambda::deploy`] makes
/// its code's hash.
pub async fn image_digest(place: PathBuf, name: ImageReference) -> Result<CodeSha256, ImageError> {
    let read = tokio::task::spawn_blocking(move || image::image_digest(&place, &name)).await;
    read.map_err(io::Error::other)?
}

/// AWS Lambda on one machine.
pub struct LocalLambda {
    engine: Arc<Engine>,
    _watchdog: Watchdog,
}

impl LocalLambda {
    /// Starts in `config.data_dir`, which is created if it does not exist. Must be called within a runtime.
    pub fn new(mut config: LocalLambdaConfig) -> Result<Arc<Self>, MachineFailure> {
        let failed = |error: io::Error| MachineFailure::new("set up the local Lambda's folder", error);
        // No child process, Function or not, inherits the descriptors that this process inherited.
        isolation::close_on_exec();
        isolation::raise_file_limit();
        let folder = config.prepare_folder().map_err(failed)?;
        let site = Site::prepare(&folder, config)?;
        let engine = Arc::new(Engine {
            versions: Versions::open(&folder).map_err(failed)?,
            runtimes: Runtimes::new(site.bootstraps.python_module()),
            pool: Arc::new(Pool::new(site.config.max_processes, site.config.patience)),
            runs: TaskTracker::new(),
            site,
        });
        let Site { scratch, groups, config, .. } = &engine.site;
        let watchdog =
            Watchdog::start(scratch.path(), groups.as_ref().map(Groups::folder), config.platform).map_err(failed)?;
        upkeep::start(&engine.pool, config.idle_after);
        Ok(Arc::new(Self { engine, _watchdog: watchdog }))
    }

    /// Deploys a version with this code and configuration, and returns when it can be invoked. Versions deployed before
    /// can be invoked until [`LocalLambda::retire`] removes them.
    ///
    /// Without `code` only the configuration changes, and an image stays the same one; then `current` identifies the version that has the code.
    pub async fn deploy(
        &self,
        spec: &FunctionSpec,
        code: Option<Code>,
        current: Option<&Deployment>,
    ) -> Result<Deployment, DeployError> {
        let Engine { site, runtimes, versions, .. } = &*self.engine;
        let program = &spec.configuration.program;
        let support = self.engine.support(program).await;
        if site.config.strict_runtimes {
            support.require_exact(program).map_err(DeployError::InvalidConfiguration)?;
        }
        if let Some(text) = runtimes.first_notice(program, &support) {
            (site.config.notice)(&text);
        }
        site.check_secrets(spec)?;
        site.inspected.check(spec).map_err(|error| DeployError::InvalidConfiguration(error.to_string()))?;
        let code = match code {
            None => None,
            Some(Code::Zip(zip)) => Some(NewCode::Zip(zip)),
            Some(Code::Image) => Some(site.image_of(spec)?),
        };
        site.mention_what_only_aws_does(spec);
        versions.deploy(spec, code, current).await
    }

    /// Whether this version can be invoked.
    pub fn holds(&self, function: &FunctionName, deployment: &Deployment) -> Result<bool, MachineFailure> {
        let found = self.engine.versions.find(function, &deployment.version);
        found.map(|version| version.is_some()).map_err(|error| MachineFailure::new("read the version", error))
    }

    /// The zip of a version; `None` if it is not there.
    pub async fn code_of(&self, deployment: &Deployment) -> Result<Option<Bytes>, MachineFailure> {
        self.engine.versions.code_of(deployment.code_sha256).await
    }

    /// Removes the versions of a Function, except these and the newest one, after a minute, unless they are deployed again
    /// meanwhile. Must be called within a runtime.
    pub fn retire(&self, function: &FunctionName, kept: &[Deployment]) -> Result<(), MachineFailure> {
        let versions = self.engine.versions.replaced(function, kept)?;
        if versions.is_empty() {
            return Ok(());
        }
        let (engine, function) = (Arc::downgrade(&self.engine), function.clone());
        tokio::spawn(async move {
            tokio::time::sleep(RETIRE_AFTER).await;
            for (version, deployed) in versions {
                let Some(engine) = engine.upgrade() else { return };
                engine.drop_replaced(&function, &version, deployed).await;
            }
        });
        Ok(())
    }

    /// Removes all versions of a Function. Its logs stay.
    pub async fn remove(&self, function: &FunctionName) -> Result<(), MachineFailure> {
        self.engine.remove(function).await
    }

    /// Runs a version once and waits for its outcome. If the caller stops waiting, the code still runs to its end.
    pub async fn invoke(&self, request: InvokeRequest<'_>) -> Result<Invocation, InvokeError> {
        run::invoke(&self.engine, request).await
    }

    /// What this machine has for a program, or lacks. Runs the programs that may be its runtime, once for each.
    pub async fn support(&self, program: &Program) -> Arc<Support> {
        self.engine.support(program).await
    }

    /// The runtimes on this machine, and what is missing for the others. Runs the machine's `node` and `python3` once
    /// to ask for their versions.
    pub async fn runtimes(&self) -> Vec<RuntimeSupport> {
        self.engine.runtimes.all().await
    }

    /// The program that makes the jails of Functions, or why they have none.
    pub fn jail(&self) -> Result<&std::path::Path, &str> {
        self.engine.site.jail.as_ref().map(jail::Jail::program).map_err(String::as_str)
    }

    /// Why Functions run without a jail, or `None` if they have one. Without a jail they have the permissions of the
    /// user who runs the server.
    pub fn unjailed(&self) -> Option<&str> {
        self.jail().err()
    }

    /// What control groups limit here, or `None` if the server cannot create any. Then processes are stopped with signals, and
    /// their memory is only measured.
    pub fn control_groups(&self) -> Option<GroupLimits> {
        self.engine.site.groups.as_ref().filter(|_| self.unjailed().is_none()).map(Groups::limits)
    }

    pub fn busy_processes(&self) -> usize {
        self.engine.pool.busy_count()
    }

    /// Starts no more runs, waits up to `grace` for those in progress, then kills every process.
    pub async fn shutdown(&self, grace: Duration) {
        let Engine { pool, runs, site, .. } = &*self.engine;
        pool.close();
        runs.close();
        if tokio::time::timeout(grace, runs.wait()).await.is_err() {
            site.abort.cancel();
            runs.wait().await;
        }
        pool.end_idle(|_| true).await;
        site.config.logs.flush().await;
    }
}

impl Drop for LocalLambda {
    fn drop(&mut self) {
        self.engine.pool.close();
        self.engine.site.abort.cancel();
    }
}
