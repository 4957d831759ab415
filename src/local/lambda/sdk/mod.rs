//! The AWS SDK that Lambda's own runtimes include.
//!
//! It is large, so it is not part of the program: `tasklane runtimes add-sdk` installs it once, with npm and pip, into
//! the user's cache folder. From then on all Functions of this user find it, after their own packages. The versions are
//! pinned, with checksums, in the files next to this one; a change of these files means another folder.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use super::folders::create_private;

const PACKAGE: &str = include_str!("package.json");
const PACKAGE_LOCK: &str = include_str!("package-lock.json");
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The folder of the AWS SDK.
#[derive(Clone, Debug)]
pub struct Sdk {
    folder: PathBuf,
}

/// A language for which Lambda includes an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdkLanguage {
    /// `@aws-sdk/*`, version 3.
    Node,
    /// boto3.
    Python,
}

/// Why the SDK was not installed.
#[derive(Debug, thiserror::Error)]
pub enum SdkError {
    /// The folder cannot be written to.
    #[error("cannot write {}: {error}", folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        error: io::Error,
    },
    /// The installer cannot be started.
    #[error("{program} does not start: {error}; install it, or put the SDK into your packages")]
    NoInstaller {
        program: &'static str,
        #[source]
        error: io::Error,
    },
    /// The installer failed.
    #[error("{program} did not install the SDK: {output}")]
    NotInstalled {
        program: &'static str,
        /// The last lines of its output.
        output: String,
    },
}

impl Sdk {
    /// The folder of the current user: `$XDG_CACHE_HOME/tasklane` or `~/.cache/tasklane`. `None` if the user has
    /// neither.
    pub fn of_user() -> Option<Self> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
        let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
        Some(Self::in_folder(cache.join("tasklane")))
    }

    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder of a language's packages, whether or not it exists.
    pub fn packages(&self, language: SdkLanguage) -> PathBuf {
        self.version(language).join(language.packages())
    }

    /// Each set of pinned versions has its own folder.
    fn version(&self, language: SdkLanguage) -> PathBuf {
        let mut hash = Sha256::new();
        language.pins().iter().for_each(|(_, content)| hash.update(content));
        self.folder.join(format!("{}-{}", language.name(), &hex::encode(hash.finalize())[..12]))
    }

    /// Installs the SDK unless it is there, and returns its folder. This takes a while and blocks.
    pub fn install(&self, language: SdkLanguage) -> Result<PathBuf, SdkError> {
        let packages = self.packages(language);
        if packages.is_dir() {
            return Ok(packages);
        }
        let failed = |error| SdkError::Folder { folder: self.folder.clone(), error };
        create_private(&self.folder).map_err(failed)?;
        let made = tempfile::tempdir_in(&self.folder).map_err(failed)?;
        for (name, content) in language.pins() {
            fs::write(made.path().join(name), content).map_err(failed)?;
        }
        let (program, arguments) = language.installer();
        let mut command = Command::new(program);
        // The user's configuration files (another registry, a proxy) apply here too.
        command.args(arguments).current_dir(made.path()).stdin(std::process::Stdio::null());
        let output = command.output().map_err(|error| SdkError::NoInstaller { program, error })?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            return Err(SdkError::NotInstalled { program, output: last_lines(&String::from_utf8_lossy(&said)) });
        }
        // Jailed Functions may run as other users.
        make_readable(made.path()).map_err(failed)?;
        let version = self.version(language);
        match fs::rename(made.path(), &version) {
            Ok(()) => _ = made.keep(),
            // Another process was faster.
            Err(_) if packages.is_dir() => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(packages)
    }
}

impl SdkLanguage {
    pub const ALL: [Self; 2] = [Self::Node, Self::Python];

    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Python => "python",
        }
    }

    /// The folder that the installer writes to.
    fn packages(self) -> &'static str {
        match self {
            Self::Node => "node_modules",
            Self::Python => "site-packages",
        }
    }

    fn pins(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Node => &[("package.json", PACKAGE), ("package-lock.json", PACKAGE_LOCK)],
            Self::Python => &[("requirements.txt", REQUIREMENTS)],
        }
    }

    /// Only pinned packages are installed, and no code of a package runs during the installation.
    fn installer(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Node => ("npm", &["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]),
            Self::Python => (
                "python3",
                &[
                    "-m",
                    "pip",
                    "install",
                    "--no-deps",
                    "--require-hashes",
                    "--only-binary=:all:",
                    "--no-compile",
                    "--disable-pip-version-check",
                    "--target=site-packages",
                    "--requirement=requirements.txt",
                ],
            ),
        }
    }
}

/// Makes everything in the folder readable for everybody who can enter it.
fn make_readable(folder: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry?;
        let kind = entry.file_type();
        if kind.is_symlink() {
            continue;
        }
        let metadata = entry.metadata()?;
        let more = if kind.is_dir() { 0o555 } else { 0o444 };
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(metadata.permissions().mode() | more))?;
    }
    Ok(())
}

fn last_lines(text: &str) -> String {
    const MOST: usize = 10;
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(MOST)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installed_versions_are_pinned_with_checksums() {
        let lock: serde_json::Value = serde_json::from_str(PACKAGE_LOCK).unwrap();
        let package: serde_json::Value = serde_json::from_str(PACKAGE).unwrap();
        assert_eq!(
            lock["packages"][""]["dependencies"], package["dependencies"],
            "the lock file belongs to this package.json"
        );
        for (name, entry) in lock["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty()) {
            assert!(entry["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{name}");
        }
        let pins: Vec<_> = REQUIREMENTS.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(pins.len() > 3 && pins.iter().all(|pin| pin.contains("==") && pin.contains(" --hash=sha256:")));
    }

    #[test]
    fn an_installed_sdk_is_not_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        let sdk = Sdk::in_folder(folder.path().join("cache"));
        let packages = sdk.packages(SdkLanguage::Node);
        assert!(packages.starts_with(folder.path()) && packages.ends_with("node_modules"));
        fs::create_dir_all(&packages).unwrap();
        // Without a network, and immediately.
        assert_eq!(sdk.install(SdkLanguage::Node).unwrap(), packages);
    }
}
