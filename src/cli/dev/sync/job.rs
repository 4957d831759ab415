//! Syncs one Function.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tasklane_client::{
    ExecutionCredentials, ExecutionCredentialsBody, ExecutionKeys, FunctionDetails, OptionsBody, Variable,
};
use tasklane_lambda_local::{Support, image_digest};
use tasklane_model::{
    ByteSize, Caller, CodeSha256, Error, ErrorKind, Function, FunctionName, Identity, Permissions, Program, Runtime,
    Secret, UserId,
};
use tasklane_runtime::lock::Lock;
use tasklane_service::{FunctionChange, HeldKeys, NewExecutionCredentials, NewFunction, NewProgram, SentCode, Service};
use tasklane_task_config::{ConfiguredProgram, Fingerprint, Listing, PackError, Package, TaskConfig};
use tokio_util::sync::CancellationToken;

use super::{Here, memory::KnownCode};
use crate::sync::{
    execution,
    plan::{Action, Change, Plan},
    schedules::{SchedulePlan, Step, new_schedule, whole_change},
};

/// One Function to be synced.
pub(super) struct Job {
    pub(super) service: Service,
    pub(super) config: TaskConfig,
    /// Properties that the file does not name get their defaults.
    pub(super) exact: bool,
    /// The URL by which Functions reach the service.
    pub(super) host: String,
    /// The code as it was packed before.
    pub(super) known: Option<KnownCode>,
    pub(super) stop: CancellationToken,
    /// Counts the packages that were made.
    pub(super) packed: Arc<AtomicUsize>,
    pub(super) here: Here,
    pub(super) say: fn(&str),
}

/// A synced Function.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) name: FunctionName,
    pub(super) action: Action,
    pub(super) changes: Vec<Change>,
    pub(super) kept: Vec<Change>,
    pub(super) left_out: Vec<String>,
    /// Which of its permissions grant nothing, if any.
    pub(super) unknown: Option<String>,
    /// Why it cannot run on this machine, if so.
    pub(super) cannot_run: Option<String>,
    /// The code, if its state can be recognized.
    pub(super) code: Option<KnownCode>,
}

/// A Function was not synced.
#[derive(Debug)]
pub(super) enum Failure {
    /// For this reason.
    Refused(String),
    /// The service stops.
    Stopped,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error.message().to_owned())
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Stopped => Self::Stopped,
            error => Self::Refused(error.to_string()),
        }
    }
}

/// How long a job may say nothing.
const SILENCE: Duration = Duration::from_secs(1);

impl Job {
    /// Syncs the Function, and says what it is doing if that takes long.
    pub(super) async fn run(self) -> Result<Done, Failure> {
        let stage = Lock::new(String::new());
        let syncing = self.sync(&stage);
        tokio::pin!(syncing);
        let mut said = String::new();
        loop {
            tokio::select! {
                result = &mut syncing => return result,
                () = tokio::time::sleep(SILENCE) => {
                    let stage = stage.lock().clone();
                    if stage != said {
                        (self.say)(&format!("{}: {stage} …", self.config.name));
                        said = stage;
                    }
                }
            }
        }
    }

