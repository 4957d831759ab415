//! A valid configuration.

use std::path::{Path, PathBuf};

use super::{ConfigError, Draft};
use crate::model::{
    EntryPoint, Environment, FunctionName, MemoryLimit, PermissionMode, Priority, RetryPolicy, Runtime, TimeLimit,
};

/// A valid `task-config.json` (contract §10). Absent properties are `None`: a new Function gets the service's default, an
/// existing one keeps its value, as with the official CLI.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskConfig {
    pub name: FunctionName,
    /// The folder with the code: `path`, relative to the file's own folder. It existed when the file was read.
    pub code_dir: PathBuf,
    pub entry_point: EntryPoint,
    pub runtime: Runtime,
    /// At most 256 characters.
    pub description: Option<String>,
    pub time_limit: Option<TimeLimit>,
    pub memory_limit: Option<MemoryLimit>,
    /// The whole `environment`, with `$NAME` values replaced.
    pub environment: Option<Environment>,
    /// `executionPermission`: who may execute it directly or call it as an API Function.
    pub permission_mode: Option<PermissionMode>,
    /// The default priority of its Tasks.
    pub default_priority: Option<Priority>,
    pub retry_policy: Option<RetryPolicy>,
}

impl TaskConfig {
    /// Reads the file at `path`; `variables` looks up the `$NAME` values. Its code folder must be inside `confines`, if that
    /// is given.
    ///
    /// # Errors
    /// All problems at once. Values from variables are not shown, except a path.
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
}
