//! Deploys the Functions of the `task-config.json` files to the service, and again when their files change.

mod job;
mod memory;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use tasklane_lambda_local::Support;
use tasklane_model::{ErrorKind, FunctionName, Program};
use tasklane_ports::PortFuture;
use tasklane_service::Service;
use tasklane_task_config::{FILE_NAME, TaskConfig};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::{
    job::{Done, Failure, Job},
    memory::Memory,
};
use super::watch::{Changes, Watch};
use crate::{
    env_file::EnvFile,
    output,
    stand_ins::ImageFiles,
    sync::{
        plan::Action,
        report::{fields, kept_line, left_out_line},
        schedules::SchedulePlan,
    },
};

/// What to sync, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folders to search for `task-config.json`, or such files.
    pub paths: Vec<PathBuf>,
    /// Code may be outside the paths.
    pub allow_outside: bool,
    /// Properties that a file does not name get their defaults.
    pub exact: bool,
    /// Functions whose file is gone are deleted.
    pub prune: bool,
    /// Where `$NAME` values come from, besides the environment.
    pub env_file: EnvFile,
    /// The file that remembers what was synced.
    pub memory: PathBuf,
    /// The URL by which Functions reach the service.
    pub host: String,
}

/// What this machine has for Functions, or lacks.
#[derive(Clone)]
pub struct Here {
    /// Where images are.
    pub images: Arc<ImageFiles>,
    /// Finds out what there is for a program.
    pub support: Arc<Supports>,
}

/// Finds out what this machine has for a program, or lacks.
pub type Supports = dyn Fn(Program) -> PortFuture<'static, Arc<Support>> + Send + Sync;

/// How many Functions are synced at once. Packing one of them may take long, which must not delay the others.
const AT_ONCE: usize = 4;

/// How long writes in progress may take after the stop. Everything they write is atomic, so one that takes longer is left.
const LAST_GRACE: Duration = Duration::from_millis(1500);

/// Keeps the service in step with the files.
pub struct Syncing {
    service: Service,
    options: Options,
    files: BTreeMap<PathBuf, File>,
    jobs: JoinSet<(PathBuf, Result<Done, Failure>)>,
    permits: Arc<Semaphore>,
    memory: Memory,
    gone: BTreeSet<FunctionName>,
    stop: CancellationToken,
    /// How many packages were made.
    packed: Arc<AtomicUsize>,
    here: Here,
    say: fn(&str),
}

/// A file whose Function could not be synced.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its path.
    pub file: PathBuf,
    /// What is wrong.
    pub why: String,
}

/// What is known about one file.
#[derive(Default)]
struct File {
    /// The configuration of the last job.
    config: Option<TaskConfig>,
    /// Where its code or its image is, as the watcher names it.
    place: Option<PathBuf>,
    is_running: bool,
    /// It changed while its job was running.
    is_due: bool,
    /// Whether its last job succeeded.
    is_synced: bool,
    /// What was said last about it, so that nothing is said twice.
    error: Option<String>,
    remarks: Vec<String>,
}

