//! The problems that a `task-config.json` can have.

use std::{fmt, path::PathBuf};

/// All problems of one configuration, so that they can be fixed in one go.
#[derive(Debug)]
pub struct ConfigError {
    /// The source of the configuration: the file's path, or the command line.
    pub place: String,
    /// At least one problem.
    pub problems: Vec<Problem>,
}

/// One problem. `property` is the path of a property, such as `retryPolicy.enabled`.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file or folder cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    #[error("is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    #[error("must be a JSON object")]
    NotAnObject,
    /// A folder without configurations.
    #[error("no {file} here, in a folder directly below, or where a {repo} says", repo = super::REPO_FILE_NAME, file = super::FILE_NAME)]
    NothingFound,
    /// A required property is absent.
    #[error("the property '{property}' is required")]
    Missing { property: String },
    /// A property that does not exist.
    #[error("there is no property '{property}'{}", hint.as_ref().map(|hint| format!("; did you mean '{hint}'?")).unwrap_or_default())]
    Unknown {
        property: String,
        /// The most similar property.
        hint: Option<String>,
    },
    /// An invalid value.
    #[error("'{property}' {rule}")]
    Value {
        property: String,
        /// The rule, phrased to follow the property's name.
        rule: String,
    },
    /// An environment that Lambda would refuse.
    #[error("'environment': {0}")]
    Environment(String),
    /// A value comes from a variable that does not exist.
    #[error("'{property}' comes from the environment variable '{variable}', which is not set or is empty")]
    Variable { property: String, variable: String },
    /// The code folder cannot be used.
    #[error("'path' leads to {path}, which {fault}", path = .path.display())]
    CodeDir {
        path: PathBuf,
        /// What is wrong, phrased to follow "which".
        fault: String,
    },
    /// The file with the handler is not in the code folder.
    #[error("'entryPoint' leads to {path}{or}, which does not exist; {advice}", path = .path.display())]
    NoHandler {
        path: PathBuf,
        /// The other names that it could have.
        or: &'static str,
        advice: String,
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
