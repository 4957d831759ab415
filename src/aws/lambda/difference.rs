//! The wanted state of a Function in Lambda, compared with the actual state.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_lambda::{
    operation::get_function_configuration::GetFunctionConfigurationOutput,
    types::{
        Architecture, Environment, EphemeralStorage, Runtime, SnapStart, SnapStartApplyOn, TracingConfig, TracingMode,
        VpcConfig,
    },
};
use tasklane_model::{self as model, AwsOptions, CodeSha256, Vpc};
use tasklane_ports::{DeployError, FunctionSpec};

use super::LambdaSettings;

/// The size of `/tmp` unless a Function has another, in MB.
const EPHEMERAL_STORAGE: i32 = 512;

/// The wanted state, in Lambda's terms.
#[derive(Debug)]
pub(super) struct Wanted {
    pub lambda_name: String,
    pub description: String,
    /// Absent for an image, as is the runtime.
    pub handler: Option<String>,
    pub runtime: Option<Runtime>,
    /// The URI of the container image that it runs in place of a zip.
    pub image: Option<String>,
    pub timeout: i32,
    pub memory_size: i32,
    pub role: String,
    pub architecture: Architecture,
    /// Absent for an image whose name Lambda has yet to follow.
    pub code_sha256: Option<CodeSha256>,
    variables: Variables,
    layers: Vec<String>,
    ephemeral_storage: i32,
    vpc: Option<Vpc>,
    tracing: TracingMode,
    snap_start: SnapStartApplyOn,
}

