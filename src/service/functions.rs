//! Functions: create, list, get, update, delete, enable, disable (contract §2).

use tasklane_model::{
    AffectedRecords, CanaryEnd, Configuration, Deployment, EntryPoint, Error, ErrorKind, Function, FunctionName,
    FunctionOptions, FunctionSummary, FunctionVersion, ImageReference, Lane, Page, PageWindow, Program, Result,
    Runtime, SnapStart, UserId, VersionLabel, VersionNote, changed_fields, shorten,
};
use tasklane_ports::{Code, DeployError, FunctionSpec, Wakeup};
use tasklane_store::{KeptVersion, Revision, Versioned};
use tracing::{info, warn};

use super::{
    Service, UnknownRuntimes,
    uploads::{NewCode, SentCode},
};

/// A Function to be created.
#[derive(Clone, Debug)]
pub struct NewFunction {
    /// Its name.
    pub name: FunctionName,
    /// What it runs.
    pub program: NewProgram,
    /// The options that have a default.
    pub options: FunctionOptions,
    /// What its first version is called.
    pub label: Option<VersionLabel>,
    /// The user who creates it.
    pub by: Option<UserId>,
}

/// What a new Function runs.
#[derive(Clone, Debug)]
pub enum NewProgram {
    /// A handler in a zip.
    Zip {
        /// The zip.
        code: SentCode,
        /// Lambda's Handler.
        entry_point: EntryPoint,
        /// Lambda's Runtime.
        runtime: Runtime,
    },
    /// A container image.
    Image(ImageReference),
}

/// A change of a Function; an absent field keeps its value.
#[derive(Clone, Debug, Default)]
pub struct FunctionChange {
    /// Its code.
    pub code: Option<SentCode>,
    /// Lambda's Handler.
    pub entry_point: Option<EntryPoint>,
    /// Lambda's Runtime.
    pub runtime: Option<Runtime>,
    /// The container image. If it is present, its name is followed again, also if it is the same name.
    pub image: Option<ImageReference>,
    /// The other options.
    pub options: FunctionOptions,
    /// What the new version is called.
    pub label: Option<VersionLabel>,
    /// Whether only a version is made, and the Function stays as it is.
    pub publish_only: bool,
    /// The user who changes it.
    pub by: Option<UserId>,
}

impl FunctionChange {
    fn apply_to(&self, function: &mut Function) {
        self.options.apply_to(function);
        if let Some(entry_point) = &self.entry_point {
            function.configuration.set_entry_point(entry_point.clone());
        }
        if let Some(runtime) = &self.runtime {
            function.configuration.set_runtime(runtime.clone());
        }
        if let Some(image) = &self.image {
            function.configuration.program = Program::Image { image: image.clone() };
        }
    }

    /// Whether it may change what the Function runs.
    fn sends_code(&self) -> bool {
        self.code.is_some() || self.image.is_some()
    }

    /// Refuses to turn a zip into an image, or an image into a zip: 1402, because Lambda cannot.
    fn check_package_of(&self, function: &Function) -> Result<()> {
        let sends_zip = self.code.is_some() || self.entry_point.is_some() || self.runtime.is_some();
        let (is, cannot) = match function.configuration.image() {
            None if self.image.is_some() => ("a zip", "an image"),
            Some(_) if sends_zip => ("an image", "a zip"),
            _ => return Ok(()),
        };
        let message = format!(
            "The function '{}' runs {is}, and Lambda cannot change that to {cannot}: delete the function and create it again.",
            function.name
        );
        Err(Error::new(ErrorKind::InvalidFunctionConfiguration, message))
    }
}

impl Service {
    /// Every Function in one page, by name; `query` is echoed and otherwise ignored (contract §2).
    pub async fn list_functions(&self, query: &str) -> Result<Page<FunctionSummary>> {
        let functions = self.inner.store.functions.list().await?;
        let data: Vec<_> = functions.iter().map(Function::summary).collect();
        let total = data.len() as u64;
        let page = PageWindow { total: Some(total), limit: total, ..PageWindow::default() };
        Ok(Page { query: query.to_owned(), page, data })
    }

