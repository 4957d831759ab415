//! Everything on this machine that the processes of Functions share.

use std::{io, path::Path};

use tasklane_model::FunctionName;
use tokio_util::sync::CancellationToken;

use super::{
    bootstraps::Bootstraps,
    cgroup::Groups,
    config::LocalLambdaConfig,
    error::MachineFailure,
    folders::scratch_folder,
    isolation::Launcher,
    jail::{Jail, JailMode},
};

/// The AWS account that Functions see. It belongs to nobody.
const ACCOUNT: &str = "000000000000";

/// Everything that processes are started with.
pub(super) struct Site {
    pub(super) config: LocalLambdaConfig,
    pub(super) bootstraps: Bootstraps,
    pub(super) launcher: Launcher,
    /// The error says why there is none.
    pub(super) jail: Result<Jail, String>,
    /// `None` if this machine does not let the server create control groups.
    pub(super) groups: Option<Groups>,
    /// The folder for the processes' temporary files, used only by this run of the server.
    pub(super) scratch: tempfile::TempDir,
    /// Cancelled to kill the runs in progress.
    pub(super) abort: CancellationToken,
}

impl Site {
    /// Prepares `folder`, which [`LocalLambdaConfig::prepare_folder`] returned.
    pub(super) fn prepare(folder: &Path, config: LocalLambdaConfig) -> Result<Self, MachineFailure> {
        let failed = |error: io::Error| MachineFailure::new("set up the local Lambda's folder", error);
        let scratch = scratch_folder(folder).map_err(failed)?;
        let bootstraps = Bootstraps::write(folder, config.sdk.as_ref()).map_err(failed)?;
        let jail = match config.jail {
            JailMode::Off => Err("it is switched off".to_owned()),
            JailMode::Auto | JailMode::On => Jail::find(&config.data_dir, bootstraps.folder(), scratch.path()),
        };
        if let (JailMode::On, Err(why)) = (config.jail, &jail) {
            return Err(MachineFailure::new("jail Functions", why.clone()));
        }
        Ok(Self {
            bootstraps,
            launcher: Launcher::start().map_err(failed)?,
            jail,
            groups: Groups::find(scratch.path()),
            abort: CancellationToken::new(),
            config,
            scratch,
        })
    }

    /// The name of a Function on AWS.
    pub(super) fn arn(&self, function: &FunctionName) -> String {
        let LocalLambdaConfig { region, prefix, .. } = &self.config;
        format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{}", function.in_lambda(prefix))
    }
}
