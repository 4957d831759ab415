//! What can be wrong with a `task-config.json`.

use std::{fmt, path::PathBuf};

/// Everything that is wrong with one configuration, so that it can be put right in one go.
#[derive(Debug)]
pub struct ConfigError {
    /// Where the configuration comes from: the file's path, or the command line.
    pub place: String,
    /// What is wrong with it; at least one problem.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong. `property` is the path of a property, as `retryPolicy.enabled`.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file or folder cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// No JSON.
    #[error("is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but no object.
    #[error("must hold a JSON object")]
    NotAnObject,
    /// A folder without configurations.
    #[error("no {file} here, nor in a folder directly under it", file = super::FILE_NAME)]
    NothingFound,
    /// A required property is absent.
    #[error("the property '{property}' is required")]
    Missing {
        /// Which one.
        property: String,
    },
    /// A property that does not exist.
    #[error("there is no property '{property}'{}", hint.as_ref().map(|hint| format!("; did you mean '{hint}'?")).unwrap_or_default())]
    Unknown {
        /// Its path.
        property: String,
        /// The property whose name is nearest.
        hint: Option<String>,
    },
    /// `executionCredentials`, which another service would have to act on.
    #[error(
        "'executionCredentials' belongs to the user service, which this service does not have: remove it, \
         create a credential with `tasklane credentials create`, and pass it in 'environment'"
    )]
    ExecutionCredentials,
    /// A property whose value breaks its rule.
    #[error("'{property}' {rule}")]
    Value {
        /// Its path.
        property: String,
        /// The rule; reads on after the property's name.
        rule: String,
    },
    /// An environment that Lambda would refuse.
    #[error("'environment': {0}")]
    Environment(String),
    /// A value is taken from a variable that is not there.
    #[error("'{property}' is taken from the environment variable '{variable}', which is not set or empty")]
    Variable {
        /// The path of the value.
        property: String,
        /// The variable.
        variable: String,
    },
    /// The code folder is not there.
    #[error("'path' leads to {path}, which {fault}", path = .path.display())]
    CodeDir {
        /// Where it leads.
        path: PathBuf,
        /// What is wrong there; reads on after "which".
        fault: String,
    },
}

impl ConfigError {
    pub(super) fn new(place: impl Into<String>, problem: Problem) -> Self {
        Self { place: place.into(), problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => write!(f, "{}: {problem}", self.place),
            problems => {
                write!(f, "{}: {} problems", self.place, problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}
