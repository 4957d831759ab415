//! Why the local Lambda could not do something.

use std::error::Error;

use super::package::InvalidPackage;

/// This machine failed: a file could not be written, a process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}: {cause}")]
pub struct MachineFailure {
    /// What was being done, as an infinitive.
    pub action: &'static str,
    /// Why it failed.
    pub cause: Box<dyn Error + Send + Sync>,
}

impl MachineFailure {
    /// Could not `action` because of `cause`.
    pub(super) fn new(action: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { action, cause: cause.into() }
    }
}

/// Why a version was not deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The code is not a zip archive that Lambda takes.
    #[error(transparent)]
    InvalidCode(#[from] InvalidPackage),
    /// The configuration is not one that this machine can run.
    #[error("{0}")]
    InvalidConfiguration(String),
    /// This machine failed.
    #[error(transparent)]
    Machine(#[from] MachineFailure),
}