/// Environment variables, some of which are secrets.
struct Variables(HashMap<String, String>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a request has besides the fields that every request has. Absent fields stay as they are, or get Lambda's default.
pub(super) struct Extras {
    pub layers: Option<Vec<String>>,
    pub ephemeral_storage: Option<EphemeralStorage>,
    pub vpc: Option<VpcConfig>,
    pub tracing: Option<TracingConfig>,
    pub snap_start: Option<SnapStart>,
}

impl Wanted {
    /// `variables` are those of the environment and the secrets.
    pub fn new(
        spec: &FunctionSpec,
        settings: &LambdaSettings,
        code_sha256: Option<CodeSha256>,
        variables: HashMap<String, String>,
    ) -> Result<Self, DeployError> {
        let configuration = &spec.configuration;
        let none = AwsOptions::default();
        let aws = configuration.aws.as_ref().unwrap_or(&none);
        if let Some(role) = aws.role.as_ref().filter(|role| !role.is_below(&settings.prefix)) {
            return Err(DeployError::InvalidConfiguration(format!(
                "The role {role} is not below the path /tasklane/{}/, so this deployment may not pass it to Lambda.",
                settings.prefix
            )));
        }
        if let Some(image) = configuration.image().filter(|image| !image.is_in_ecr()) {
            return Err(DeployError::InvalidConfiguration(format!(
                "The image {image} is not in ECR, the only place that Lambda takes images from: push it there, and name it by its \
                 URI, e.g. 123456789012.dkr.ecr.eu-west-1.amazonaws.com/{}:1.",
                image.repository().rsplit('/').next().unwrap_or_default()
            )));
        }
        if aws.vpc.is_some() && !settings.allow_vpc {
            return Err(DeployError::InvalidConfiguration(
                "This stack may not connect Functions to a network: deploy it with AllowVpc=true.".to_owned(),
            ));
        }
        Ok(Self {
            lambda_name: spec.name.in_lambda(&settings.prefix),
            description: configuration.description.clone().unwrap_or_default(),
            handler: configuration.entry_point().map(|entry_point| entry_point.as_str().to_owned()),
            runtime: configuration.runtime().map(|runtime| Runtime::from(runtime.as_str())),
            image: configuration.image().map(|image| image.as_str().to_owned()),
            timeout: i32::from(configuration.time_limit.get()),
            memory_size: i32::from(configuration.memory_limit.get()),
            role: aws.role.as_ref().map_or_else(|| settings.execution_role.clone(), |role| role.as_str().to_owned()),
            architecture: aws
                .architecture
                .map_or_else(|| settings.architecture.clone(), |architecture| architecture.as_str().into()),
            code_sha256,
            variables: Variables(variables),
            layers: aws.layers().iter().map(|layer| layer.as_str().to_owned()).collect(),
            ephemeral_storage: aws.ephemeral_storage.map_or(EPHEMERAL_STORAGE, |size| i32::from(size.get())),
            vpc: aws.vpc.clone(),
            tracing: match aws.tracing {
                Some(model::TracingMode::Active) => TracingMode::Active,
                Some(model::TracingMode::PassThrough) | None => TracingMode::PassThrough,
            },
            snap_start: match aws.snap_start {
                Some(model::SnapStart::PublishedVersions) => SnapStartApplyOn::PublishedVersions,
                Some(model::SnapStart::None) | None => SnapStartApplyOn::None,
            },
        })
    }

    /// Always sent, even if empty: without it, Lambda would keep the old one.
    pub fn environment(&self) -> Environment {
        Environment::builder().set_variables(Some(self.variables.0.clone())).build()
    }

    /// What differs from `held`, or, for a new function, from Lambda's defaults.
    pub fn extras(&self, held: Option<&GetFunctionConfigurationOutput>) -> Extras {
        let (subnets, groups) = self.network();
        let vpc = || VpcConfig::builder().set_subnet_ids(Some(subnets)).set_security_group_ids(Some(groups)).build();
        Extras {
            layers: (layers_of(held) != self.layers).then(|| self.layers.clone()),
            ephemeral_storage: (storage_of(held) != self.ephemeral_storage)
                .then(|| EphemeralStorage::builder().size(self.ephemeral_storage).build().ok())
                .flatten(),
            vpc: (!self.vpc_matches(held)).then(vpc),
            tracing: (tracing_of(held) != self.tracing)
                .then(|| TracingConfig::builder().mode(self.tracing.clone()).build()),
            snap_start: (snap_start_of(held) != self.snap_start)
                .then(|| SnapStart::builder().apply_on(self.snap_start.clone()).build()),
        }
    }

    /// Whether the code and its architecture match. One call changes both. An image whose name has yet to be followed never does.
    pub fn code_matches(&self, held: &GetFunctionConfigurationOutput) -> bool {
        // Lambda's default, and the architecture of functions from before there was a choice.
        let architecture = held.architectures().first().unwrap_or(&Architecture::X8664);
        let held = held.code_sha256().and_then(|text| CodeSha256::of_lambda(text).ok());
        self.code_sha256.is_some() && held == self.code_sha256 && *architecture == self.architecture
    }

    /// Whether the configuration matches.
    pub fn configuration_matches(&self, held: &GetFunctionConfigurationOutput) -> bool {
        let variables = held.environment().and_then(|environment| environment.variables());
        held.description().unwrap_or_default() == self.description
            // An image has neither, which emulators express by an empty text.
            && held.handler().filter(|handler| !handler.is_empty()) == self.handler.as_deref()
            && held.runtime().filter(|runtime| !runtime.as_str().is_empty()) == self.runtime.as_ref()
            && held.timeout() == Some(self.timeout)
            && held.memory_size() == Some(self.memory_size)
            && held.role() == Some(&self.role)
            && variables.map_or(self.variables.0.is_empty(), |held| *held == self.variables.0)
            && layers_of(Some(held)) == self.layers
            && storage_of(Some(held)) == self.ephemeral_storage
            && self.vpc_matches(Some(held))
            && tracing_of(Some(held)) == self.tracing
            && snap_start_of(Some(held)) == self.snap_start
    }

    /// Whether all of it matches.
    pub fn matches(&self, held: &GetFunctionConfigurationOutput) -> bool {
        self.code_matches(held) && self.configuration_matches(held)
    }

    /// The ids of subnets and of security groups.
    fn network(&self) -> (Vec<String>, Vec<String>) {
        self.vpc.as_ref().map_or_else(Default::default, |vpc| {
            (vpc.subnet_ids.as_slice().to_vec(), vpc.security_group_ids.as_slice().to_vec())
        })
    }

    /// The order of ids does not matter.
    fn vpc_matches(&self, held: Option<&GetFunctionConfigurationOutput>) -> bool {
        let held = held.and_then(GetFunctionConfigurationOutput::vpc_config);
        let held = held.map_or((&[][..], &[][..]), |vpc| (vpc.subnet_ids(), vpc.security_group_ids()));
        let (subnets, groups) = self.network();
        let set = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
        set(held.0) == set(&subnets) && set(held.1) == set(&groups)
    }
}

fn layers_of(held: Option<&GetFunctionConfigurationOutput>) -> Vec<String> {
    let layers = held.map_or(&[][..], GetFunctionConfigurationOutput::layers);
    layers.iter().filter_map(|layer| layer.arn().map(str::to_owned)).collect()
}

fn storage_of(held: Option<&GetFunctionConfigurationOutput>) -> i32 {
    held.and_then(|held| held.ephemeral_storage()).map_or(EPHEMERAL_STORAGE, EphemeralStorage::size)
}

fn tracing_of(held: Option<&GetFunctionConfigurationOutput>) -> TracingMode {
    let mode = held.and_then(|held| held.tracing_config()).and_then(|tracing| tracing.mode());
    mode.cloned().unwrap_or(TracingMode::PassThrough)
}

fn snap_start_of(held: Option<&GetFunctionConfigurationOutput>) -> SnapStartApplyOn {
    let applied = held.and_then(|held| held.snap_start()).and_then(|snap_start| snap_start.apply_on());
    applied.cloned().unwrap_or(SnapStartApplyOn::None)
}