impl Syncing {
    /// Nothing is synced yet. `stop` ends it.
    pub fn new(service: Service, options: Options, here: Here, stop: CancellationToken) -> Self {
        let memory = Memory::load(&options.memory);
        Self {
            service,
            options,
            files: BTreeMap::new(),
            jobs: JoinSet::new(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            memory,
            gone: BTreeSet::new(),
            stop,
            packed: Arc::default(),
            here,
            say: output::note,
        }
    }

    /// Syncs everything, calls `ready` with the Functions that work and the files of the others, and then syncs each Function whose files change. If a
    /// configuration is broken, the error is printed, and its Function on the service stays unchanged.
    pub async fn run(mut self, mut watch: Watch, ready: impl FnOnce(&[TaskConfig], &[Refused])) {
        let stop = self.stop.clone();
        let mut ready = Some(ready);
        self.consider(&Changes::everything()).await;
        loop {
            if self.jobs.is_empty()
                && let Some(ready) = ready.take()
            {
                ready(&self.synced(), &self.refusals());
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.jobs.join_next(), if !self.jobs.is_empty() => self.ended(ended),
                changes = watch.changed() => self.consider(&changes).await,
            }
        }
        let writing = async { while self.jobs.join_next().await.is_some() {} };
        // Those that are packing stop by themselves.
        let _ = tokio::time::timeout(LAST_GRACE, writing).await;
    }

    /// The configurations of the Functions that work.
    fn synced(&self) -> Vec<TaskConfig> {
        self.files.values().filter(|file| file.is_synced).filter_map(|file| file.config.clone()).collect()
    }

    /// The files whose Functions could not be synced.
    fn refusals(&self) -> Vec<Refused> {
        let files = self.files.iter().filter(|(_, file)| !file.is_synced);
        let refused = |(path, file): (&PathBuf, &File)| Refused {
            file: path.clone(),
            why: file.error.clone().unwrap_or_default(),
        };
        files.map(refused).collect()
    }

    /// Starts a job for each Function that these changes may concern.
    async fn consider(&mut self, changes: &Changes) {
        let found = match tasklane_task_config::find(&self.options.paths) {
            Ok(found) => found,
            Err(error) => return (self.say)(&format!("error: {error}")),
        };
        if found.is_empty() && self.files.is_empty() {
            let paths: Vec<_> = self.options.paths.iter().map(|path| path.display().to_string()).collect();
            (self.say)(&format!("no {FILE_NAME} below {}; each one describes a Function", paths.join(", ")));
        }
        self.files.retain(|file, _| found.contains(file));
        let variables = self.options.env_file.read();
        if let Err(error) = &variables {
            (self.say)(&format!("error: {error:#}"));
        }
        let lookup = |name: &str| variables.as_ref().ok().and_then(|variables| variables.get(name));
        let mut described: BTreeMap<FunctionName, PathBuf> = BTreeMap::new();
        for path in found {
            let confines = self.confines(&path);
            match TaskConfig::load(&path, confines.as_deref(), &lookup) {
                Ok(config) => match described.get(&config.name) {
                    Some(first) => {
                        let first = first.display();
                        self.refused(&path, format!("{first} has the same name '{}'", config.name));
                    }
                    None => {
                        described.insert(config.name.clone(), path.clone());
                        self.changed(path, config, changes);
                    }
                },
                Err(error) => self.refused(&path, error.to_string()),
            }
        }
        self.forget_gone(&described).await;
    }

    /// The folder that the file's code must be in.
    fn confines(&self, file: &Path) -> Option<PathBuf> {
        let given = self.options.paths.iter().find(|path| file.starts_with(path)).map_or(file, PathBuf::as_path);
        (!self.options.allow_outside).then(|| tasklane_task_config::folder_of(given).to_owned())
    }

    /// Starts a job for this file if its configuration or its code may have changed.
    fn changed(&mut self, path: PathBuf, config: TaskConfig, changes: &Changes) {
        let file = self.files.entry(path.clone()).or_default();
        let place = config.program.place();
        let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
        let is_new = file.config.as_ref() != Some(&config) || file.error.is_some();
        if !is_new && !changes.concern(&place) {
            return;
        }
        (file.config, file.place) = (Some(config), Some(place));
        if file.is_running {
            file.is_due = true;
        } else {
            self.start(path);
        }
    }

    fn start(&mut self, path: PathBuf) {
        let Some(file) = self.files.get_mut(&path) else { return };
        let Some(config) = file.config.clone() else { return };
        (file.is_running, file.is_due) = (true, false);
        let job = Job {
            service: self.service.clone(),
            config,
            exact: self.options.exact,
            host: self.options.host.clone(),
            known: self.memory.code_of(&path),
            stop: self.stop.clone(),
            packed: Arc::clone(&self.packed),
            here: self.here.clone(),
            say: self.say,
        };
        let permits = Arc::clone(&self.permits);
        self.jobs.spawn(async move {
            // Nobody closes the semaphore.
            let _permit = permits.acquire_owned().await;
            (path, job.run().await)
        });
    }

    fn ended(&mut self, ended: Result<(PathBuf, Result<Done, Failure>), tokio::task::JoinError>) {
        let (path, result) = match ended {
            Ok(ended) => ended,
            Err(error) => return (self.say)(&format!("error: a sync was lost: {error}")),
        };
        let Some(file) = self.files.get_mut(&path) else { return };
        file.is_running = false;
        match result {
            Ok(done) => {
                self.memory.remember(&path, &done.name, done.code.clone());
                if let Err(error) = self.memory.save(&self.options.memory) {
                    (self.say)(&format!("warning: cannot remember what was synced: {error}"));
                }
                self.told(&path, &done);
            }
            Err(Failure::Stopped) => return,
            Err(Failure::Refused(why)) => self.refused(&path, why),
        }
        if self.files.get(&path).is_some_and(|file| file.is_due) {
            self.start(path);
        }
    }

    fn told(&mut self, path: &Path, done: &Done) {
        let Some(file) = self.files.get_mut(path) else { return };
        let (name, place) = (&done.name, path.display());
        match done.action {
            Action::Create => (self.say)(&format!("{name}: created from {place}")),
            Action::Update => {
                (self.say)(&format!("{name}: updated ({}) from {place}", fields(&done.changes).join(", ")));
            }
            Action::Nothing if file.is_synced && file.error.is_none() => {}
            Action::Nothing => (self.say)(&format!("{name}: unchanged")),
        }
        let missing = done.cannot_run.as_ref().map(|why| format!("warning: {why}"));
        let remarks = [missing, kept_line(&done.kept), left_out_line(&done.left_out), done.unknown.clone()];
        let remarks: Vec<_> = remarks.into_iter().flatten().collect();
        if done.action != Action::Nothing || remarks != file.remarks {
            remarks.iter().for_each(|remark| (self.say)(&format!("{name}: {remark}")));
        }
        (file.remarks, file.error, file.is_synced) = (remarks, None, true);
    }

    /// Says what is wrong with a file, unless that was said last.
    fn refused(&mut self, path: &Path, why: String) {
        let file = self.files.entry(path.to_owned()).or_default();
        if file.error.as_ref() == Some(&why) {
            return;
        }
        let place = path.display().to_string();
        // A configuration's error begins with its file.
        let reason = why.strip_prefix(&format!("{place}: ")).unwrap_or(&why);
        let stays = if self.memory.name_of(path).is_some() { " (the deployed version is unchanged)" } else { "" };
        (self.say)(&format!("error: could not sync {place}: {reason}{stays}"));
        (file.error, file.is_synced) = (Some(why), false);
    }

    /// Deals with the Functions that were synced from files which no longer describe them.
    async fn forget_gone(&mut self, described: &BTreeMap<FunctionName, PathBuf>) {
        for (path, name) in self.memory.names() {
            // A broken file may still describe it.
            let is_broken = self.files.get(&path).is_some_and(|file| file.error.is_some());
            let is_ours = self.options.paths.iter().any(|given| path.starts_with(given));
            if described.contains_key(&name) || is_broken || !is_ours {
                continue;
            }
            let there = match self.service.get_function(name.as_str()).await {
                Err(error) if error.kind() == ErrorKind::ResourceUnknown => false,
                Ok(_) | Err(_) => true,
            };
            if there && !self.options.prune {
                if self.gone.insert(name.clone()) {
                    let advice = format!("`tasklane delete {name}` deletes it, and so does `dev --prune`");
                    (self.say)(&format!("{name}: no file describes it any more, and it stays deployed; {advice}"));
                }
                continue;
            }
            if there {
                match self.delete(&name).await {
                    Ok(_) => (self.say)(&format!("{name}: deleted, because no file describes it any more")),
                    Err(error) => {
                        (self.say)(&format!("error: could not delete {name}: {}", error.message()));
                        continue;
                    }
                }
            }
            self.memory.forget(&path, &name);
            let _ = self.memory.save(&self.options.memory);
        }
        self.gone.retain(|name| !described.contains_key(name));
    }

    /// Deletes a Function and the Schedules that were made from its file.
    async fn delete(&self, name: &FunctionName) -> tasklane_model::Result<()> {
        for step in SchedulePlan::new(&[], &self.service.schedules_of(name).await?).steps {
            job::write_schedule(&self.service, step, name).await?;
        }
        self.service.delete_function(name.as_str()).await.map(|_| ())
    }
}
