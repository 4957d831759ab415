//! A configuration that keeps to the rules.

use std::path::{Path, PathBuf};

use super::{ConfigError, Draft};
use crate::model::{
    EntryPoint, Environment, FunctionName, MemoryLimit, PermissionMode, Priority, RetryPolicy, Runtime, TimeLimit,
};

/// What a `task-config.json` says (contract §10). What it does not say is `None`: a new Function then gets the
/// service's default, one that exists keeps what it has, as with the official CLI.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskConfig {
    /// The Function's name.
    pub name: FunctionName,
    /// The folder that holds its code: `path`, resolved against the file's own folder. It was there when the file was read.
    pub code_dir: PathBuf,
    /// What Lambda calls.
    pub entry_point: EntryPoint,
    /// What runs it.
    pub runtime: Runtime,
    /// What it is for, at most 256 characters.
    pub description: Option<String>,
    /// How long one run may take.
    pub time_limit: Option<TimeLimit>,
    /// How much memory one run may take.
    pub memory_limit: Option<MemoryLimit>,
    /// `environment`: the whole of it, `$NAME` values filled in.
    pub environment: Option<Environment>,
    /// `executionPermission`: who may execute it directly or call it as an API Function.
    pub permission_mode: Option<PermissionMode>,
    /// The priority of its Tasks when nobody says otherwise.
    pub default_priority: Option<Priority>,
    /// What happens after a run failed.
    pub retry_policy: Option<RetryPolicy>,
}

impl TaskConfig {
    /// Reads the file at `path`; `variables` looks up the `$NAME` values. Its code folder must lie in `confines`, when
    /// that is given.
    ///
    /// # Errors
    /// All that is wrong with it, at once. Of what came out of a variable only a path is shown.
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
