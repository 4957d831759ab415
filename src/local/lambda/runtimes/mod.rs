//! The runtimes that this machine has.
//!
//! An interpreter of the wanted version on the PATH is used, or else the newest one of that version that a version manager
//! has installed, or else another version.

mod language;
mod managers;
mod probe;
mod release;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tasklane_model::{Program, Runtime, RuntimeFamily};
use tasklane_runtime::lock::Lock;
use tokio::sync::OnceCell;

pub use self::language::Language;
use self::{
    managers::{Installed, Managers},
    probe::probe,
    release::Release,
};

/// A runtime and how well this machine supports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeSupport {
    pub runtime: Runtime,
    pub support: Support,
    /// How to get an interpreter of exactly this version.
    pub advice: Option<String>,
}

/// How well this machine supports a runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// It runs, with the same version.
    Exact(Interpreter),
    /// It runs, with another version.
    OtherVersion(Interpreter),
    /// The package's own `bootstrap` runs.
    Bootstrap,
    /// The image's own entry point runs.
    Image,
    /// It does not run, for this reason.
    Missing(String),
}

/// A program that runs code, such as `node`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    pub program: PathBuf,
    /// Its name and version, for example `Node.js 20.20.2`.
    pub version: String,
    /// The language that it runs.
    pub language: Language,
    /// How it was found.
    pub source: Source,
    /// The flags that it knows, of those that were asked about.
    pub flags: Vec<String>,
    /// The files that it needs: the program, its libraries, its standard library.
    pub files: Vec<PathBuf>,
    /// Folders of packages that were installed for it on this machine, which are hidden from Functions.
    pub packages: Vec<PathBuf>,
}

/// How an interpreter was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// On the PATH.
    Path,
    /// In the folders of this version manager.
    Manager(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "PATH",
            Self::Manager(name) => name,
        })
    }
}

impl Support {
    /// Returns an error for any other version.
    pub(super) fn require_exact(&self, program: &Program) -> Result<(), String> {
        let named = named(program);
        match self {
            Self::Exact(_) | Self::Bootstrap | Self::Image => Ok(()),
            Self::OtherVersion(Interpreter { version, .. }) => {
                Err(format!("{named} is missing: this machine has {version} (strict runtimes)"))
            }
            Self::Missing(what) => Err(format!("{named} cannot run here: {what}")),
        }
    }
}

/// What a program needs, in a sentence.
pub(super) fn named(program: &Program) -> String {
    match program {
        Program::Zip { runtime, .. } => format!("the runtime {runtime}"),
        Program::Image { image } => format!("the image {image}"),
    }
}

/// How many installed interpreters are tried if the first ones do not work.
const MOST_TRIED: usize = 3;

/// The runtimes of this machine, detected when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Runtimes {
    /// A module for each Python to compile when it is first run.
    python_module: PathBuf,
    managers: Managers,
    interpreters: tokio::sync::Mutex<BTreeMap<PathBuf, Arc<OnceCell<Option<Interpreter>>>>>,
    known: Lock<BTreeMap<Runtime, Arc<Support>>>,
    noticed: Lock<BTreeSet<String>>,
}

impl Runtimes {
    pub(super) fn new(python_module: PathBuf) -> Self {
        Self { python_module, managers: Managers::of_user(), ..Self::default() }
    }

    /// All runtimes that Lambda offers.
    pub(super) async fn all(&self) -> Vec<RuntimeSupport> {
        let support = async |name: &&str| {
            let runtime = Runtime::new(*name);
            let support = Support::clone(&*self.support(&runtime).await);
            let advice = Language::of(&runtime).map(|language| language.how_to_install(language.wanted(&runtime)));
            RuntimeSupport { runtime, support, advice }
        };
        futures::future::join_all(Runtime::offered().iter().map(support)).await
    }

    /// How well this machine supports a runtime. Every run asks this.
    pub(super) async fn support(&self, runtime: &Runtime) -> Arc<Support> {
        let known = || self.known.lock();
        if let Some(support) = known().get(runtime) {
            return Arc::clone(support);
        }
        let support = Arc::new(self.find(runtime).await);
        known().insert(runtime.clone(), Arc::clone(&support));
        support
    }

    /// Uses this program for a runtime, whatever the machine has.
    #[cfg(test)]
    pub(super) async fn use_program(&self, runtime: &Runtime, program: &Path) {
        let language = Language::of(runtime).unwrap();
        let found = self.interpreter(program, language, Source::Path).await.unwrap();
        self.known.lock().insert(runtime.clone(), Arc::new(Support::Exact(found)));
    }

