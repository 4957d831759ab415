//! Everything on this machine that the processes of Functions share.

use std::{collections::BTreeSet, io, path::Path};

use tasklane_model::{AwsOptions, FunctionName, FunctionSpec};
use tasklane_runtime::lock::Lock;
use tokio_util::sync::CancellationToken;

use super::{
    bootstraps::Bootstraps,
    config::LocalLambdaConfig,
    error::{DeployError, MachineFailure},
    folders::scratch_folder,
    inspection::Inspected,
    isolation::Launcher,
    jail::{Jail, JailMode},
    layers::Layers,
    platform::{self, cgroup::Groups},
    versions::NewCode,
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
    pub(super) layers: Layers,
    pub(super) inspected: Inspected,
    /// `None` if this machine does not let the server create control groups.
    pub(super) groups: Option<Groups>,
    /// The folder for the processes' temporary files, used only by this run of the server.
    pub(super) scratch: tempfile::TempDir,
    /// Cancelled to kill the runs in progress.
    pub(super) abort: CancellationToken,
    mentioned: Lock<BTreeSet<String>>,
}

/// How many remarks are remembered, so that none is made twice.
const MOST_REMEMBERED: usize = 10_000;

impl Site {
    /// Prepares `folder`, which [`LocalLambdaConfig::prepare_folder`] returned.
    pub(super) fn prepare(folder: &Path, config: LocalLambdaConfig) -> Result<Self, MachineFailure> {
        let failed = |error: io::Error| MachineFailure::new("set up the local Lambda's folder", error);
        let scratch = scratch_folder(folder).map_err(failed)?;
        let bootstraps = Bootstraps::write(folder, config.sdk.as_ref()).map_err(failed)?;
        let jail = match config.jail {
            JailMode::Off => Err("it is switched off".to_owned()),
            JailMode::Auto | JailMode::On if config.platform.is_portable() => Err(platform::NO_JAIL.to_owned()),
            JailMode::Auto | JailMode::On => Jail::find(&config.data_dir, bootstraps.folder(), scratch.path()),
        };
        if let (JailMode::On, Err(why)) = (config.jail, &jail) {
            return Err(MachineFailure::new("jail Functions", why.clone()));
        }
        Ok(Self {
            bootstraps,
            launcher: Launcher::start().map_err(failed)?,
            jail,
            layers: Layers::new(config.layers.clone(), scratch.path()),
            inspected: Inspected::new(&config.inspected),
            groups: if config.platform.is_portable() { None } else { Groups::find(scratch.path()) },
            abort: CancellationToken::new(),
            mentioned: Lock::default(),
            config,
            scratch,
        })
    }

    /// Where the image of a Function is on this machine.
    pub(super) fn image_of(&self, spec: &FunctionSpec) -> Result<NewCode, DeployError> {
        let Some(name) = spec.configuration.image() else {
            return Err(MachineFailure::new("find the image", "the Function has none").into());
        };
        let place = self.config.images.place(name).ok_or_else(|| {
            DeployError::InvalidConfiguration(format!(
                "This machine does not have the image {name}: --image {name}=PATH gives it an OCI layout or an archive of \
                 docker save."
            ))
        })?;
        Ok(NewCode::Image { place, name: name.clone() })
    }

    /// Tells the operator, once, which of a Function's options have no effect on this machine.
    pub(super) fn mention_what_only_aws_does(&self, spec: &FunctionSpec) {
        let FunctionSpec { name, configuration } = spec;
        for layer in self.layers.missing(configuration) {
            self.mention(format!(
                "{name} runs without its layer {layer}: --layer {layer}=PATH gives it a folder or a zip of this machine"
            ));
        }
        let only_on_aws = configuration.aws.as_ref().map(AwsOptions::only_on_aws).unwrap_or_default();
        if !only_on_aws.is_empty() {
            self.mention(format!("{name}: of its option aws, this has no effect here: {}", only_on_aws.join(", ")));
        }
    }

    fn mention(&self, remark: String) {
        let mut mentioned = self.mentioned.lock();
        if mentioned.len() < MOST_REMEMBERED && !mentioned.contains(&remark) {
            (self.config.notice)(&remark);
            mentioned.insert(remark);
        }
    }

    /// The name of a Function on AWS.
    pub(super) fn arn(&self, function: &FunctionName) -> String {
        let LocalLambdaConfig { region, prefix, .. } = &self.config;
        format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{}", function.in_lambda(prefix))
    }
}
