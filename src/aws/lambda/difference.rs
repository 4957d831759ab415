//! The wanted state of a Function in Lambda, compared with the actual state.

use std::collections::HashMap;

use aws_sdk_lambda::{
    operation::get_function_configuration::GetFunctionConfigurationOutput,
    types::{Architecture, Environment, Runtime},
};
use tasklane_model::CodeSha256;
use tasklane_ports::FunctionSpec;

use super::LambdaSettings;

/// The wanted state, in Lambda's terms.
#[derive(Debug)]
pub(super) struct Wanted {
    pub lambda_name: String,
    pub description: String,
    pub handler: String,
    pub runtime: Runtime,
    pub timeout: i32,
    pub memory_size: i32,
    pub role: String,
    pub architecture: Architecture,
    pub code_sha256: CodeSha256,
    variables: HashMap<String, String>,
}

impl Wanted {
    pub fn new(spec: &FunctionSpec, settings: &LambdaSettings, code_sha256: CodeSha256) -> Self {
        let configuration = &spec.configuration;
        Self {
            lambda_name: spec.name.in_lambda(&settings.prefix),
            description: configuration.description.clone().unwrap_or_default(),
            handler: configuration.entry_point.as_str().to_owned(),
            runtime: Runtime::from(configuration.runtime.as_str()),
            timeout: i32::from(configuration.time_limit.get()),
            memory_size: i32::from(configuration.memory_limit.get()),
            role: settings.execution_role.clone(),
            architecture: settings.architecture.clone(),
            code_sha256,
            variables: configuration
                .environment
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// Always sent, even if empty: without it, Lambda would keep the old one.
    pub fn environment(&self) -> Environment {
        Environment::builder().set_variables(Some(self.variables.clone())).build()
    }

    /// Whether the code and its architecture match. One call changes both.
    pub fn code_matches(&self, held: &GetFunctionConfigurationOutput) -> bool {
        // Lambda's default, and the architecture of functions from before there was a choice.
        let architecture = held.architectures().first().unwrap_or(&Architecture::X8664);
        held.code_sha256() == Some(self.code_sha256.to_string().as_str()) && *architecture == self.architecture
    }

    /// Whether the configuration matches.
    pub fn configuration_matches(&self, held: &GetFunctionConfigurationOutput) -> bool {
        let variables = held.environment().and_then(|environment| environment.variables());
        held.description().unwrap_or_default() == self.description
            && held.handler() == Some(&self.handler)
            && held.runtime() == Some(&self.runtime)
            && held.timeout() == Some(self.timeout)
            && held.memory_size() == Some(self.memory_size)
            && held.role() == Some(&self.role)
            && variables.map_or(self.variables.is_empty(), |held| *held == self.variables)
    }

    /// Whether all of it matches.
    pub fn matches(&self, held: &GetFunctionConfigurationOutput) -> bool {
        self.code_matches(held) && self.configuration_matches(held)
    }
}
