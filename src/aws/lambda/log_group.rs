//! The log group of a Lambda function, made before Lambda makes it: Lambda's own would keep every line for ever.

use super::{AwsLambda, PREFIX_TAG};
use crate::{
    aws::fault::{Fault, port_error},
    ports::PortError,
};

/// The log group that Lambda writes a function's lines to.
pub(in crate::aws) fn log_group_of(lambda_name: &str) -> String {
    format!("/aws/lambda/{lambda_name}")
}

impl AwsLambda {
    /// Makes the log group with its retention, unless it stands: a Function that comes back finds its old lines.
    pub(super) async fn ensure_log_group(&self, lambda_name: &str) -> Result<(), PortError> {
        let group = log_group_of(lambda_name);
        let created = self
            .logs
            .create_log_group()
            .log_group_name(&group)
            .tags(PREFIX_TAG, &self.settings.prefix)
            .send()
            .await
            .map_err(Fault::from);
        match created {
            Ok(_) => {}
            // Its retention is set again: the first time may not have come that far.
            Err(fault) if fault.is("ResourceAlreadyExistsException") => {}
            Err(fault) => return Err(port_error("create a log group", fault)),
        }
        let Some(days) = self.settings.log_retention_days else { return Ok(()) };
        self.logs
            .put_retention_policy()
            .log_group_name(&group)
            .retention_in_days(days)
            .send()
            .await
            .map_err(|error| port_error("set the retention of a log group", error))?;
        Ok(())
    }
}
