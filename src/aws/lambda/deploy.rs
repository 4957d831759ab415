//! Making Lambda hold a Function's code and configuration.
//!
//! No plan is made and then carried out: each turn reads what Lambda holds and takes the one next step towards what is
//! wanted. So it makes no difference where an earlier deployment stopped (a process that died between two calls leaves
//! nothing that needs cleaning up), and a deployment by somebody else in between shows as a difference like any other.
//! Every write names the revision that it follows from, so two deployments at once cannot mix their halves.

use std::time::Duration;

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use bytes::Bytes;

use super::{
    AwsLambda, PREFIX_TAG,
    difference::Wanted,
    package::{Package, code_sha256},
    refusal::{is_conflict, is_gone, is_role_not_ready, not_carried_out, refused},
    settle::{PATIENCE, Settled, broken, unfinished},
};
use crate::{
    aws::fault::{Fault, port_error},
    model::{Deployment, Timestamp},
    ports::{DeployError, FunctionSpec, PortError},
};

/// How long to stay away from a function that somebody else is changing, or a role that is too new.
const PAUSE_AFTER_CONFLICT: Duration = Duration::from_millis(500);

/// One deployment under way.
struct Attempt<'a> {
    wanted: Wanted,
    code: Option<Bytes>,
    current: Option<&'a Deployment>,
    deadline: Timestamp,
    /// This attempt created the Lambda function, so it may take it away again.
    created: bool,
    /// The last step was a write of ours, so that a failed state is its doing.
    wrote: bool,
}

/// What one step led to.
enum Step {
    /// Look again.
    Taken,
    /// Somebody was in the way: look again, a little later.
    InTheWay(Fault),
}

impl AwsLambda {
    pub(super) async fn bring_about(
        &self,
        spec: &FunctionSpec,
        code: Option<Bytes>,
        current: Option<&Deployment>,
    ) -> Result<Deployment, DeployError> {
        if !spec.name.fits_prefix(&self.settings.prefix) {
            return Err(DeployError::InvalidConfiguration(format!(
                "The name '{}' is too long: Lambda takes 64 characters, '{}-' among them.",
                spec.name, self.settings.prefix
            )));
        }
        let sha256 = match (&code, current) {
            (Some(code), _) => code_sha256(code),
            (None, Some(current)) => current.code_sha256.clone(),
            (None, None) => return Err(DeployError::InvalidCode("A new Function needs its code.".to_owned())),
        };
        let mut attempt = Attempt {
            wanted: Wanted::new(spec, &self.settings, sha256),
            code,
            current,
            deadline: self.clock.now().saturating_add(PATIENCE),
            created: false,
            wrote: false,
        };
        if let Some(current) = current
            && let Some(held) = self.held(&attempt.wanted.lambda_name, Some(&current.version)).await?
            && broken(&held).is_none()
            && attempt.wanted.stands(&held)
        {
            self.point_live_at(&attempt.wanted.lambda_name, &current.version).await?;
            return Ok(current.clone());
        }
        let result = self.converge(&mut attempt).await;
        // What somebody else deploys at the same time is theirs by now, even if we created it.
        let is_ours = attempt.created && !matches!(result, Err(DeployError::Conflict(_)));
        if result.is_err() && is_ours {
            self.undo_creation(&attempt.wanted.lambda_name).await;
        }
        result
    }

