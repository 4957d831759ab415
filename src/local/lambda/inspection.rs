//! Functions under a debugger: each has one process, which is never frozen or ended for idling, and a run may take as long as
//! any run may.

use std::{collections::BTreeMap, sync::Arc};

use tasklane_model::{
    Configuration, Environment, FunctionName, FunctionSpec, InvalidEnvironment, RuntimeFamily, TimeLimit,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::versions::Version;

/// The variable with Node.js's own options.
const OPTIONS: &str = "NODE_OPTIONS";

/// How the process of a Function in Node.js offers itself to a debugger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The port on this machine's loopback address; 0 for any free one, which Node.js prints.
    pub port: u16,
    /// Whether the process waits for a debugger before it runs any code.
    pub waits: bool,
}

/// A Function cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectionError {
    /// Only Node.js has the debugger's protocol built in.
    #[error("only Functions in Node.js can be inspected, and this one's runtime is {0}")]
    NotNode(String),
    /// It has no interpreter of ours.
    #[error("only Functions in Node.js that are packed from a folder can be inspected, and this one runs an image")]
    Image,
    /// The debugger's option does not fit in its environment.
    #[error("the debugger's option cannot be added to the environment: {0}")]
    Environment(#[from] InvalidEnvironment),
}

impl Inspection {
    /// The configuration with the debugger's option, and with the longest time limit.
    ///
    /// # Errors
    /// When the Function does not run in Node.js, or its environment is full.
    pub fn of(self, configuration: &Configuration) -> Result<Configuration, InspectionError> {
        match configuration.runtime() {
            Some(runtime) if runtime.family() == RuntimeFamily::Node => {}
            Some(runtime) => return Err(InspectionError::NotNode(runtime.as_str().to_owned())),
            None => return Err(InspectionError::Image),
        }
        let mut configuration = configuration.clone();
        let mut variables: BTreeMap<_, _> =
            configuration.environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let options = variables.entry(OPTIONS.to_owned()).or_default();
        let option = if self.waits { "--inspect-brk" } else { "--inspect" };
        *options = format!("{options} {option}=127.0.0.1:{}", self.port).trim().to_owned();
        configuration.environment = Environment::parse(variables)?;
        configuration.time_limit = TimeLimit::MAX;
        Ok(configuration)
    }
}

/// The Functions that are inspected.
pub(super) struct Inspected(BTreeMap<FunctionName, (Inspection, Arc<Semaphore>)>);

impl Inspected {
    pub(super) fn new(functions: &BTreeMap<FunctionName, Inspection>) -> Self {
        let one = |(name, inspection): (&FunctionName, &Inspection)| {
            (name.clone(), (*inspection, Arc::new(Semaphore::new(1))))
        };
        Self(functions.iter().map(one).collect())
    }

    /// Waits for the turn of a run, if its Function is inspected: a second process could not have the same port.
    pub(super) async fn turn(&self, function: &FunctionName) -> Option<OwnedSemaphorePermit> {
        let (_, one) = self.0.get(function)?;
        Arc::clone(one).acquire_owned().await.ok()
    }

    /// Refuses a configuration that cannot be inspected, if its Function should be.
    pub(super) fn check(&self, spec: &FunctionSpec) -> Result<(), InspectionError> {
        self.0.get(&spec.name).map_or(Ok(()), |(inspection, _)| inspection.of(&spec.configuration).map(drop))
    }

    /// The version as it runs under a debugger, if its Function is inspected.
    pub(super) fn under(&self, version: Arc<Version>) -> Result<Arc<Version>, InspectionError> {
        let Some((inspection, _)) = self.0.get(&version.function) else { return Ok(version) };
        let configuration = inspection.of(&version.configuration)?;
        Ok(Arc::new(Version { configuration, is_inspected: true, ..Version::clone(&version) }))
    }
}

#[cfg(test)]
mod tests {
    use tasklane_model::{EntryPoint, Runtime};

    use super::*;

    #[test]
    fn the_options_of_the_function_stay() {
        let of = |runtime: &str| Configuration::new(EntryPoint::parse("index.handler").unwrap(), Runtime::new(runtime));
        let mut node = of("nodejs22.x");
        let variables = BTreeMap::from([(OPTIONS.to_owned(), "--enable-source-maps".to_owned())]);
        node.environment = Environment::parse(variables).unwrap();
        let inspected = Inspection { port: 9300, waits: true }.of(&node).unwrap();
        let variables: Vec<_> = inspected.environment.iter().collect();
        assert_eq!(variables, [(OPTIONS, "--enable-source-maps --inspect-brk=127.0.0.1:9300")]);
        assert_eq!(inspected.time_limit, TimeLimit::MAX);
        let refused = Inspection { port: 9229, waits: false }.of(&of("python3.13")).unwrap_err();
        assert!(refused.to_string().contains("python3.13"));
    }
}