    /// Creates a Function and its Lambda function. 17 when the name is taken, 1401 for code that is not a zip, 1402 for
    /// a configuration that Lambda would refuse, 1407 for a name too long for the deployment's prefix.
    pub async fn create_function(&self, new: NewFunction) -> Result<Function> {
        let NewFunction { name, program, options, label, by } = new;
        if !name.fits_prefix(&self.inner.settings.prefix) {
            let longest = 63 - self.inner.settings.prefix.len();
            let message = format!("The field 'name' must have at most {longest} characters here.");
            return Err(Error::new(ErrorKind::InvalidFunctionName, message));
        }
        if let NewProgram::Zip { runtime, .. } = &program {
            self.check_runtime(runtime)?;
        }
        let _turn = self.turn_to_change(&name).await?;
        if self.inner.store.functions.get(&name).await?.is_some() {
            return Err(taken(&name));
        }
        let (code, mut configuration) = match program {
            NewProgram::Image(image) => (Code::Image, Configuration::of_image(image)),
            NewProgram::Zip { code, entry_point, runtime } => match self.new_code(&name, Some(code)).await? {
                NewCode::Sent(code) => (code, Configuration::new(entry_point, runtime)),
                // By a version of a Function that is gone.
                NewCode::Held(_) | NewCode::Unchanged => return Err(gone()),
            },
        };
        options.configure(&mut configuration);
        let spec = FunctionSpec { name, configuration };
        let now = self.inner.ports.clock.now();
        let deployment = match self.deploy(&spec, Some(code), None).await {
            Ok(deployment) => deployment,
            // If another process created it meanwhile and caused the error, the caller should learn that.
            Err(error) => {
                let created_elsewhere = self.inner.store.functions.get(&spec.name).await?.is_some();
                return Err(if created_elsewhere { taken(&spec.name) } else { error });
            }
        };
        let mut function = Function::new(spec.name, spec.configuration, deployment, now);
        options.apply_to(&mut function);
        function.history.series = Some(self.inner.ports.ids.next(now));
        function.history.current = VersionNote { created_by_user_id: by, label, ..function.history.current };
        if !self.inner.store.functions.create(&function).await? {
            return Err(taken(&function.name));
        }
        self.inner.functions.forget(&function.name);
        self.point_at_current(&function).await;
        info!(function = %function.name, deployment = function.deployment.version, "function created");
        Ok(function)
    }

    /// One Function; 16 when there is none.
    pub async fn get_function(&self, name: &str) -> Result<Function> {
        Ok(self.stored_function(name).await?.value)
    }

    /// Changes a Function, atomically for callers: the new version in Lambda is written together with the configuration.
    /// 16 when there is none; 1401, 1402 as at creation; 1502 when concurrent changes keep winning.
    pub async fn update_function(&self, name: &str, change: FunctionChange) -> Result<AffectedRecords> {
        if let Some(runtime) = &change.runtime {
            self.check_runtime(runtime)?;
        }
        let function_name = self.stored_function(name).await?.value.name;
        let turn = self.turn_to_change(&function_name).await?;
        let code = match &change.image {
            Some(_) => NewCode::Sent(Code::Image),
            None => self.new_code(&function_name, change.code.clone()).await?,
        };
        let mut tries = self.tries();
        loop {
            let Versioned { value: old, revision } = self.stored_function(name).await?;
            change.check_package_of(&old)?;
            let mut new = old.clone();
            change.apply_to(&mut new);
            if change.sends_code() || new.configuration != old.configuration {
                let spec = FunctionSpec { name: new.name.clone(), configuration: new.configuration.clone() };
                let (code, holds_code) = match &code {
                    NewCode::Unchanged => (None, old.deployment.clone()),
                    NewCode::Sent(code) => (Some(code.clone()), old.deployment.clone()),
                    NewCode::Held(sha256) => (None, self.deployment_with(&old, *sha256).await?.ok_or_else(gone)?),
                };
                new.deployment = match self.deploy(&spec, code, Some(&holds_code)).await {
                    Ok(deployment) => deployment,
                    // If another process changed or deleted it meanwhile, its current state is decisive.
                    Err(error) if self.stored_function(name).await?.revision == revision => return Err(error),
                    Err(_) => {
                        self.again(&mut tries).await?;
                        continue;
                    }
                };
            }
            if new == old {
                if change.sends_code() && !change.publish_only {
                    // Repairs what somebody else changed in Lambda.
                    self.point_at_current(&new).await;
                }
                return Ok(AffectedRecords::ONE);
            }
            let flow_changed = new.flow != old.flow;
            let Some(changed) = self.write_change(&old, new, revision, &change).await? else {
                self.remove_if_deleted(&old.name).await?;
                self.again(&mut tries).await?;
                continue;
            };
            if flow_changed {
                self.flow_changed(changed.clone()).await;
            }
            if changed.history != old.history || changed.deployment != old.deployment {
                self.retire_in_background(old, changed, turn);
            }
            return Ok(AffectedRecords::ONE);
        }
    }

