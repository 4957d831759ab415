//! The runtimes that this machine has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tasklane_model::{Program, Runtime, RuntimeFamily};
use tasklane_runtime::lock::Lock;
use tokio::sync::OnceCell;

/// A runtime and how well this machine supports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeSupport {
    pub runtime: Runtime,
    pub support: Support,
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
    /// The flags that it knows, of those that were asked about.
    pub flags: Vec<String>,
    /// The files that it needs: the program, its libraries, its standard library.
    pub files: Vec<PathBuf>,
    /// Folders of packages that were installed for it on this machine, which are hidden from Functions.
    pub packages: Vec<PathBuf>,
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

/// The runtimes of this machine, detected when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Runtimes {
    /// A module for each Python to compile when it is first run.
    python_module: PathBuf,
    interpreters: tokio::sync::Mutex<BTreeMap<String, Arc<OnceCell<Option<Interpreter>>>>>,
    known: Lock<BTreeMap<Runtime, Arc<Support>>>,
    noticed: Lock<BTreeSet<String>>,
}

impl Runtimes {
    pub(super) fn new(python_module: PathBuf) -> Self {
        Self { python_module, ..Self::default() }
    }

    /// All runtimes that Lambda offers.
    pub(super) async fn all(&self) -> Vec<RuntimeSupport> {
        let mut all = Vec::new();
        for name in Runtime::offered() {
            let runtime = Runtime::new(*name);
            let support = Support::clone(&*self.support(&runtime).await);
            all.push(RuntimeSupport { runtime, support });
        }
        all
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
    pub(super) async fn use_python(&self, runtime: &Runtime, program: &Path) {
        let found = probe(&program.display().to_string(), "Python", &self.python_module).await.unwrap();
        let mut known = self.known.lock();
        known.insert(runtime.clone(), Arc::new(Support::Exact(found)));
    }

    async fn find(&self, runtime: &Runtime) -> Support {
        match runtime.family() {
            RuntimeFamily::Node => {
                let wanted = runtime.as_str().trim_start_matches("nodejs").trim_end_matches(".x");
                self.interpreted(&["node".to_owned()], "Node.js", wanted).await
            }
            RuntimeFamily::Python => {
                let wanted = runtime.as_str().trim_start_matches("python");
                self.interpreted(&[format!("python{wanted}"), "python3".to_owned()], "Python", wanted).await
            }
            RuntimeFamily::Provided => Support::Bootstrap,
            RuntimeFamily::Java | RuntimeFamily::Dotnet | RuntimeFamily::Ruby | RuntimeFamily::Other => {
                let families = "nodejs, python and provided";
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

    async fn interpreted(&self, candidates: &[String], language: &str, wanted: &str) -> Support {
        let mut other = None;
        for candidate in candidates {
            let Some(found) = self.interpreter(candidate, language).await else { continue };
            let version = found.version.rsplit(' ').next().unwrap_or_default();
            if version == wanted || version.starts_with(&format!("{wanted}.")) {
                return Support::Exact(found);
            }
            other.get_or_insert(found);
        }
        match other {
            Some(found) => Support::OtherVersion(found),
            None => {
                Support::Missing(format!("no {} on the PATH; install {language} {wanted}", candidates.join(" or ")))
            }
        }
    }

    async fn interpreter(&self, name: &str, language: &str) -> Option<Interpreter> {
        let cell = self.interpreters.lock().await.entry(name.to_owned()).or_default().clone();
        cell.get_or_init(|| probe(name, language, &self.python_module)).await.clone()
    }
}

/// Asks a program for its real path and its version. The program on the PATH may be a version manager's wrapper, which
/// needs environment variables that Functions do not get.
async fn probe(name: &str, language: &str, python_module: &Path) -> Option<Interpreter> {
    let question = match language {
        "Node.js" => [
            "-p",
            "const knows = (name) => process.allowedNodeEnvironmentFlags.has('--experimental-' + name);
             [process.execPath, process.versions.node, ...['require-module', 'detect-module'].filter(knows)].join('\\n')
             + '\\n\\n\\n' + process.report.getReport().sharedObjects.join('\\n')",
        ],
        _ => [
            "-c",
            "import os, platform, site, sys, sysconfig
print(sys.executable, platform.python_version(), '', sep='\\n')
prefixes = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
packages = {*site.getsitepackages(prefixes), site.getusersitepackages(), *map(sysconfig.get_path, ('purelib', 'platlib'))}
own = {*map(sysconfig.get_path, ('stdlib', 'platstdlib'))}
packages |= {path for path in sys.path if os.path.basename(path) in ('site-packages', 'dist-packages')}
print(*sorted(packages - own), '', sep='\\n')
print(*own, sep='\\n')
if os.path.exists(sys.prefix + '/pyvenv.cfg'): print(sys.prefix)
if os.path.exists('/proc/self/maps'): 
    print(*(line.split(maxsplit=5)[5].strip() for line in open('/proc/self/maps') if '/' in line), sep='\\n')
import py_compile
os.umask(0o022)
sys.pycache_prefix = None
try: py_compile.compile(sys.argv[1], quiet=2)
except OSError: pass",
        ],
    };
    let output = tokio::process::Command::new(name)
        .args(question)
        .arg(python_module)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(10), output).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines();
    let (program, version) = (PathBuf::from(lines.next()?), lines.next()?);
    // Empty lines separate the flags, the packages and the files.
    let flags = lines.by_ref().take_while(|line| !line.is_empty()).map(str::to_owned).collect();
    let packages: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).map(PathBuf::from).collect();
    let named: BTreeSet<_> = lines.map(PathBuf::from).chain(program.canonicalize()).chain(links(&program)).collect();
    let mut files: Vec<PathBuf> = Vec::new();
    for file in named.into_iter().filter(|file| file.is_absolute() && file.exists()) {
        // A folder comes before the files in it.
        if !files.iter().any(|folder| file.starts_with(folder)) {
            files.push(file);
        }
    }
    let packages = packages.iter().filter_map(|folder| seen_at(folder, &files)).collect::<BTreeSet<_>>();
    let (version, packages) = (format!("{language} {version}"), packages.into_iter().collect());
    program.is_absolute().then_some(Interpreter { program, version, flags, files, packages })
}

/// The path of a folder for a process that sees only these files: with links resolved, unless they lead elsewhere.
fn seen_at(folder: &Path, files: &[PathBuf]) -> Option<PathBuf> {
    let real = folder.canonicalize().ok()?;
    let is_seen = |folder: &Path| files.iter().any(|file| folder.starts_with(file));
    Some(if is_seen(folder) && !is_seen(&real) { folder.to_owned() } else { real })
}

/// A program and all links from it to the actual file, each by its own path: the Python of a virtual environment is a
/// link to one that may itself be a link.
fn links(program: &Path) -> Vec<PathBuf> {
    /// Linux's limit.
    const MOST: usize = 40;
    let mut links = vec![program.to_owned()];
    while let Some(link) = links.last()
        && let Ok(target) = fs::read_link(link)
        && links.len() <= MOST
    {
        // A relative target is relative to the link's folder.
        let target = link.parent().map_or_else(|| target.clone(), |folder| folder.join(&target));
        links.push(target);
    }
    links
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[tokio::test]
    async fn the_files_of_a_linked_interpreter_include_all_links() {
        let folder = tempfile::tempdir().unwrap();
        let real = probe("python3", "Python", Path::new("")).await.unwrap().program;
        let (first, second) = (folder.path().join("python"), folder.path().join("python3"));
        // One link is relative, like those of a virtual environment, and one is not.
        symlink("python3", &first).unwrap();
        symlink(&real, &second).unwrap();
        assert_eq!(links(&first)[..3], [first.clone(), second.clone(), real]);
        let files = probe(first.to_str().unwrap(), "Python", Path::new("")).await.unwrap().files;
        assert!(files.contains(&first) && files.contains(&second), "{files:?}");
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        symlink(&other, &one).unwrap();
        symlink(&one, &other).unwrap();
        assert!(links(&one).len() < 50, "a circle of links");
    }

    #[tokio::test]
    async fn another_version_runs_with_one_notice_and_an_unknown_language_does_not_run() {
        let runtimes = Runtimes::default();
        let old = Runtime::new("python3.4");
        let support = runtimes.support(&old).await;
        assert!(matches!(*support, Support::OtherVersion(_)), "{support:?}");
        let program = |runtime: &Runtime| Program::Zip {
            entry_point: tasklane_model::EntryPoint::parse("index.handler").unwrap(),
            runtime: runtime.clone(),
        };
        assert!(runtimes.first_notice(&program(&old), &support).unwrap().contains("this machine's Python 3."));
        assert_eq!(runtimes.first_notice(&program(&old), &support), None);
        assert!(support.require_exact(&program(&old)).unwrap_err().contains("python3.4"));

        let java = runtimes.support(&Runtime::new("java21")).await;
        assert!(matches!(*java, Support::Missing(_)) && java.require_exact(&program(&Runtime::new("java21"))).is_err());
        assert_eq!(*runtimes.support(&Runtime::new("provided.al2023")).await, Support::Bootstrap);
    }
}
