//! The languages whose interpreters this machine may have.

use tasklane_model::{Runtime, RuntimeFamily};

use super::{super::sdk::SdkLanguage, release::Release};

/// A language that interpreters of this machine run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Language {
    Node,
    Python,
    Ruby,
    Java,
}

impl Language {
    /// The language of a runtime, if an interpreter of this machine can run it.
    pub(in super::super) fn of(runtime: &Runtime) -> Option<Self> {
        match runtime.family() {
            RuntimeFamily::Node => Some(Self::Node),
            RuntimeFamily::Python => Some(Self::Python),
            RuntimeFamily::Ruby => Some(Self::Ruby),
            RuntimeFamily::Java => Some(Self::Java),
            RuntimeFamily::Dotnet | RuntimeFamily::Provided | RuntimeFamily::Other => None,
        }
    }

    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Node => "Node.js",
            Self::Python => "Python",
            Self::Ruby => "Ruby",
            Self::Java => "Java",
        }
    }

    /// The version in the name of a runtime: `22` of `nodejs22.x`. Empty if the name has none.
    pub(in super::super) fn wanted(self, runtime: &Runtime) -> &str {
        let prefix = match self {
            Self::Node => "nodejs",
            Self::Python => "python",
            Self::Ruby => "ruby",
            Self::Java => "java",
        };
        let version = runtime.as_str().trim_start_matches(prefix).trim_end_matches(".x");
        // The operating system of `java8.al2` and `java17.al2023`.
        version.split_once(".al").map_or(version, |(version, _)| version)
    }

    /// The language's AWS SDK, if it can be installed for all Functions.
    pub(in super::super) fn sdk(self) -> Option<SdkLanguage> {
        match self {
            Self::Node => Some(SdkLanguage::Node),
            Self::Python => Some(SdkLanguage::Python),
            Self::Ruby | Self::Java => None,
        }
    }

    /// The programs to look for on the PATH, the best one first.
    pub(super) fn programs(self, wanted: &str) -> Vec<String> {
        match self {
            Self::Node => vec!["node".to_owned()],
            Self::Python => vec![format!("python{wanted}"), "python3".to_owned()],
            Self::Ruby => vec![format!("ruby{wanted}"), "ruby".to_owned()],
            Self::Java => vec!["java".to_owned()],
        }
    }

    /// The program in the folder of an installed release. It has the same name for every manager.
    pub(super) fn program_of(self, release: &Release) -> String {
        match self {
            Self::Node => "node".to_owned(),
            Self::Python => format!("python{}", release.minor()),
            Self::Ruby => "ruby".to_owned(),
            Self::Java => "java".to_owned(),
        }
    }

    /// The release in the name of an installed release's folder.
    pub(super) fn release_of(self, folder: &str) -> Option<Release> {
        match self {
            Self::Node | Self::Python | Self::Ruby => Release::of_folder(folder),
            // Most names say who built it, and some what for: `temurin-21.0.2+13`, `java-21-openjdk-amd64`, `21.0.2-tem`.
            Self::Java => folder.split(['-', '_', '@']).find_map(|part| {
                let part = part.split_once('+').map_or(part, |(version, _)| version);
                Release::of_folder(without_old_prefix(part.trim_end_matches(".jdk")))
            }),
        }
    }

    /// What to do if there is no interpreter of the wanted version.
    pub(super) fn how_to_install(self, wanted: &str) -> String {
        let name = self.name();
        let managers = match self {
            Self::Node => "nvm, fnm, Volta, mise, asdf or Homebrew",
            Self::Python => "uv, pyenv, mise, asdf or Homebrew",
            Self::Ruby => "rbenv, RVM, mise, asdf or Homebrew",
            Self::Java => "your system's packages, SDKMAN!, mise, asdf or Homebrew",
        };
        format!("install {name} {wanted}, for example with {managers}")
    }
}

/// Up to Java 8 and in some folders' names, versions begin with `1.`.
pub(super) fn without_old_prefix(version: &str) -> &str {
    version.strip_prefix("1.").unwrap_or(version)
}
