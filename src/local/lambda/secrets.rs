//! The values of secrets on this machine.

use tasklane_model::{Configuration, Environment, FunctionSpec, Secret, SecretReference};

use super::{error::DeployError, site::Site};

/// Where the values of secrets come from on this machine, which has neither Systems Manager nor Secrets Manager.
pub trait SecretSource: Send + Sync {
    /// The value of the variable, which is at `reference` on AWS. The error says why there is none, as a clause after a colon,
    /// and never has a value in it.
    fn read(&self, variable: &str, reference: &SecretReference) -> Result<Secret, String>;
}

/// No secret has a value.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

impl SecretSource for NoSecrets {
    fn read(&self, _: &str, _: &SecretReference) -> Result<Secret, String> {
        Err("this machine has no values of secrets".to_owned())
    }
}

impl Site {
    /// The values of a Function's secrets, by the name of the variable, or why one has none.
    pub(super) fn secrets_of(&self, configuration: &Configuration) -> Result<Vec<(String, Secret)>, String> {
        let value = |(name, reference): (&str, &SecretReference)| {
            let read = self.config.secrets.read(name, reference);
            let value = read.map_err(|why| format!("The secret '{name}' ({reference}) cannot be read: {why}."))?;
            Ok((name.to_owned(), value))
        };
        configuration.secrets.iter().map(value).collect()
    }

    /// Checks that each secret has a value, and that all variables together are not more than Lambda accepts.
    pub(super) fn check_secrets(&self, spec: &FunctionSpec) -> Result<(), DeployError> {
        let secrets = self.secrets_of(&spec.configuration).map_err(DeployError::InvalidConfiguration)?;
        let own = spec.configuration.environment.iter().map(|(name, value)| name.len() + value.len());
        let bytes: usize = secrets.iter().map(|(name, value)| name.len() + value.expose().len()).chain(own).sum();
        match secrets.is_empty() || bytes <= Environment::MAX_BYTES {
            true => Ok(()),
            false => Err(DeployError::InvalidConfiguration(Environment::too_large_with_secrets(bytes))),
        }
    }
}