    /// Writes the Function as it is to be, with the version that it thereby becomes or makes, and returns it as it is then.
    /// `None` if others have changed it meanwhile.
    pub(super) async fn write_change(
        &self,
        old: &Function,
        mut new: Function,
        revision: Revision,
        change: &FunctionChange,
    ) -> Result<Option<Function>> {
        let now = self.inner.ports.clock.now();
        new.update_timestamp = now;
        let functions = &self.inner.store.functions;
        let changed = changed_fields(old, &new);
        let written = if changed.is_empty() {
            functions.update(&new, revision).await?
        } else {
            let number =
                old.history.newest.next().ok_or_else(|| Error::internal("the numbers of versions are used up"))?;
            let (created_by_user_id, label) = (change.by.clone(), change.label.clone());
            let note = VersionNote { number, created_timestamp: now, created_by_user_id, label, changed };
            let kept = if change.publish_only {
                let made = FunctionVersion::of(&new, note);
                FunctionVersion::of(old, old.history.current.clone()).apply_to(&mut new);
                KeptVersion { version: made, replaced: None }
            } else {
                new.history.current = note;
                new.history.end_canary(CanaryEnd::Replaced, now);
                KeptVersion { version: FunctionVersion::of(old, old.history.current.clone()), replaced: Some(now) }
            };
            new.history.newest = number;
            functions.update_and_keep(&new, revision, &kept).await?
        };
        if !written {
            return Ok(None);
        }
        if new.deployment != old.deployment {
            self.point_at_current(&new).await;
        }
        self.function_changed(&new).await;
        Ok(Some(new))
    }

    /// Deletes a Function; its Tasks, API Requests and logs stay readable, and its waiting Tasks fail. 16 when there
    /// is none.
    pub async fn delete_function(&self, name: &str) -> Result<AffectedRecords> {
        let function = self.stored_function(name).await?.value;
        let name = function.name.clone();
        let _turn = self.turn_to_change(&name).await?;
        // The record first. If the second step fails, the Lambda function that is left is never called, and is reused
        // when the name is created again. The other order could leave a Function that cannot run.
        if !self.inner.store.functions.delete(&name).await? {
            return Err(Error::unknown("function", name));
        }
        self.inner.functions.forget(&name);
        if let Err(error) = self.inner.ports.lambda.remove(&name).await {
            warn!(function = %name, %error, "the Lambda function of a deleted function was not removed");
        }
        self.forget_versions_in_background(function);
        info!(function = %name, "function deleted");
        self.wake(Wakeup::NOW).await;
        Ok(AffectedRecords::ONE)
    }