    /// Looks for a runtime in this home folder only.
    #[cfg(test)]
    pub(super) async fn look_in(&self, runtime: &Runtime, home: &Path) -> Arc<Support> {
        let managers = Managers::new([("HOME".into(), home.into())], home);
        let other = Self { managers, python_module: self.python_module.clone(), ..Self::default() };
        let support = other.support(runtime).await;
        self.known.lock().insert(runtime.clone(), Arc::clone(&support));
        support
    }

    async fn find(&self, runtime: &Runtime) -> Support {
        match (Language::of(runtime), runtime.family()) {
            (Some(language), _) => self.interpreted(language, language.wanted(runtime)).await,
            (None, RuntimeFamily::Provided) => Support::Bootstrap,
            (None, _) => {
                let families = "nodejs, python, ruby, java and provided";
                Support::Missing(format!("on one machine only {families} runtimes run; deploy it to AWS to run it"))
            }
        }
    }

    /// The message for the operator when a runtime is used for the first time.
    pub(super) fn first_notice(&self, program: &Program, support: &Support) -> Option<String> {
        let kind = program.runtime().map_or_else(|| "image".to_owned(), Runtime::to_string);
        let text = match support {
            Support::Exact(_) | Support::Bootstrap | Support::Image => return None,
            Support::OtherVersion(Interpreter { version, .. }) => {
                format!(
                    "{kind} Functions run with this machine's {version}: differences between the two will only show up on AWS"
                )
            }
            Support::Missing(what) => format!("{kind} Functions can be deployed but not run here: {what}"),
        };
        let mut noticed = self.noticed.lock();
        noticed.insert(kind).then_some(text)
    }

    async fn interpreted(&self, language: Language, wanted: &str) -> Support {
        let release = Release::of_folder(wanted);
        let is_wanted = |found: &Release| release.as_ref().is_some_and(|release| found.is_within(release));
        let mut other = None;
        for name in language.programs(wanted) {
            // A version manager's wrapper is on the PATH even if it has nothing to run.
            for program in self.managers.on_path(&name) {
                let Some(found) = self.interpreter(&program, language, Source::Path).await else { continue };
                if found.release().is_some_and(|found| is_wanted(&found)) {
                    return Support::Exact(found);
                }
                other.get_or_insert(found);
                break;
            }
        }
        let managers = self.managers.clone();
        // Fails only when the runtime shuts down.
        let installed = tokio::task::spawn_blocking(move || managers.installed(language)).await.unwrap_or_default();
        let (exact, others): (Vec<_>, Vec<_>) = installed.into_iter().partition(|found| is_wanted(&found.release));
        if let Some(found) = self.first_that_works(&exact, language).await {
            return Support::Exact(found);
        }
        if other.is_none() {
            other = self.first_that_works(&nearest_first(others, release.as_ref()), language).await;
        }
        match other {
            Some(found) => Support::OtherVersion(found),
            None => {
                let programs = language.programs(wanted).join(" or ");
                let how = language.how_to_install(wanted);
                Support::Missing(format!("no {programs} on the PATH or in a version manager's folder; {how}"))
            }
        }
    }

    async fn first_that_works(&self, installed: &[Installed], language: Language) -> Option<Interpreter> {
        for Installed { program, manager, release } in installed.iter().take(MOST_TRIED) {
            let found = self.interpreter(program, language, Source::Manager(manager)).await;
            // The folder's name may say less than the program, but nothing else.
            match found {
                Some(found) if found.release().is_some_and(|found| found.is_within(release)) => return Some(found),
                Some(_) | None => tracing::debug!("{} does not work, or is not {release:?}", program.display()),
            }
        }
        None
    }

    async fn interpreter(&self, program: &Path, language: Language, source: Source) -> Option<Interpreter> {
        let cell = self.interpreters.lock().await.entry(program.to_owned()).or_default().clone();
        cell.get_or_init(|| probe(program, language, source, &self.python_module)).await.clone()
    }
}

impl Interpreter {
    fn release(&self) -> Option<Release> {
        Release::at_start(self.version.rsplit(' ').next()?).map(|(release, _)| release)
    }
}

/// The releases that are newer than the wanted one come first, the oldest of them first; then the older ones, the newest
/// first.
fn nearest_first(newest_first: Vec<Installed>, wanted: Option<&Release>) -> Vec<Installed> {
    let is_newer = |found: &Installed| wanted.is_some_and(|wanted| found.release > *wanted);
    let (newer, older): (Vec<_>, Vec<_>) = newest_first.into_iter().partition(is_newer);
    newer.into_iter().rev().chain(older).collect()
}
