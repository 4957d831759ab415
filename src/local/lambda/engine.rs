//! The state that all runs share.

use std::{sync::Arc, time::SystemTime};

use tasklane_model::{FunctionName, Program};
use tokio_util::task::TaskTracker;

use super::{
    error::MachineFailure,
    pool::Pool,
    runtimes::{Runtimes, Support},
    site::Site,
    versions::Versions,
};

/// The state that all runs share.
pub(super) struct Engine {
    pub(super) versions: Versions,
    pub(super) runtimes: Runtimes,
    /// Declared before the site, so that processes end before the things that they use are removed.
    pub(super) pool: Arc<Pool>,
    pub(super) site: Site,
    pub(super) runs: TaskTracker,
}

impl Engine {
    /// What this machine has for a program, or lacks. Every run asks this.
    pub(super) async fn support(&self, program: &Program) -> Arc<Support> {
        match (program, &self.site.jail) {
            (Program::Zip { runtime, .. }, _) => self.runtimes.support(runtime).await,
            (Program::Image { .. }, Ok(_)) => Arc::new(Support::Image),
            (Program::Image { .. }, Err(why)) => Arc::new(Support::Missing(format!(
                "an image runs in a jail, which gives it its own files, and Functions have no jail here: {why}"
            ))),
        }
    }

    /// Removes a retired version, unless it was deployed again meanwhile.
    pub(super) async fn drop_replaced(&self, function: &FunctionName, version: &str, deployed: Option<SystemTime>) {
        let dropped = async {
            if self.versions.drop_replaced(function, version, deployed).await? {
                self.pool.end_idle(|idle| idle.function == *function && idle.id == version).await;
                self.versions.sweep_code(&self.pool.code_in_use()).await?;
            }
            Ok::<_, MachineFailure>(())
        };
        if let Err(error) = dropped.await {
            tracing::warn!(%function, version, "could not drop version {version} of {function}: {error}");
        }
    }

    /// Removes a Function's versions, idle processes and code.
    pub(super) async fn remove(&self, function: &FunctionName) -> Result<(), MachineFailure> {
        self.versions.remove(function).await?;
        self.pool.end_idle(|version| version.function == *function).await;
        self.versions.sweep_code(&self.pool.code_in_use()).await
    }
}