    /// Enables or disables a Function; does nothing if it already is. 16 when there is none, 1502 when concurrent changes
    /// keep winning. It does not wait for deployments in progress: they notice when they are written.
    pub async fn set_function_enabled(&self, name: &str, enabled: bool) -> Result<AffectedRecords> {
        let mut tries = self.tries();
        loop {
            let Versioned { value: mut function, revision } = self.stored_function(name).await?;
            if function.enabled == enabled {
                return Ok(AffectedRecords::ONE);
            }
            function.enabled = enabled;
            function.update_timestamp = self.inner.ports.clock.now();
            if !enabled {
                function.lane = Lane::Own;
            }
            if self.inner.store.functions.update(&function, revision).await? {
                info!(function = %function.name, enabled, "function enabled or disabled");
                self.function_changed(&function).await;
                return Ok(AffectedRecords::ONE);
            }
            self.again(&mut tries).await?;
        }
    }

    /// If another process deleted a Function during a deployment, the deployment may have recreated the Lambda
    /// function.
    async fn remove_if_deleted(&self, function: &FunctionName) -> Result<()> {
        if self.inner.store.functions.get(function).await?.is_none()
            && let Err(error) = self.inner.ports.lambda.remove(function).await
        {
            warn!(%function, %error, "the Lambda function of a deleted function was not removed");
        }
        Ok(())
    }

    pub(super) async fn stored_function(&self, name: &str) -> Result<Versioned<Function>> {
        let unknown = || Error::unknown("function", shorten(name));
        let name = FunctionName::parse(name).map_err(|_| unknown())?;
        self.inner.store.functions.get(&name).await?.ok_or_else(unknown)
    }

    async fn deploy(
        &self,
        spec: &FunctionSpec,
        code: Option<Code>,
        current: Option<&Deployment>,
    ) -> Result<Deployment> {
        if let Some(name) = spec.configuration.ambiguous_variable() {
            let message = format!(
                "The variable '{name}' is in 'environmentVariables' and in 'secrets': leave it out of one of them."
            );
            return Err(Error::new(ErrorKind::InvalidFunctionConfiguration, message));
        }
        check_image(&spec.configuration)?;
        let deployed = self.inner.ports.lambda.deploy(spec, code, current).await;
        deployed.map_err(|error| match error {
            DeployError::InvalidCode(why) => Error::new(ErrorKind::InvalidFunctionCode, why),
            DeployError::InvalidConfiguration(why) => Error::new(ErrorKind::InvalidFunctionConfiguration, why),
            DeployError::Conflict(why) => Error::conflicting_update().caused_by(why),
            DeployError::Port(error) => Error::internal(error),
        })
    }

    /// After a change, waiting Tasks may be able to run: the Function was enabled, or its limit was raised.
    pub(super) async fn function_changed(&self, function: &Function) {
        self.inner.functions.forget(&function.name);
        self.wake(Wakeup::NOW).await;
    }

    fn check_runtime(&self, runtime: &Runtime) -> Result<()> {
        match self.inner.settings.unknown_runtimes {
            _ if runtime.is_offered() => Ok(()),
            UnknownRuntimes::LeftToLambda if runtime.is_well_formed() => Ok(()),
            UnknownRuntimes::LeftToLambda | UnknownRuntimes::Refused => {
                let (name, offered) = (shorten(runtime.as_str()), Runtime::offered().join(", "));
                let message = format!("The runtime '{name}' is not one that Lambda offers: {offered}.");
                Err(Error::new(ErrorKind::InvalidFunctionConfiguration, message))
            }
        }
    }
}

/// Refuses what Lambda has for zips only: 1402.
fn check_image(configuration: &Configuration) -> Result<()> {
    let snap_start = configuration.aws.as_ref().and_then(|aws| aws.snap_start);
    let of_zips = match configuration.image() {
        Some(_) if !configuration.layers().is_empty() => "layers: put their files into the image",
        Some(_) if snap_start == Some(SnapStart::PublishedVersions) => "SnapStart",
        _ => return Ok(()),
    };
    let message = format!("A function that runs an image has no {of_zips}.");
    Err(Error::new(ErrorKind::InvalidFunctionConfiguration, message))
}

fn gone() -> Error {
    let message = "The version that had these bytes is gone: announce the upload again, and send them.";
    Error::new(ErrorKind::UploadUnknown, message)
}

fn taken(name: &FunctionName) -> Error {
    Error::new(ErrorKind::ResourceAlreadyExists, format!("The function '{name}' already exists."))
}
