//! Waiting until Lambda has made up its mind.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>: `State` is `Pending` while a function or version
//! comes into being, `LastUpdateStatus` is `InProgress` while an update does. Until then further changes are refused.

use std::time::Duration;

use aws_sdk_lambda::{
    operation::get_function_configuration::GetFunctionConfigurationOutput,
    types::{LastUpdateStatus, State},
};

use super::AwsLambda;
use crate::{
    aws::fault::{Fault, port_error},
    model::Timestamp,
    ports::PortError,
};

/// Gives up waiting well before API Gateway's 30 s do, so that the caller still reads why.
pub(super) const PATIENCE: Duration = Duration::from_secs(24);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why Lambda holds something that cannot run.
#[derive(Debug)]
pub(super) struct Broken {
    /// Lambda's code for it, e.g. `InvalidZipFileException`.
    pub code: String,
    /// Lambda's sentence.
    pub reason: String,
}

/// What Lambda came to, or did not.
pub(super) enum Settled {
    /// There is no such function or version.
    Absent,
    /// It holds this.
    Held(Box<GetFunctionConfigurationOutput>),
    /// A change is still under way, for the reason that Lambda gives.
    Changing(String),
}

impl AwsLambda {
    /// What Lambda holds of a function or one of its versions; `None` when there is none.
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

    /// The same, once no change is under way any more. Looks before it waits; gives up at `deadline`.
    pub(super) async fn settled(
        &self,
        lambda_name: &str,
        version: Option<&str>,
        deadline: Timestamp,
    ) -> Result<Settled, PortError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(held) = self.held(lambda_name, version).await? else { return Ok(Settled::Absent) };
            if !is_changing(&held) {
                return Ok(Settled::Held(Box::new(held)));
            }
            if self.clock.now() >= deadline {
                let reason = held.state_reason().or(held.last_update_status_reason());
                return Ok(Settled::Changing(reason.unwrap_or("it gave no reason").to_owned()));
            }
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Lambda took longer than anybody can be kept waiting.
pub(super) fn unfinished(lambda_name: &str, reason: &str) -> PortError {
    PortError::new(
        "wait for Lambda",
        format!("the change of {lambda_name} has not finished in time ({reason}); the next deployment takes it up"),
    )
}

fn is_changing(held: &GetFunctionConfigurationOutput) -> bool {
    held.state() == Some(&State::Pending) || held.last_update_status() == Some(&LastUpdateStatus::InProgress)
}

/// Why what Lambda settled on cannot run, if so. `Inactive` can: the next run wakes it.
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
