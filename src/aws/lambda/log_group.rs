//! The log group of a Lambda function. It is created before Lambda would do so, because Lambda's own keeps every line
//! forever.

use tasklane_ports::PortError;

use super::{AwsLambda, PREFIX_TAG};
use crate::fault::{Fault, port_error};

/// The log group that Lambda writes a function's lines to.
pub(crate) fn log_group_of(lambda_name: &str) -> String {
    format!("/aws/lambda/{lambda_name}")
}

impl AwsLambda {
    /// Creates the log group, if missing, and sets its retention. A Function that is created again finds its old lines.
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
            // An earlier attempt may have ended before it set the retention.
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
