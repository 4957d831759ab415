//! The Lambda port on AWS Lambda.
//!
//! A Function is the Lambda function `<prefix>-<name>`. Every deployment publishes a version, whose number is
//! [`Deployment::version`]. Runs name that number, never `$LATEST` and never an alias. So a caller runs exactly the
//! code and configuration of the Function record that they read, however long Lambda takes to switch over. The alias
//! `live` follows the current version, for people and their tools.

mod deploy;
mod difference;
mod invoke;
mod log_group;
mod package;
mod refusal;
mod settle;
mod variables;
mod versions;

pub(crate) use log_group::log_group_of;

use std::{fmt, sync::Arc};

use aws_sdk_lambda::{Client, types::Architecture};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use tasklane_model::{Deployment, FunctionName};
use tasklane_ports::{
    Clock, Code, DeployError, FunctionSpec, HeldCode, Invocation, InvokeError, InvokeRequest, Lambda, PortError,
    PortFuture,
};
use tasklane_runtime::on_demand::OnDemand;

use super::config;

/// The alias that follows the current version.
pub const LIVE_ALIAS: &str = "live";

/// The tag with the prefix of the deployment that a Lambda function belongs to.
pub const PREFIX_TAG: &str = "tasklane:prefix";

/// What a deployment decides about its Lambda functions.
#[derive(Clone, Debug)]
pub struct LambdaSettings {
    /// The prefix of Lambda functions, whose names are `<prefix>-<name>`.
    pub prefix: String,
    /// The ARN of the role that Functions run with.
    pub execution_role: String,
    /// The architecture that Functions run on.
    pub architecture: Architecture,
    /// How long their log lines are kept, in days. Forever when absent.
    pub log_retention_days: Option<i32>,
    /// Whether Functions may be connected to networks, which the handler needs permissions for.
    pub allow_vpc: bool,
    /// The bucket for zips above Lambda's direct-upload limit. Such zips are refused when absent.
    pub code_bucket: Option<String>,
}

/// [`Lambda`] on AWS Lambda.
#[derive(Clone)]
pub struct AwsLambda {
    lambda: OnDemand<Client>,
    logs: OnDemand<aws_sdk_cloudwatchlogs::Client>,
    s3: OnDemand<aws_sdk_s3::Client>,
    parameters: OnDemand<aws_sdk_ssm::Client>,
    secrets: OnDemand<aws_sdk_secretsmanager::Client>,
    /// Fetches Lambda's presigned URLs.
    downloads: SharedHttpConnector,
    settings: Arc<LambdaSettings>,
    clock: Arc<dyn Clock>,
}

impl AwsLambda {
    /// Makes clients with this configuration. `downloads` fetches presigned URLs.
    pub fn new(
        config: &aws_config::SdkConfig,
        downloads: SharedHttpConnector,
        settings: LambdaSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            lambda: config::client(config, Client::new),
            logs: config::client(config, aws_sdk_cloudwatchlogs::Client::new),
            s3: config::client(config, config::s3),
            parameters: config::client(config, aws_sdk_ssm::Client::new),
            secrets: config::client(config, aws_sdk_secretsmanager::Client::new),
            downloads,
            settings: Arc::new(settings),
            clock,
        }
    }

    fn lambda_name(&self, function: &FunctionName) -> String {
        function.in_lambda(&self.settings.prefix)
    }
}

impl fmt::Debug for AwsLambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsLambda").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Lambda for AwsLambda {
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        code: Option<Code>,
        current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>> {
        Box::pin(self.deploy_function(spec, code, current))
    }

    fn holds<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async move { Ok(self.held(&self.lambda_name(function), Some(&deployment.version)).await?.is_some()) })
    }

    fn point_at<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(self.point_live_at(function, deployment))
    }

    fn code_of<'a>(
        &'a self,
        function: &'a FunctionName,
        deployment: &'a Deployment,
    ) -> PortFuture<'a, Result<Option<HeldCode>, PortError>> {
        Box::pin(async move {
            let url = self.code_url(&self.lambda_name(function), deployment).await?;
            Ok(url.map(HeldCode::Url))
        })
    }

    fn retire<'a>(
        &'a self,
        function: &'a FunctionName,
        kept: &'a [Deployment],
    ) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(self.delete_old_versions(function, kept))
    }

    fn remove<'a>(&'a self, function: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(self.delete_function(function))
    }

    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>> {
        Box::pin(self.run(request))
    }
}