    async fn sync(&self, stage: &Lock<String>) -> Result<Done, Failure> {
        let at = |what: String| *stage.lock() = what;
        at("reading its code".to_owned());
        let mut found = self.find_code(&at).await?;
        at("comparing it with the service".to_owned());
        let current = match self.service.get_function(self.config.name.as_str()).await {
            Ok(function) => Some(details_of(&function)),
            Err(error) if error.kind() == ErrorKind::ResourceUnknown => None,
            Err(error) => return Err(error.into()),
        };
        let config = if self.exact && current.is_some() { self.config.exact() } else { self.config.clone() };
        let (config, changes) = self.with_execution_credentials(config, current.as_ref()).await?;
        let unknown =
            config.execution_credentials.as_ref().and_then(|wanted| execution::unknown_line(&wanted.permissions));
        let mut plan = Plan::new(&config, found.code_sha256, current.as_ref(), false).with_changes(changes);
        if let Some(wanted) = &config.schedules {
            let existing = self.service.schedules_of(&config.name).await?;
            plan = plan.with_schedules(SchedulePlan::new(wanted, &existing));
        }
        if plan.sends_code
            && let Some(folder) = &mut found.folder
            && folder.package.is_none()
        {
            folder.package = Some(self.pack(&folder.listing, &at).await?);
        }
        if self.stop.is_cancelled() {
            return Err(Failure::Stopped);
        }
        at("deploying".to_owned());
        let (code, left_out) = (found.known(), found.left_out());
        let zip = found.folder.and_then(|folder| folder.package).filter(|_| plan.sends_code).map(|package| package.zip);
        let TaskConfig { name, program, options, .. } = config;
        match (plan.action, program.program(), zip) {
            (Action::Nothing, ..) => {}
            (Action::Update, ..) if !plan.writes_function => {}
            (Action::Create, Program::Zip { entry_point, runtime }, Some(zip)) => {
                let program = NewProgram::Zip { code: SentCode::Zip(zip), entry_point, runtime };
                let new = NewFunction { name: name.clone(), program, options, label: None, by: None };
                self.service.create_function(new).await?;
            }
            (Action::Create, Program::Image { image }, _) => {
                let program = NewProgram::Image(image);
                let new = NewFunction { name: name.clone(), program, options, label: None, by: None };
                self.service.create_function(new).await?;
            }
            (Action::Create | Action::Update, Program::Zip { entry_point, runtime }, zip) => {
                let change = FunctionChange {
                    code: zip.map(SentCode::Zip),
                    entry_point: Some(entry_point),
                    runtime: Some(runtime),
                    options,
                    ..FunctionChange::default()
                };
                self.service.update_function(name.as_str(), change).await?;
            }
            (Action::Update, Program::Image { image }, _) => {
                let image = plan.sends_code.then_some(image);
                let change = FunctionChange { image, options, ..FunctionChange::default() };
                self.service.update_function(name.as_str(), change).await?;
            }
        }
        for step in plan.schedules.steps {
            write_schedule(&self.service, step, &name).await?;
        }
        let cannot_run = self.cannot_run().await;
        Ok(Done {
            name,
            action: plan.action,
            changes: plan.changes,
            kept: plan.kept,
            left_out,
            unknown,
            cannot_run,
            code,
        })
    }

    /// The configuration with the variables that its `executionCredentials` ask for, and what that changed.
    async fn with_execution_credentials(
        &self,
        config: TaskConfig,
        current: Option<&FunctionDetails>,
    ) -> Result<(TaskConfig, Vec<Change>), Failure> {
        let Some(wanted) = &config.execution_credentials else { return Ok((config, Vec::new())) };
        let ExecutionCredentialsBody { permissions, email, consumer_key, token, dry_run } =
            execution::body(wanted, current, false);
        let held = consumer_key.zip(token).map(|(consumer_key, token)| HeldKeys { consumer_key, token });
        let wanted = NewExecutionCredentials { permissions, email, held, dry_run };
        let set = self.service.set_execution_credentials(&administrator()?, &config.name, wanted).await?;
        let answer = answer_of(set);
        let changes = execution::changes(&answer);
        let config = execution::with_variables(config, current, &self.host, &answer);
        config.map(|config| (config, changes)).map_err(|error| Failure::Refused(format!("{error:#}")))
    }

    /// Only the runtimes of Functions are looked for: a machine may have many, and looking takes time.
    async fn cannot_run(&self) -> Option<String> {
        let program = self.config.program.program();
        let name = program.runtime().map_or("an image", Runtime::as_str).to_owned();
        match &*(self.here.support)(program).await {
            Support::Missing(why) => Some(format!("{name} cannot run here: {why}")),
            Support::Exact(_) | Support::OtherVersion(_) | Support::Bootstrap | Support::Image => None,
        }
    }

    /// The code as it is now: the folder is packed, unless its state is known.
    async fn find_code(&self, at: &impl Fn(String)) -> Result<FoundCode, Failure> {
        let dir = match &self.config.program {
            ConfiguredProgram::Zip { code_dir, .. } => code_dir.clone(),
            ConfiguredProgram::Image { image, .. } | ConfiguredProgram::ImageFile { image, .. } => {
                // Without it, the deployment says what to do.
                let Some(place) = self.here.images.of(&self.config.program) else { return Ok(FoundCode::default()) };
                let digest = image_digest(place, image.clone()).await;
                let digest = digest.map_err(|error| Failure::Refused(format!("the image at {error}")))?;
                return Ok(FoundCode { code_sha256: Some(digest), folder: None });
            }
        };
        let listing = Arc::new(blocking(move || Listing::of(&dir)).await??);
        let fingerprint = listing.fingerprint();
        let known = self.known.as_ref().filter(|known| Some(&known.fingerprint) == fingerprint.as_ref());
        let (code_sha256, package) = match known {
            Some(known) => (known.code_sha256, None),
            None => {
                let package = self.pack(&listing, at).await?;
                (package.code_sha256, Some(package))
            }
        };
        let folder = FoundFolder { listing, fingerprint, package };
        Ok(FoundCode { code_sha256: Some(code_sha256), folder: Some(folder) })
    }

