//! Deploys a Function's code and configuration to Lambda.
//!
//! This is a loop without a plan: each turn reads the state in Lambda and takes one step towards the wanted state. So
//! it does not matter where an earlier deployment stopped (a process that died between two calls leaves nothing to
//! clean up), and a concurrent deployment shows up as a difference like any other. Every write names the revision that
//! it is based on, so two concurrent deployments cannot mix their halves.

use std::time::Duration;

use aws_sdk_lambda::{operation::get_function_configuration::GetFunctionConfigurationOutput, types::PackageType};
use tasklane_model::{CodeSha256, Deployment, Timestamp};
use tasklane_ports::{Code, DeployError, FunctionSpec, PortError};

use super::{
    AwsLambda, PREFIX_TAG,
    difference::{Extras, Wanted},
    package::Package,
    refusal::{is_conflict, is_gone, is_role_not_ready, not_carried_out, refused},
    settle::{PATIENCE, Settled, broken, unfinished},
};
use crate::fault::{Fault, port_error};

/// The pause before the next attempt if another deployment is changing the function, or its role is too new.
const PAUSE_AFTER_CONFLICT: Duration = Duration::from_millis(500);

/// Sets the configuration in a request: what every request has, and what differs from `$held`. The SDK has a builder type for
/// each operation, so this cannot be a function.
macro_rules! configured {
    ($request:expr, $wanted:expr, $held:expr) => {{
        let Extras { layers, ephemeral_storage, vpc, tracing, snap_start } = $wanted.extras($held);
        $request
            .function_name(&$wanted.lambda_name)
            .description(&$wanted.description)
            .set_handler($wanted.handler.clone())
            .set_runtime($wanted.runtime.clone())
            .timeout($wanted.timeout)
            .memory_size($wanted.memory_size)
            .role(&$wanted.role)
            .environment($wanted.environment())
            .set_layers(layers)
            .set_ephemeral_storage(ephemeral_storage)
            .set_vpc_config(vpc)
            .set_tracing_config(tracing)
            .set_snap_start(snap_start)
    }};
}

/// One deployment in progress.
struct Attempt<'a> {
    spec: &'a FunctionSpec,
    wanted: Wanted,
    code: Option<Code>,
    current: Option<&'a Deployment>,
    deadline: Timestamp,
    /// This attempt created the Lambda function, so it may delete it again.
    created: bool,
    /// The last step was a write of this attempt, so it is the cause of a failed state.
    wrote: bool,
}

impl Attempt<'_> {
    /// Notes the digest that Lambda found behind the name of an image.
    fn follow(&mut self, step: &Step, code_sha256: Option<&str>) -> Result<(), PortError> {
        if matches!((step, &self.code), (Step::Taken, Some(Code::Image))) {
            let digest = code_sha256.and_then(|text| CodeSha256::of_lambda(text).ok());
            let unknown =
                || PortError::new("follow the name of an image", "Lambda answered without the image's digest");
            self.wanted.code_sha256 = Some(digest.ok_or_else(unknown)?);
        }
        Ok(())
    }
}

/// The result of one step.
enum Step {
    /// Read the state again.
    Taken,
    /// A conflict: read the state again a little later.
    InTheWay(Fault),
}

