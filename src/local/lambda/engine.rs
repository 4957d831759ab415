//! What all runs share.

use std::{sync::Arc, time::SystemTime};

use tasklane_model::FunctionName;
use tokio_util::task::TaskTracker;

use super::{error::MachineFailure, pool::Pool, runtimes::Runtimes, site::Site, versions::Versions};

/// What all runs share.
pub(super) struct Engine {
    pub(super) versions: Versions,
    pub(super) runtimes: Runtimes,
    /// Before the site: its processes are gone before what they were started with.
    pub(super) pool: Arc<Pool>,
    pub(super) site: Site,
    /// The runs in progress.
    pub(super) runs: TaskTracker,
}

impl Engine {
    /// Forgets a version that was retired, unless it was deployed again meanwhile.
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

    /// Forgets a Function, ends its idle processes and removes its code.
    pub(super) async fn remove(&self, function: &FunctionName) -> Result<(), MachineFailure> {
        self.versions.remove(function).await?;
        self.pool.end_idle(|version| version.function == *function).await;
        self.versions.sweep_code(&self.pool.code_in_use()).await
    }
}
