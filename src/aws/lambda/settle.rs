//! Waits until Lambda has finished a change.
//!
//! `State` is `Pending` while a function or version is being created, and `LastUpdateStatus` is `InProgress` during an
//! update. Meanwhile, Lambda refuses further changes.
//! <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>

use std::time::Duration;

use aws_sdk_lambda::{
    operation::get_function_configuration::GetFunctionConfigurationOutput,
    types::{LastUpdateStatus, State},
};
use tasklane_model::Timestamp;
use tasklane_ports::PortError;
use tasklane_runtime::backoff::Backoff;

use super::AwsLambda;
use crate::fault::{Fault, port_error};

/// Less than API Gateway's 30 s, so that the caller still gets the reason.
pub(super) const PATIENCE: Duration = Duration::from_secs(24);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a Lambda function cannot run.
#[derive(Debug)]
pub(super) struct Broken {
    /// Lambda's code for the reason, such as `InvalidZipFileException`.
    pub code: String,
    /// Lambda's message.
    pub reason: String,
}

/// The state after waiting.
pub(super) enum Settled {
    /// There is no such function or version.
    Absent,
    /// No change is in progress.
    Held(Box<GetFunctionConfigurationOutput>),
    /// A change is still in progress, with the reason that Lambda gives.
    Changing(String),
}

impl AwsLambda {
    /// The configuration of a function or one of its versions in Lambda; `None` when it does not exist.
    pub(super) async fn held(
        &self,
        lambda_name: &str,
        version: Option<&str>,
    ) -> Result<Option<GetFunctionConfigurationOutput>, PortError> {
        let answer = self
            .lambda
            .get_function_configuration()
            .function_name(lambda_name)
            .set_qualifier(version.map(str::to_owned))
            .send()
            .await;
        match answer.map_err(Fault::from) {
            Ok(held) => Ok(Some(held)),
            Err(fault) if fault.is("ResourceNotFoundException") => Ok(None),
            Err(fault) => Err(port_error("read a Lambda function's configuration", fault)),
        }
    }

    /// The same, after any change in progress has finished. Looks before it waits, and gives up at `deadline`.
    pub(super) async fn settled(
        &self,
        lambda_name: &str,
        version: Option<&str>,
        deadline: Timestamp,
    ) -> Result<Settled, PortError> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let Some(held) = self.held(lambda_name, version).await? else { return Ok(Settled::Absent) };
            if !is_changing(&held) {
                return Ok(Settled::Held(Box::new(held)));
            }
            if self.clock.now() >= deadline {
                let reason = held.state_reason().or(held.last_update_status_reason());
                return Ok(Settled::Changing(reason.unwrap_or("it gave no reason").to_owned()));
            }
            self.clock.sleep(backoff.pause()).await;
        }
    }
}

/// Lambda took longer than a caller can wait.
pub(super) fn unfinished(lambda_name: &str, reason: &str) -> PortError {
    PortError::new(
        "wait for Lambda",
        format!(
            "the change of {lambda_name} has not finished in time ({reason}); the next deployment will continue with it"
        ),
    )
}

fn is_changing(held: &GetFunctionConfigurationOutput) -> bool {
    held.state() == Some(&State::Pending) || held.last_update_status() == Some(&LastUpdateStatus::InProgress)
}

/// Why a Lambda function cannot run, or `None` if it can. An `Inactive` one can: the next run wakes it.
pub(super) fn broken(held: &GetFunctionConfigurationOutput) -> Option<Broken> {
    if held.state() == Some(&State::Failed) {
        let code = held.state_reason_code().map(|code| code.as_str()).unwrap_or_default();
        return Some(Broken {
            code: code.to_owned(),
            reason: held.state_reason().unwrap_or("no reason given").to_owned(),
        });
    }
    if held.last_update_status() == Some(&LastUpdateStatus::Failed) {
        let code = held.last_update_status_reason_code().map(|code| code.as_str()).unwrap_or_default();
        let reason = held.last_update_status_reason().unwrap_or("no reason given").to_owned();
        return Some(Broken { code: code.to_owned(), reason });
    }
    None
}
