//! The environment variables of a Function: its own, and its secrets, which are read when it is deployed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use tasklane_model::{Configuration, Environment, Secret, SecretPlace, SecretReference};
use tasklane_ports::{DeployError, FunctionSpec};

use super::AwsLambda;
use crate::fault::{Fault, port_error};

/// How many parameters one request reads.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>
const PARAMETERS_AT_ONCE: usize = 10;

/// How many requests are in progress at once.
const REQUESTS_AT_ONCE: usize = 5;

/// What is stored under the names of parameters and secrets.
#[derive(Default)]
struct Stored {
    parameters: HashMap<String, Secret>,
    secrets: HashMap<String, Secret>,
}

impl AwsLambda {
    /// All variables of a Function. A secret that cannot be read is the caller's to repair.
    pub(super) async fn variables(&self, spec: &FunctionSpec) -> Result<HashMap<String, String>, DeployError> {
        let configuration = &spec.configuration;
        let mut variables: HashMap<String, String> =
            configuration.environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if configuration.secrets.is_empty() {
            return Ok(variables);
        }
        for (name, reference) in configuration.secrets.iter() {
            if !reference.is_below(&self.settings.prefix) {
                let prefix = &self.settings.prefix;
                return Err(refused(
                    name,
                    reference,
                    format!("this deployment reads only what is below tasklane/{prefix}/"),
                ));
            }
        }
        let stored = self.stored(configuration).await?;
        for (name, reference) in configuration.secrets.iter() {
            let place = reference.place();
            let found = match place {
                SecretPlace::Parameter(parameter) => stored.parameters.get(parameter),
                SecretPlace::Secret { name: secret, .. } => stored.secrets.get(secret),
            };
            let found = found.ok_or_else(|| refused(name, reference, "it does not exist"))?;
            let value = place.value_in(found.expose()).map_err(|why| refused(name, reference, why))?;
            variables.insert(name.to_owned(), value.expose().to_owned());
        }
        let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > Environment::MAX_BYTES {
            return Err(DeployError::InvalidConfiguration(Environment::too_large_with_secrets(bytes)));
        }
        Ok(variables)
    }

    /// Reads each parameter and each secret once, however many variables come from it.
    async fn stored(&self, configuration: &Configuration) -> Result<Stored, DeployError> {
        let (mut parameters, mut secrets) = (BTreeSet::new(), BTreeMap::new());
        for (variable, reference) in configuration.secrets.iter() {
            match reference.place() {
                SecretPlace::Parameter(name) => {
                    parameters.insert(name.to_owned());
                }
                SecretPlace::Secret { name, .. } => {
                    secrets.entry(name.to_owned()).or_insert((variable, reference));
                }
            }
        }
        let parameters: Vec<_> = parameters.into_iter().collect();
        let batches: Vec<_> =
            parameters.chunks(PARAMETERS_AT_ONCE).map(|names| self.read_parameters(names.to_vec())).collect();
        let parameters: Vec<_> = stream::iter(batches).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        let reads = secrets
            .into_iter()
            .map(|(name, (variable, reference))| async move {
                Ok::<_, DeployError>(self.read_secret(&name, variable, reference).await?.map(|value| (name, value)))
            })
            .collect::<Vec<_>>();
        let secrets: Vec<_> = stream::iter(reads).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        Ok(Stored {
            parameters: parameters.into_iter().flatten().collect(),
            secrets: secrets.into_iter().flatten().collect(),
        })
    }

    /// The parameters that exist, of at most [`PARAMETERS_AT_ONCE`].
    async fn read_parameters(&self, names: Vec<String>) -> Result<Vec<(String, Secret)>, DeployError> {
        let answer = self.parameters.get_parameters().set_names(Some(names)).with_decryption(true).send().await;
        let answer = answer.map_err(|error| unreadable("read parameters", "Systems Manager", Fault::from(error)))?;
        let parameter =
            |parameter: aws_sdk_ssm::types::Parameter| Some((parameter.name?, Secret::new(parameter.value?)));
        Ok(answer.parameters.unwrap_or_default().into_iter().filter_map(parameter).collect())
    }

    /// `None` if there is none with this name.
    async fn read_secret(
        &self,
        name: &str,
        variable: &str,
        reference: &SecretReference,
    ) -> Result<Option<Secret>, DeployError> {
        let answer = self.secrets.get_secret_value().secret_id(name).send().await;
        match answer.map_err(Fault::from) {
            Ok(answer) => match answer.secret_string {
                Some(value) => Ok(Some(Secret::new(value))),
                None => Err(refused(variable, reference, "it is binary, which no environment variable can hold")),
            },
            Err(fault) if fault.is("ResourceNotFoundException") => Ok(None),
            Err(fault) => Err(unreadable("read a secret", "Secrets Manager", fault)),
        }
    }
}

fn refused(variable: &str, reference: &SecretReference, why: impl std::fmt::Display) -> DeployError {
    DeployError::InvalidConfiguration(format!("The secret '{variable}' cannot be read from {reference}: {why}."))
}

/// What only the owner of the secret can change is the caller's error.
fn unreadable(action: &'static str, service: &str, fault: Fault) -> DeployError {
    match fault.code.as_str() {
        "AccessDeniedException"
        | "AccessDenied"
        | "DecryptionFailure"
        | "InvalidKeyId"
        | "KMSAccessDeniedException" => DeployError::InvalidConfiguration(format!(
            "{service} refused to read the secrets: {}. If a key of your own encrypts them, its policy must let the role \
                 of the api handler decrypt.",
            fault.message.trim_end_matches('.')
        )),
        "InvalidRequestException" => DeployError::InvalidConfiguration(format!("{service}: {}", fault.message)),
        _ => DeployError::Port(port_error(action, fault)),
    }
}
