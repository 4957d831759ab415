//! A valid configuration.

use std::path::{Path, PathBuf};

use tasklane_model::{EntryPoint, FunctionName, FunctionOptions, Runtime};

use super::{ConfigError, Draft};

/// A valid `task-config.json` (contract §10). Absent properties are `None`: a new Function gets the service's default, an
/// existing one keeps its value, as with the official CLI.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskConfig {
    pub name: FunctionName,
    /// The folder with the code: `path`, relative to the file's own folder. It existed when the file was read.
    pub code_dir: PathBuf,
    pub entry_point: EntryPoint,
    pub runtime: Runtime,
    /// Everything that has a default; `$NAME` values of the environment are filled in. A file cannot set the
    /// concurrency limit.
    pub options: FunctionOptions,
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
}
