//! Errors of the local Lambda.

use std::error::Error;

use super::package::InvalidPackage;

/// A failure of this machine: for example, a file could not be written or a process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}: {cause}")]
pub struct MachineFailure {
    /// What was being done, as an infinitive.
    pub action: &'static str,
    pub cause: Box<dyn Error + Send + Sync>,
}

impl MachineFailure {
    pub(super) fn new(action: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { action, cause: cause.into() }
    }
}

/// Why a version was not deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The code is not a zip archive that Lambda accepts.
    #[error(transparent)]
    InvalidCode(#[from] InvalidPackage),
    /// This machine cannot run the configuration.
    #[error("{0}")]
    InvalidConfiguration(String),
    #[error(transparent)]
    Machine(#[from] MachineFailure),
}
