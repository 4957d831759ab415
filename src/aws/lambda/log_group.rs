//! The log group of a Lambda function. It is created before Lambda would do so, because Lambda's own keeps every line
//! forever.

use tasklane_model::{Configuration, LogRetentionDays};
use tasklane_ports::PortError;

use super::{AwsLambda, PREFIX_TAG};
use crate::fault::{Fault, port_error};

/// The log group that Lambda writes a function's lines to.
pub(crate) fn log_group_of(lambda_name: &str) -> String {
    format!("/aws/lambda/{lambda_name}")
}

impl AwsLambda {
    /// How long the lines of this Function are kept, in days. `None`: forever.
    fn retention(&self, configuration: &Configuration) -> Option<i32> {
        let own = configuration.aws.as_ref().and_then(|aws| aws.log_retention_days);
        own.map(LogRetentionDays::get).or(self.settings.log_retention_days)
    }

    /// Creates the log group, if missing, and sets its retention. A Function that is created again finds its old lines.
    pub(super) async fn ensure_log_group(
        &self,
        lambda_name: &str,
        configuration: &Configuration,
    ) -> Result<(), PortError> {
        let created = self
            .logs
            .create_log_group()
            .log_group_name(log_group_of(lambda_name))
            .tags(PREFIX_TAG, &self.settings.prefix)
            .send()
            .await
            .map_err(Fault::from);
        match created {
            Ok(_) => {}
            // An earlier attempt may have ended before it set the retention.
            Err(fault) if fault.is("ResourceAlreadyExistsException") => {}
            Err(fault) => return Err(port_error("create a log group", fault)),
        }
        self.set_retention(lambda_name, configuration).await.map(|_| ())
    }

    /// Sets the retention of a log group that should exist. Each deployment does, because the option may have been removed.
    pub(super) async fn renew_retention(
        &self,
        lambda_name: &str,
        configuration: &Configuration,
    ) -> Result<(), PortError> {
        match self.set_retention(lambda_name, configuration).await? {
            Group::Exists => Ok(()),
            Group::Missing => self.ensure_log_group(lambda_name, configuration).await,
        }
    }

    async fn set_retention(&self, lambda_name: &str, configuration: &Configuration) -> Result<Group, PortError> {
        let Some(days) = self.retention(configuration) else { return Ok(Group::Exists) };
        let request =
            self.logs.put_retention_policy().log_group_name(log_group_of(lambda_name)).retention_in_days(days);
        match request.send().await.map_err(Fault::from) {
            Ok(_) => Ok(Group::Exists),
            Err(fault) if fault.is("ResourceNotFoundException") => Ok(Group::Missing),
            Err(fault) => Err(port_error("set the retention of a log group", fault)),
        }
    }
}

/// What a request for a log group found.
enum Group {
    /// It, as far as is known.
    Exists,
    /// Nothing.
    Missing,
}