    async fn pack(&self, listing: &Arc<Listing>, at: &impl Fn(String)) -> Result<Package, Failure> {
        at(format!("packing {}", ByteSize(listing.bytes())));
        self.packed.fetch_add(1, Ordering::Relaxed);
        let (listing, stop) = (Arc::clone(listing), self.stop.clone());
        Ok(blocking(move || listing.pack(&|| stop.is_cancelled())).await??)
    }
}

/// The code of a Function as it is now.
#[derive(Default)]
struct FoundCode {
    /// `None` for an image that this machine does not have.
    code_sha256: Option<CodeSha256>,
    /// The folder that it is packed from. An image has none.
    folder: Option<FoundFolder>,
}

struct FoundFolder {
    listing: Arc<Listing>,
    fingerprint: Option<Fingerprint>,
    package: Option<Package>,
}

impl FoundCode {
    /// What to remember about it, if its state can be recognized.
    fn known(&self) -> Option<KnownCode> {
        let folder = self.folder.as_ref()?;
        let code_sha256 = folder.package.as_ref().map(|package| package.code_sha256).or(self.code_sha256)?;
        Some(KnownCode { fingerprint: folder.fingerprint.clone()?, code_sha256 })
    }

    fn left_out(&self) -> Vec<String> {
        self.folder.as_ref().map(|folder| folder.listing.left_out().to_vec()).unwrap_or_default()
    }
}

/// Makes one call for a Schedule of this Function.
pub(super) async fn write_schedule(service: &Service, step: Step, function: &FunctionName) -> Result<(), Error> {
    match step {
        Step::Create(wanted) => {
            service.create_schedule(&Caller::Nobody, new_schedule(wanted, function.clone())).await.map(|_| ())
        }
        Step::Update(id, wanted) => service.update_schedule(id, whole_change(wanted)).await.map(|_| ()),
        Step::Delete(id) => service.delete_schedule(id).await.map(|_| ()),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::Refused(format!("packing was lost: {error}")))
}

/// The caller of a sync. People who can write the files in these folders administer this service.
fn administrator() -> Result<Caller, Failure> {
    let user_id = UserId::parse("administrator").map_err(|rule| Failure::Refused(rule.to_string()))?;
    Ok(Caller::User(Identity { user_id, application_id: None, permissions: Permissions::all() }.into()))
}

/// What was done about a Function's credentials, as the API says it.
fn answer_of(set: tasklane_service::ExecutionCredentials) -> ExecutionCredentials {
    let keys = set.keys.map(|keys| ExecutionKeys {
        consumer_key: keys.consumer_key,
        consumer_secret: Secret::new(keys.consumer_secret),
        token: keys.token,
        token_secret: Secret::new(keys.token_secret),
    });
    ExecutionCredentials {
        role: set.role,
        email: set.email,
        role_created: set.role_created,
        permissions_added: set.permissions_added,
        permissions_removed: set.permissions_removed,
        user_created: set.user_created,
        role_given: set.role_given,
        credential_created: set.credential_created,
        keys,
    }
}

/// The Function as the API shows it.
fn details_of(function: &Function) -> FunctionDetails {
    let configuration = &function.configuration;
    let variables = configuration.environment.iter();
    let variables: BTreeMap<_, _> =
        variables.map(|(name, value)| (name.to_owned(), Variable { value: value.to_owned() })).collect();
    FunctionDetails {
        name: function.name.clone(),
        description: configuration.description.clone(),
        entry_point: configuration.entry_point().map(|entry_point| entry_point.as_str().to_owned()),
        runtime: configuration.runtime().map(|runtime| runtime.as_str().to_owned()),
        image: configuration.image().map(|image| image.as_str().to_owned()),
        time_limit: Some(i64::from(configuration.time_limit)),
        memory_limit: Some(i64::from(configuration.memory_limit)),
        environment_variables: variables,
        secrets: configuration.secrets.clone(),
        aws: configuration.aws.clone(),
        retry_policy: function.retry_policy.clone(),
        execution_options: OptionsBody {
            permission_mode: Some(function.execution_options.permission_mode.as_str().to_owned()),
            default_priority: Some(i64::from(function.execution_options.default_priority)),
            concurrency_limit: Some(function.execution_options.concurrency_limit.map(i64::from)),
        },
        timeouts: function.timeouts,
        enabled: function.enabled,
        update_timestamp: Some(function.update_timestamp),
        code_sha256: Some(function.deployment.code_sha256.to_string()),
        store_result: function.store_result,
        events: function.events,
        flow: function.flow.clone(),
        data_schema: function.data_schema.clone(),
        result_schema: function.result_schema.clone(),
        version: Some(function.history.current.number),
        label: function.history.current.label.as_ref().map(ToString::to_string),
        // A sync looks at neither.
        canary: None,
        last_canary: None,
    }
}
