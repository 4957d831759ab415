//! The languages whose interpreters this machine may have.

use tasklane_model::{Runtime, RuntimeFamily};

use super::release::Release;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Node,
    Python,
}

impl Language {
    /// The language of a runtime, if an interpreter of this machine can run it.
    pub(super) fn of(runtime: &Runtime) -> Option<Self> {
        match runtime.family() {
            RuntimeFamily::Node => Some(Self::Node),
            RuntimeFamily::Python => Some(Self::Python),
            RuntimeFamily::Java
            | RuntimeFamily::Dotnet
            | RuntimeFamily::Ruby
            | RuntimeFamily::Provided
            | RuntimeFamily::Other => None,
        }
    }

    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Node => "Node.js",
            Self::Python => "Python",
        }
    }

    /// The version in the name of a runtime: `22` of `nodejs22.x`. Empty if the name has none.
    pub(super) fn wanted(self, runtime: &Runtime) -> &str {
        let prefix = match self {
            Self::Node => "nodejs",
            Self::Python => "python",
        };
        runtime.as_str().trim_start_matches(prefix).trim_end_matches(".x")
    }

    /// The programs to look for on the PATH, the best one first.
    pub(super) fn programs(self, wanted: &str) -> Vec<String> {
        match self {
            Self::Node => vec!["node".to_owned()],
            Self::Python => vec![format!("python{wanted}"), "python3".to_owned()],
        }
    }

    /// The program in the folder of an installed release. It has the same name for every manager.
    pub(super) fn program_of(self, release: &Release) -> String {
        match self {
            Self::Node => "node".to_owned(),
            Self::Python => format!("python{}", release.minor()),
        }
    }

    /// What to do if there is no interpreter of the wanted version.
    pub(super) fn how_to_install(self, wanted: &str) -> String {
        let name = self.name();
        let managers = match self {
            Self::Node => "nvm, fnm, Volta, mise, asdf or Homebrew",
            Self::Python => "uv, pyenv, mise, asdf or Homebrew",
        };
        format!("install {name} {wanted}, for example with {managers}")
    }
}
