//! Deploys the Functions of the `task-config.json` files to the service.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tasklane_model::{CodeSha256, Error, ErrorKind};
use tasklane_service::{FunctionChange, NewFunction, Service};
use tasklane_task_config::{Package, TaskConfig, pack};

use crate::output;

/// The last synced state of each file, so that a save without changes prints nothing.
pub struct Synced {
    files: BTreeMap<PathBuf, State>,
    allow_outside: bool,
}

#[derive(PartialEq)]
enum State {
    Holds(Box<TaskConfig>, CodeSha256),
    Broken(String),
}

impl Synced {
    /// Nothing yet. `allow_outside`: code may be outside the paths.
    pub fn new(allow_outside: bool) -> Self {
        Self { files: BTreeMap::new(), allow_outside }
    }

    /// Syncs every `task-config.json` under the paths. If one is broken, the error is printed, and its Function on the service
    /// stays unchanged.
    pub async fn sync(&mut self, service: &Service, paths: &[PathBuf]) {
        let files = match tasklane_task_config::find(paths) {
            Ok(files) => files,
            Err(error) => return output::note(&format!("error: {error}")),
        };
        // If a file disappears, its Function stays: people delete Functions explicitly.
        self.files.retain(|file, _| files.contains(file));
        for file in files {
            let given = paths.iter().find(|path| file.starts_with(path)).unwrap_or(&file);
            let confines = (!self.allow_outside).then(|| tasklane_task_config::folder_of(given).to_owned());
            self.sync_file(service, file, confines.as_deref()).await;
        }
    }

    async fn sync_file(&mut self, service: &Service, file: PathBuf, confines: Option<&Path>) {
        let read = read(&file, confines).await;
        let state = match &read {
            Ok((config, package)) => State::Holds(Box::new(config.clone()), package.code_sha256),
            Err(why) => State::Broken(why.clone()),
        };
        if self.files.get(&file) == Some(&state) {
            return;
        }
        let told = match read {
            Ok((config, package)) => {
                let name = config.name.clone();
                match apply(service, config, package).await {
                    Ok(Applied::Created) => Ok(format!("{name}: created from {}", file.display())),
                    Ok(Applied::Updated) => Ok(format!("{name}: updated from {}", file.display())),
                    Ok(Applied::Unchanged) => Ok(format!("{name}: unchanged")),
                    Err(error) => Err(error.message().to_owned()),
                }
            }
            Err(why) => Err(why),
        };
        match told {
            Ok(line) => {
                output::note(&line);
                self.files.insert(file, state);
            }
            Err(why) => {
                let place = file.display().to_string();
                // A configuration's error begins with its file.
                let reason = why.strip_prefix(&format!("{place}: ")).unwrap_or(&why);
                output::note(&format!(
                    "error: could not sync {place}: {reason} (the deployed version, if any, is unchanged)"
                ));
                self.files.insert(file, State::Broken(why));
            }
        }
    }
}

enum Applied {
    Created,
    Updated,
    Unchanged,
}

async fn read(file: &Path, confines: Option<&Path>) -> Result<(TaskConfig, Package), String> {
    let config =
        TaskConfig::load(file, confines, &|name| std::env::var(name).ok()).map_err(|error| error.to_string())?;
    let folder = config.code_dir.clone();
    let packed = tokio::task::spawn_blocking(move || pack(&folder)).await.map_err(|error| error.to_string())?;
    Ok((config, packed.map_err(|error| error.to_string())?))
}

async fn apply(service: &Service, config: TaskConfig, package: Package) -> Result<Applied, Error> {
    let TaskConfig { name, entry_point, runtime, options, .. } = config;
    match service.get_function(name.as_str()).await {
        Ok(before) => {
            let code = (before.deployment.code_sha256 != package.code_sha256).then_some(package.zip);
            let change = FunctionChange { code, entry_point: Some(entry_point), runtime: Some(runtime), options };
            service.update_function(name.as_str(), change).await?;
            let after = service.get_function(name.as_str()).await?;
            Ok(if after == before { Applied::Unchanged } else { Applied::Updated })
        }
        Err(error) if error.kind() == ErrorKind::ResourceUnknown => {
            let new = NewFunction { name, code: package.zip, entry_point, runtime, options };
            service.create_function(new).await?;
            Ok(Applied::Created)
        }
        Err(error) => Err(error),
    }
}