    async fn converge(&self, attempt: &mut Attempt<'_>) -> Result<Deployment, DeployError> {
        loop {
            let step = match self.settled(&attempt.wanted.lambda_name, None, attempt.deadline).await? {
                Settled::Absent => self.create(attempt).await?,
                Settled::Changing(reason) if attempt.wrote => {
                    return Err(unfinished(&attempt.wanted.lambda_name, &reason).into());
                }
                Settled::Changing(reason) => return Err(in_the_way(&attempt.wanted.lambda_name, &reason)),
                Settled::Held(held) => {
                    self.refuse_a_strangers(attempt, &held).await?;
                    let broken = broken(&held);
                    if let (Some(broken), true) = (&broken, attempt.wrote) {
                        return Err(not_carried_out(broken));
                    }
                    // Broken by an earlier deployment: writing again is the way out, equal or not.
                    if !attempt.wanted.code_stands(&held) || (broken.is_some() && attempt.code.is_some()) {
                        self.update_code(attempt, &held).await?
                    } else if !attempt.wanted.configuration_stands(&held) || broken.is_some() {
                        self.update_configuration(attempt, &held).await?
                    } else {
                        match self.publish(attempt, &held).await? {
                            Ok(deployment) => return Ok(deployment),
                            Err(fault) => Step::InTheWay(fault),
                        }
                    }
                }
            };
            attempt.wrote = matches!(step, Step::Taken);
            if let Step::InTheWay(fault) = step {
                if self.clock.now() >= attempt.deadline {
                    return Err(match is_role_not_ready(&fault) {
                        true => unfinished(&attempt.wanted.lambda_name, &fault.to_string()).into(),
                        false => in_the_way(&attempt.wanted.lambda_name, &fault.to_string()),
                    });
                }
                tracing::info!(lambda = attempt.wanted.lambda_name, %fault, "waiting to deploy");
                self.clock.sleep(PAUSE_AFTER_CONFLICT).await;
            }
        }
    }

    async fn create(&self, attempt: &mut Attempt<'_>) -> Result<Step, DeployError> {
        let wanted = &attempt.wanted;
        let Some(code) = attempt.code.clone() else {
            return Err(DeployError::InvalidCode(format!(
                "Lambda no longer holds the code of {}: deploy the Function with its code.",
                wanted.lambda_name
            )));
        };
        self.ensure_log_group(&wanted.lambda_name).await?;
        let package = self.package(&wanted.lambda_name, code).await?;
        let answer = self
            .lambda
            .create_function()
            .function_name(&wanted.lambda_name)
            .description(&wanted.description)
            .handler(&wanted.handler)
            .runtime(wanted.runtime.clone())
            .timeout(wanted.timeout)
            .memory_size(wanted.memory_size)
            .role(&wanted.role)
            .architectures(wanted.architecture.clone())
            .environment(wanted.environment())
            .code(package.function_code())
            .tags(PREFIX_TAG, &self.settings.prefix)
            .send()
            .await;
        let step = after_write("create a Lambda function", answer.map_err(Fault::from))?;
        attempt.created |= matches!(step, Step::Taken);
        Ok(step)
    }

    async fn update_code(
        &self,
        attempt: &mut Attempt<'_>,
        held: &GetFunctionConfigurationOutput,
    ) -> Result<Step, DeployError> {
        let wanted = &attempt.wanted;
        let code = match (&attempt.code, attempt.current) {
            (Some(code), _) => code.clone(),
            // Only the configuration was to change, but an earlier deployment left other code behind.
            (None, Some(current)) => match self.code_of(&wanted.lambda_name, current).await? {
                Some(code) => attempt.code.insert(code).clone(),
                None => {
                    return Err(DeployError::InvalidCode(
                        "Lambda no longer holds the Function's code: deploy it with its code.".to_owned(),
                    ));
                }
            },
            (None, None) => return Err(DeployError::InvalidCode("A new Function needs its code.".to_owned())),
        };
        let request = self
            .lambda
            .update_function_code()
            .function_name(&wanted.lambda_name)
            .architectures(wanted.architecture.clone())
            .set_revision_id(held.revision_id().map(str::to_owned));
        let request = match self.package(&wanted.lambda_name, code).await? {
            Package::Direct(code) => request.zip_file(aws_sdk_lambda::primitives::Blob::new(code.to_vec())),
            Package::Stored { bucket, key } => request.s3_bucket(bucket).s3_key(key),
        };
        after_change("update a Lambda function's code", request.send().await.map_err(Fault::from))
    }

    async fn update_configuration(
        &self,
        attempt: &Attempt<'_>,
        held: &GetFunctionConfigurationOutput,
    ) -> Result<Step, DeployError> {
        let wanted = &attempt.wanted;
        let answer = self
            .lambda
            .update_function_configuration()
            .function_name(&wanted.lambda_name)
            .description(&wanted.description)
            .handler(&wanted.handler)
            .runtime(wanted.runtime.clone())
            .timeout(wanted.timeout)
            .memory_size(wanted.memory_size)
            .role(&wanted.role)
            .environment(wanted.environment())
            .set_revision_id(held.revision_id().map(str::to_owned))
            .send()
            .await;
        after_change("update a Lambda function's configuration", answer.map_err(Fault::from))
    }

