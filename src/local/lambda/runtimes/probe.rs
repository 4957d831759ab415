//! What an interpreter says about itself.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Interpreter, Source,
    language::{Language, without_old_prefix},
};

/// Asks a program for its real path and its version. The program on the PATH may be a version manager's wrapper, which
/// needs environment variables that Functions do not get.
pub(super) async fn probe(
    program: &Path,
    language: Language,
    source: Source,
    python_module: &Path,
) -> Option<Interpreter> {
    let question = match language {
        Language::Java => return java(program, source).await,
        Language::Node => [
            "-p",
            "const knows = (name) => process.allowedNodeEnvironmentFlags.has('--experimental-' + name);
             [process.execPath, process.versions.node, ...['require-module', 'detect-module'].filter(knows)].join('\\n')
             + '\\n\\n\\n' + process.report.getReport().sharedObjects.join('\\n')",
        ],
        Language::Python => [
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
        Language::Ruby => [
            "-e",
            "puts RbConfig.ruby, RUBY_VERSION, '', ''
puts RbConfig::CONFIG.values_at('rubylibprefix', 'rubyarchdir')
maps = '/proc/self/maps'
puts File.readlines(maps, chomp: true).grep(%r{/}).map { |line| line.split(nil, 6).last } if File.exist?(maps)",
        ],
    };
    let output = ask(tokio::process::Command::new(program).args(question).arg(python_module)).await?;
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
    let (version, packages) = (format!("{} {version}", language.name()), packages.into_iter().collect());
    program.is_absolute().then_some(Interpreter { program, version, language, source, flags, files, packages })
}

async fn ask(command: &mut tokio::process::Command) -> Option<std::process::Output> {
    /// Most answer in a tenth of a second.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
    let output = command.stdin(std::process::Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(PATIENCE, output).await.ok()?.ok()
}

/// Java runs no code that is not compiled, but it shows its settings.
async fn java(program: &Path, source: Source) -> Option<Interpreter> {
    let output = ask(tokio::process::Command::new(program).args(["-XshowSettings:properties", "-version"])).await?;
    let text = String::from_utf8(output.stderr).ok()?;
    let setting = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = "));
    let (home, version) = (PathBuf::from(setting("java.home")?), without_old_prefix(setting("java.version")?));
    let program = home.join("bin/java");
    let real = home.canonicalize().ok()?;
    let mut files = BTreeSet::from([home, real.clone()]);
    // Debian has the settings of Java in /etc, and links to them.
    for link in walkdir::WalkDir::new(&real).into_iter().flatten().filter(|entry| entry.path_is_symlink()) {
        files.extend(link.path().canonicalize().ok().filter(|target| !target.starts_with(&real)));
    }
    let version = format!("{} {version}", Language::Java.name());
    let (files, flags, packages) = (files.into_iter().collect(), Vec::new(), Vec::new());
    program.is_absolute().then_some(Interpreter {
        program,
        version,
        language: Language::Java,
        source,
        flags,
        files,
        packages,
    })
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

    async fn python(program: &Path) -> Interpreter {
        probe(program, Language::Python, Source::Path, Path::new("")).await.unwrap()
    }

    #[tokio::test]
    async fn the_files_of_a_linked_interpreter_include_all_links() {
        let folder = tempfile::tempdir().unwrap();
        let real = python(Path::new("python3")).await.program;
        let (first, second) = (folder.path().join("python"), folder.path().join("python3"));
        // One link is relative, like those of a virtual environment, and one is not.
        symlink("python3", &first).unwrap();
        symlink(&real, &second).unwrap();
        assert_eq!(links(&first)[..3], [first.clone(), second.clone(), real]);
        let files = python(&first).await.files;
        assert!(files.contains(&first) && files.contains(&second), "{files:?}");
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        symlink(&other, &one).unwrap();
        symlink(&one, &other).unwrap();
        assert!(links(&one).len() < 50, "a circle of links");
    }
}
