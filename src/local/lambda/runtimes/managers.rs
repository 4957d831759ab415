//! Where version managers put interpreters.
//!
//! A service that is started by systemd or from an icon has a PATH without them, and a shell has one version of each
//! language on its PATH. So Functions of another version use what is installed beside it. Everything here only lists
//! folders; nothing is started.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{language::Language, release::Release};

/// How many entries of a folder are looked at.
const MOST_ENTRIES: usize = 1000;

/// A folder that a manager has its files in.
enum Root {
    /// Named by this variable of the manager's own. If it is set, no other one counts.
    Variable(&'static str),
    /// Below the user's home folder.
    Home(&'static str),
    /// Below the user's folder for data: `$XDG_DATA_HOME`, or else `~/.local/share`.
    Data(&'static str),
    /// For all users.
    Machine(&'static str),
}
use Root::{Data, Home, Machine, Variable};

/// How a manager arranges the releases of one language: in the first of `roots`, the folder `releases` has a folder for each
/// release, whose name begins with `prefix`, and whose programs are in `programs`.
struct Layout {
    manager: &'static str,
    language: Language,
    roots: &'static [Root],
    releases: &'static str,
    prefix: &'static str,
    programs: &'static str,
}

const fn layout(
    manager: &'static str,
    language: Language,
    roots: &'static [Root],
    releases: &'static str,
    (prefix, programs): (&'static str, &'static str),
) -> Layout {
    Layout { manager, language, roots, releases, prefix, programs }
}

/// The release itself is the folder's name, and its programs are in `bin`.
const PLAIN: (&str, &str) = ("", "bin");

const NVM: &[Root] = &[Variable("NVM_DIR"), Home(".nvm"), Home(".config/nvm")];
const FNM: &[Root] = &[Variable("FNM_DIR"), Data("fnm"), Home(".fnm"), Home("Library/Application Support/fnm")];
const VOLTA: &[Root] = &[Variable("VOLTA_HOME"), Home(".volta")];
const MISE: &[Root] = &[Variable("MISE_DATA_DIR"), Data("mise")];
const ASDF: &[Root] = &[Variable("ASDF_DATA_DIR"), Home(".asdf")];
const NODENV: &[Root] = &[Variable("NODENV_ROOT"), Home(".nodenv")];
const N: &[Root] = &[Variable("N_PREFIX"), Machine("/usr/local")];
const PYENV: &[Root] = &[Variable("PYENV_ROOT"), Home(".pyenv")];
const UV: &[Root] = &[Variable("UV_PYTHON_INSTALL_DIR"), Data("uv/python")];
const RBENV: &[Root] = &[Variable("RBENV_ROOT"), Home(".rbenv")];
const RVM: &[Root] = &[Variable("rvm_path"), Home(".rvm"), Machine("/usr/local/rvm")];
const SDKMAN: &[Root] = &[Variable("SDKMAN_DIR"), Home(".sdkman")];
const JENV: &[Root] = &[Variable("JENV_ROOT"), Home(".jenv")];
/// Where Linux distributions put it.
const USR_LIB_JVM: &[Root] = &[Machine("/usr/lib/jvm")];
/// Where installers for macOS put it.
const VIRTUAL_MACHINES: &[Root] =
    &[Machine("/Library/Java/JavaVirtualMachines"), Home("Library/Java/JavaVirtualMachines")];
/// IntelliJ IDEA's.
const JDKS: &[Root] = &[Home(".jdks")];
/// ruby-install, for chruby.
const RUBIES: &[Root] = &[Home(".rubies"), Machine("/opt/rubies")];
const PYTHON_ORG: &[Root] = &[Machine("/Library/Frameworks/Python.framework")];

/// nvm, fnm, Volta, n, pyenv, uv and their like, by what their own documentation and their source say.
const LAYOUTS: &[Layout] = &[
    layout("nvm", Language::Node, NVM, "versions/node", PLAIN),
    layout("fnm", Language::Node, FNM, "node-versions", ("", "installation/bin")),
    layout("Volta", Language::Node, VOLTA, "tools/image/node", PLAIN),
    layout("mise", Language::Node, MISE, "installs/node", PLAIN),
    layout("asdf", Language::Node, ASDF, "installs/nodejs", PLAIN),
    layout("nodenv", Language::Node, NODENV, "versions", PLAIN),
    layout("n", Language::Node, N, "n/versions/node", PLAIN),
    layout("pyenv", Language::Python, PYENV, "versions", PLAIN),
    layout("uv", Language::Python, UV, "", ("cpython-", "bin")),
    layout("mise", Language::Python, MISE, "installs/python", PLAIN),
    layout("asdf", Language::Python, ASDF, "installs/python", PLAIN),
    layout("rbenv", Language::Ruby, RBENV, "versions", PLAIN),
    layout("RVM", Language::Ruby, RVM, "rubies", ("ruby-", "bin")),
    layout("ruby-install", Language::Ruby, RUBIES, "", ("ruby-", "bin")),
    layout("mise", Language::Ruby, MISE, "installs/ruby", PLAIN),
    layout("asdf", Language::Ruby, ASDF, "installs/ruby", PLAIN),
    layout("SDKMAN!", Language::Java, SDKMAN, "candidates/java", PLAIN),
    layout("mise", Language::Java, MISE, "installs/java", PLAIN),
    layout("asdf", Language::Java, ASDF, "installs/java", PLAIN),
    layout("jenv", Language::Java, JENV, "versions", PLAIN),
    layout("IntelliJ IDEA", Language::Java, JDKS, "", PLAIN),
    layout("/usr/lib/jvm", Language::Java, USR_LIB_JVM, "", PLAIN),
    layout("JavaVirtualMachines", Language::Java, VIRTUAL_MACHINES, "", ("", "Contents/Home/bin")),
    layout("python.org", Language::Python, PYTHON_ORG, "Versions", PLAIN),
];

/// Homebrew has a folder for each formula, which is a link to its current release.
const HOMEBREW: &[Root] = &[
    Variable("HOMEBREW_PREFIX"),
    Machine("/opt/homebrew"),
    Machine("/usr/local"),
    Machine("/home/linuxbrew/.linuxbrew"),
];

/// An interpreter that a manager installed, by the names of its folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) release: Release,
    pub(super) program: PathBuf,
    pub(super) manager: &'static str,
}

/// The folders in which interpreters are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Managers {
    /// The environment's variables that name folders.
    variables: BTreeMap<String, PathBuf>,
    path: OsString,
    /// The folder that stands for `/`.
    machine: PathBuf,
}

impl Managers {
    /// Those of the user who runs this process.
    pub(super) fn of_user() -> Self {
        Self::new(std::env::vars_os(), Path::new("/"))
    }

    /// Those that this environment names, on a machine with this root folder.
    pub(super) fn new(environment: impl IntoIterator<Item = (OsString, OsString)>, machine: &Path) -> Self {
        let mut found = Self { machine: machine.to_owned(), ..Self::default() };
        for (name, value) in environment {
            match name.into_string() {
                Ok(name) if name == "PATH" => found.path = value,
                Ok(name) if Path::new(&value).is_absolute() => _ = found.variables.insert(name, value.into()),
                Ok(_) | Err(_) => {}
            }
        }
        found
    }

    /// The programs of this name on the PATH, in its order.
    pub(super) fn on_path(&self, name: &str) -> Vec<PathBuf> {
        let folders = std::env::split_paths(&self.path).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(name)).filter(|file| is_program(file)).collect()
    }

    /// All interpreters of a language that are installed beside the PATH, the newest first.
    pub(super) fn installed(&self, language: Language) -> Vec<Installed> {
        let layouts = LAYOUTS.iter().filter(|layout| layout.language == language);
        let mut installed: Vec<_> = layouts.flat_map(|layout| self.arranged(layout)).collect();
        installed.extend(self.of_homebrew(language));
        if language == Language::Java {
            installed.extend(self.named_by_user());
        }
        // Stable, so the order of the managers decides between equal releases.
        installed.sort_by(|one, other| other.release.cmp(&one.release));
        installed
    }

    fn arranged(&self, layout: &Layout) -> Vec<Installed> {
        let folders = self.roots(layout.roots).into_iter().map(|root| root.join(layout.releases));
        let releases = folders.flat_map(|folder| entries(&folder));
        let read = |folder: PathBuf| {
            let name = folder.file_name()?.to_str()?.strip_prefix(layout.prefix)?;
            // What follows the release in the folders of uv is the platform.
            let name = if layout.prefix.is_empty() { name } else { name.split('-').next()? };
            let release = layout.language.release_of(name)?;
            let program = folder.join(layout.programs).join(layout.language.program_of(&release));
            is_program(&program).then_some(Installed { release, program, manager: layout.manager })
        };
        releases.filter_map(read).collect()
    }

    fn of_homebrew(&self, language: Language) -> Vec<Installed> {
        let formula = match language {
            Language::Node => "node",
            Language::Python => "python",
            Language::Ruby => "ruby",
            Language::Java => "openjdk",
        };
        let read = |folder: PathBuf| {
            let name = folder.file_name()?.to_str()?;
            let of_formula = name.strip_prefix(formula)?;
            let version = of_formula.strip_prefix('@').or_else(|| of_formula.is_empty().then_some(""))?;
            // The real folder has the whole version, `@` only its beginning.
            let real = folder.canonicalize().ok()?;
            let real = real.file_name().and_then(|name| Release::of_folder(name.to_str()?));
            let release = real.or_else(|| Release::of_folder(version))?;
            let program = folder.join("bin").join(language.program_of(&release));
            is_program(&program).then_some(Installed { release, program, manager: "Homebrew" })
        };
        let formulas = self.roots(HOMEBREW).into_iter().flat_map(|root| entries(&root.join("opt")));
        formulas.filter_map(read).collect()
    }

    /// The Java that the user has chosen.
    fn named_by_user(&self) -> Option<Installed> {
        let folder = self.variables.get("JAVA_HOME")?.canonicalize().ok()?;
        // On macOS the name is that of a folder above.
        let mut names = folder.ancestors().filter_map(|folder| folder.file_name()?.to_str());
        let release = names.find_map(|name| Language::Java.release_of(name))?;
        let program = folder.join("bin/java");
        is_program(&program).then_some(Installed { release, program, manager: "JAVA_HOME" })
    }

    /// The folders that exist in this environment.
    fn roots(&self, roots: &[Root]) -> Vec<PathBuf> {
        let home = || self.variables.get("HOME");
        let named = roots.iter().find_map(|root| match root {
            Variable(name) => self.variables.get(*name),
            Home(_) | Data(_) | Machine(_) => None,
        });
        if let Some(named) = named {
            return vec![named.clone()];
        }
        let folder = |root: &Root| match root {
            Variable(_) => None,
            Home(folder) => Some(home()?.join(folder)),
            Data(folder) => match self.variables.get("XDG_DATA_HOME") {
                Some(data) => Some(data.join(folder)),
                None => Some(home()?.join(".local/share").join(folder)),
            },
            Machine(folder) => Some(self.machine.join(folder.trim_start_matches('/'))),
        };
        roots.iter().filter_map(folder).collect()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().take(MOST_ENTRIES).flatten().map(|entry| entry.path()).collect()
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
