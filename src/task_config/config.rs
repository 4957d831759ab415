//! A valid configuration.

use std::path::{Path, PathBuf};

use tasklane_model::{
    CatchUp, EmailAddress, EntryPoint, FunctionName, FunctionOptions, ImageReference, Json, OnComplete, Overlap,
    Permissions, Priority, Program, Recurrence, RetryPolicyChange, Runtime, ScheduleName, Timestamp,
};

use super::{ConfigError, Draft};

/// A valid `task-config.json` (contract §10). Absent properties are `None`: a new Function gets the service's default, an
/// existing one keeps its value, as with the official CLI.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskConfig {
    pub name: FunctionName,
    pub program: ConfiguredProgram,
    /// Everything that has a default; `$NAME` values of the environment are filled in.
    pub options: FunctionOptions,
    /// What the Function may do with the service; `None` if `sync` is to leave that alone.
    pub execution_credentials: Option<ExecutionCredentials>,
    /// The Schedules that `sync` keeps up to date; `None` if it is to leave them alone.
    pub schedules: Option<Vec<ConfiguredSchedule>>,
}

/// What the Function runs.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfiguredProgram {
    /// A handler in a folder, which is packed.
    Zip {
        /// `path`, relative to the file's own folder. It existed when the file was read.
        code_dir: PathBuf,
        entry_point: EntryPoint,
        runtime: Runtime,
    },
    /// A container image in a registry.
    Image {
        image: ImageReference,
        /// The file's own folder.
        folder: PathBuf,
    },
    /// A container image in an OCI layout or an archive, for this machine only.
    ImageFile {
        /// Relative to the file's own folder. It existed when the file was read.
        place: PathBuf,
        /// The name that stands for it.
        image: ImageReference,
    },
}

impl ConfiguredProgram {
    /// The program as a Function has it.
    pub fn program(&self) -> Program {
        match self {
            Self::Zip { entry_point, runtime, .. } => {
                Program::Zip { entry_point: entry_point.clone(), runtime: runtime.clone() }
            }
            Self::Image { image, .. } | Self::ImageFile { image, .. } => Program::Image { image: image.clone() },
        }
    }

    /// The folder or file that a change of the program shows in, as far as it is beside the configuration.
    pub fn place(&self) -> &Path {
        match self {
            Self::Zip { code_dir, .. } => code_dir,
            Self::Image { folder, .. } => folder,
            Self::ImageFile { place, .. } => place,
        }
    }

    /// The name of the image that it runs, if it runs one.
    pub fn image(&self) -> Option<&ImageReference> {
        match self {
            Self::Zip { .. } => None,
            Self::Image { image, .. } | Self::ImageFile { image, .. } => Some(image),
        }
    }
}

/// What a Function may do with the service. `sync` makes a role, a user and a credential for it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionCredentials {
    /// The names in its role, among which may be permissions of other services.
    pub permissions: Permissions,
    /// The address of its user; `None` for the service's default.
    pub email: Option<EmailAddress>,
}

/// The environment variables that a Function finds its credential in, as the official SDK and CLI name them.
pub const CREDENTIAL_VARIABLES: [&str; 5] =
    ["API_HOST", "API_OAUTH_CONSUMER_KEY", "API_OAUTH_CONSUMER_SECRET", "API_OAUTH_TOKEN", "API_OAUTH_TOKEN_SECRET"];

/// A Schedule of the Function, as the file describes it. What is absent has its default.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfiguredSchedule {
    /// The only one of the file with this name.
    pub name: ScheduleName,
    pub recurrence: Recurrence,
    pub data: Option<Json>,
    pub priority: Option<Priority>,
    pub overlap: Option<Overlap>,
    pub catch_up: Option<CatchUp>,
    pub start_timestamp: Option<Timestamp>,
    pub end_timestamp: Option<Timestamp>,
    pub on_complete: Option<OnComplete>,
}

impl TaskConfig {
    /// Reads the file at `path`; `variables` looks up the `$NAME` values. Its code folder must be inside `confines`, if that
    /// is given.
    ///
    /// # Errors
    /// All problems at once. Values from variables are not shown, except paths.
    pub fn load(
        path: &Path,
        confines: Option<&Path>,
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut draft = Draft::read(path, variables)?;
        if let Some(folder) = confines {
            draft.confine_to(folder);
        }
        draft.finish()
    }

    /// The same configuration, in which each property that the file does not name has its default, instead of keeping what the
    /// Function has.
    #[must_use]
    pub fn exact(&self) -> Self {
        let named = &self.options;
        let retry_policy = named.retry_policy.clone().unwrap_or_default();
        let options = FunctionOptions {
            description: Some(named.description.clone().unwrap_or_default()),
            time_limit: Some(named.time_limit.unwrap_or_default()),
            memory_limit: Some(named.memory_limit.unwrap_or_default()),
            environment: Some(named.environment.clone().unwrap_or_default()),
            secrets: Some(named.secrets.clone().unwrap_or_default()),
            aws: named.aws.clone().or(Some(None)),
            retry_policy: Some(RetryPolicyChange {
                errors_not_to_retry: retry_policy.errors_not_to_retry.or(Some(None)),
                strategy: retry_policy.strategy.or(Some(None)),
                ..retry_policy
            }),
            permission_mode: Some(named.permission_mode.unwrap_or_default()),
            default_priority: Some(named.default_priority.unwrap_or_default()),
            queued_timeout: named.queued_timeout.or(Some(None)),
            concurrency_limit: named.concurrency_limit.or(Some(None)),
            store_result: named.store_result.or(Some(None)),
            events: Some(named.events.unwrap_or_default()),
            flow: named.flow.clone().or(Some(None)),
            data_schema: named.data_schema.clone().or(Some(None)),
            result_schema: named.result_schema.clone().or(Some(None)),
        };
        let schedules = Some(self.schedules.clone().unwrap_or_default());
        Self { options, schedules, ..self.clone() }
    }
}