    /// Gives what `$LATEST` holds a number. Lambda answers the newest version when that holds the same already.
    async fn publish(
        &self,
        attempt: &Attempt<'_>,
        held: &GetFunctionConfigurationOutput,
    ) -> Result<Result<Deployment, Fault>, DeployError> {
        const ACTION: &str = "publish a Lambda version";
        let wanted = &attempt.wanted;
        let answer = self
            .lambda
            .publish_version()
            .function_name(&wanted.lambda_name)
            .code_sha256(&wanted.code_sha256)
            .set_revision_id(held.revision_id().map(str::to_owned))
            .send()
            .await;
        let version = match answer.map_err(Fault::from) {
            Ok(published) => published.version().unwrap_or_default().to_owned(),
            Err(fault) if is_conflict(&fault) || is_gone(&fault) => return Ok(Err(fault)),
            Err(fault) => return Err(refused(ACTION, fault)),
        };
        match self.settled(&wanted.lambda_name, Some(&version), attempt.deadline).await? {
            Settled::Held(held) => match broken(&held) {
                Some(broken) => return Err(not_carried_out(&broken)),
                None if wanted.stands(&held) => {}
                None => {
                    return Err(
                        PortError::new(ACTION, format!("version {version} is not what was to be published")).into()
                    );
                }
            },
            Settled::Changing(reason) => return Err(unfinished(&wanted.lambda_name, &reason).into()),
            Settled::Absent => {
                return Err(in_the_way(&wanted.lambda_name, &format!("version {version} was deleted again")));
            }
        }
        self.point_live_at(&wanted.lambda_name, &version).await?;
        tracing::info!(lambda = wanted.lambda_name, version, "deployed");
        Ok(Ok(Deployment { version, code_sha256: wanted.code_sha256.clone() }))
    }

    /// A Function that has no record yet may find a Lambda function of its name: left by a deployment that died half
    /// way, which is taken up, or made by somebody else, which must not be touched.
    async fn refuse_a_strangers(
        &self,
        attempt: &Attempt<'_>,
        held: &GetFunctionConfigurationOutput,
    ) -> Result<(), DeployError> {
        if attempt.current.is_some() || attempt.created || attempt.wrote {
            return Ok(());
        }
        let name = held.function_name().unwrap_or(&attempt.wanted.lambda_name);
        let function = self
            .lambda
            .get_function()
            .function_name(name)
            .send()
            .await
            .map_err(|error| port_error("read a Lambda function's tags", error))?;
        let owner = function.tags().and_then(|tags| tags.get(PREFIX_TAG));
        if owner == Some(&self.settings.prefix) {
            return Ok(());
        }
        Err(DeployError::InvalidConfiguration(format!(
            "There is a Lambda function {name} that this deployment did not make (its tag {PREFIX_TAG} is not '{}'): \
             choose another name, or delete it.",
            self.settings.prefix
        )))
    }

    /// A creation that came to nothing leaves nothing. When even that fails, the next deployment takes it up.
    async fn undo_creation(&self, lambda_name: &str) {
        let undone = self.lambda.delete_function().function_name(lambda_name).send().await.map_err(Fault::from);
        if let Err(fault) = undone {
            tracing::warn!(lambda = lambda_name, %fault, "could not take a half-made Lambda function away again");
        }
    }
}

/// Somebody else changes the Lambda function, and did so until there was no time left.
fn in_the_way(lambda_name: &str, reason: &str) -> DeployError {
    DeployError::Conflict(format!("{lambda_name} is being changed by others: {reason}"))
}

fn after_change<T>(action: &'static str, answer: Result<T, Fault>) -> Result<Step, DeployError> {
    match answer {
        Err(fault) if is_gone(&fault) => Ok(Step::InTheWay(fault)),
        answer => after_write(action, answer),
    }
}

fn after_write<T>(action: &'static str, answer: Result<T, Fault>) -> Result<Step, DeployError> {
    match answer {
        Ok(_) => Ok(Step::Taken),
        Err(fault) if is_conflict(&fault) || is_role_not_ready(&fault) => Ok(Step::InTheWay(fault)),
        Err(fault) => Err(refused(action, fault)),
    }
}

#[cfg(test)]
mod tests;