impl AwsLambda {
    pub(super) async fn deploy_function(
        &self,
        spec: &FunctionSpec,
        code: Option<Code>,
        current: Option<&Deployment>,
    ) -> Result<Deployment, DeployError> {
        if !spec.name.fits_prefix(&self.settings.prefix) {
            return Err(DeployError::InvalidConfiguration(format!(
                "The name '{}' is too long: Lambda allows 64 characters, including '{}-'.",
                spec.name, self.settings.prefix
            )));
        }
        let sha256 = match (&code, current) {
            (Some(code), _) => code.sha256(),
            (None, Some(current)) => Some(current.code_sha256),
            (None, None) => return Err(DeployError::InvalidCode("A new Function needs its code.".to_owned())),
        };
        let wanted = Wanted::new(spec, &self.settings, sha256, self.variables(spec).await?)?;
        if current.is_some() {
            self.renew_retention(&wanted.lambda_name, &spec.configuration).await?;
        }
        let mut attempt = Attempt {
            spec,
            wanted,
            code,
            current,
            deadline: self.clock.now().saturating_add(PATIENCE),
            created: false,
            wrote: false,
        };
        if let Some(current) = current
            && let Some(held) = self.held(&attempt.wanted.lambda_name, Some(&current.version)).await?
            && broken(&held).is_none()
            && attempt.wanted.matches(&held)
        {
            return Ok(current.clone());
        }
        let result = self.converge(&mut attempt).await;
        // After a conflict, the Lambda function belongs to the other deployment, even if this one created it.
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
                Settled::Changing(reason) => return Err(conflict(&attempt.wanted.lambda_name, &reason)),
                Settled::Held(held) => {
                    self.refuse_foreign(attempt, &held).await?;
                    let broken = broken(&held);
                    if let (Some(broken), true) = (&broken, attempt.wrote) {
                        return Err(not_carried_out(broken));
                    }
                    // An earlier deployment broke it. Writing again repairs it, even if nothing differs.
                    if !attempt.wanted.code_matches(&held) || (broken.is_some() && attempt.code.is_some()) {
                        self.update_code(attempt, &held).await?
                    } else if !attempt.wanted.configuration_matches(&held) || broken.is_some() {
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
                        false => conflict(&attempt.wanted.lambda_name, &fault.to_string()),
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
        self.ensure_log_group(&wanted.lambda_name, &attempt.spec.configuration).await?;
        let package = self.package(wanted, code).await?;
        let request = self
            .lambda
            .create_function()
            .set_package_type(wanted.image.is_some().then_some(PackageType::Image))
            .architectures(wanted.architecture.clone())
            .code(package.function_code())
            .tags(PREFIX_TAG, &self.settings.prefix);
        let answer = configured!(request, wanted, None).send().await.map_err(Fault::from);
        let followed = answer.as_ref().ok().and_then(|created| created.code_sha256().map(str::to_owned));
        let step = after_write("create a Lambda function", answer)?;
        attempt.created |= matches!(step, Step::Taken);
        attempt.follow(&step, followed.as_deref())?;
        Ok(step)
    }

    async fn update_code(
        &self,
        attempt: &mut Attempt<'_>,
        held: &GetFunctionConfigurationOutput,
    ) -> Result<Step, DeployError> {
        let wanted = &attempt.wanted;
        let package = match (&attempt.code, attempt.current) {
            (Some(code), _) => self.package(wanted, code.clone()).await?,
            // Only the configuration should change, but an earlier deployment left different code behind.
            (None, Some(current)) => match self.held_package(wanted, current).await? {
                Some(package) => package,
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
        let request = match package {
            Package::Direct(code) => request.zip_file(aws_sdk_lambda::primitives::Blob::new(code.to_vec())),
            Package::Stored { bucket, key } => request.s3_bucket(bucket).s3_key(key),
            Package::Image(uri) => request.image_uri(uri),
        };
        let answer = request.send().await.map_err(Fault::from);
        let followed = answer.as_ref().ok().and_then(|updated| updated.code_sha256().map(str::to_owned));
        let step = after_change("update a Lambda function's code", answer)?;
        attempt.follow(&step, followed.as_deref())?;
        Ok(step)
    }

    async fn update_configuration(
        &self,
        attempt: &Attempt<'_>,
        held: &GetFunctionConfigurationOutput,
    ) -> Result<Step, DeployError> {
        let wanted = &attempt.wanted;
        let request =
            self.lambda.update_function_configuration().set_revision_id(held.revision_id().map(str::to_owned));
        let answer = configured!(request, wanted, Some(held)).send().await;
        after_change("update a Lambda function's configuration", answer.map_err(Fault::from))
    }

    /// Publishes `$LATEST` as a version. If nothing has changed since the newest version, Lambda returns that.
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
            .set_code_sha256(held.code_sha256().map(str::to_owned))
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
                None if wanted.matches(&held) => {}
                None => {
                    return Err(PortError::new(
                        ACTION,
                        format!("version {version} differs from what should have been published"),
                    )
                    .into());
                }
            },
            Settled::Changing(reason) => return Err(unfinished(&wanted.lambda_name, &reason).into()),
            Settled::Absent => {
                return Err(conflict(&wanted.lambda_name, &format!("version {version} was deleted again")));
            }
        }
        tracing::info!(lambda = wanted.lambda_name, version, "deployed");
        let code_sha256 = wanted.code_sha256.ok_or_else(|| PortError::new(ACTION, "its code is not known"))?;
        Ok(Ok(Deployment { version, code_sha256 }))
    }

    /// Refuses to touch a Lambda function that this deployment does not own. A new Function may find a Lambda function
    /// with its name: left by a deployment that died halfway, which is continued, or created by another tool, which must
    /// stay as it is.
    async fn refuse_foreign(
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
            "The Lambda function {name} exists and does not belong to this deployment (its tag {PREFIX_TAG} is not '{}'): \
             choose another name, or delete it.",
            self.settings.prefix
        )))
    }

    /// Deletes a Lambda function whose creation failed. If this fails, too, the next deployment continues with it.
    async fn undo_creation(&self, lambda_name: &str) {
        let undone = self.lambda.delete_function().function_name(lambda_name).send().await.map_err(Fault::from);
        if let Err(fault) = undone {
            tracing::warn!(lambda = lambda_name, %fault, "could not delete a Lambda function after its creation failed");
        }
    }
}

/// Another deployment kept changing the Lambda function until the time was up.
fn conflict(lambda_name: &str, reason: &str) -> DeployError {
    DeployError::Conflict(format!("{lambda_name} is being updated concurrently: {reason}"))
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
