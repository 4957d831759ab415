//! The file that says what a stack is to be: it is the user's to commit.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::template::parameter_names;

/// What a stack is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StackFile {
    /// The region that it is in. Absent: that of the AWS configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// The parameters of the template that do not have their defaults, by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The reason.
        #[source]
        error: io::Error,
    },
    /// It is not what this program writes.
    #[error("{}: {error}; it has a \"region\" and \"parameters\", whose values are strings", path.display())]
    Format {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: serde_json::Error,
    },
    /// A parameter that the template does not have.
    #[error("there is no parameter '{name}'; the template has {}", parameter_names().join(", "))]
    UnknownParameter {
        /// Its name.
        name: String,
    },
}

impl StackFile {
    /// The file at `path`, or an empty one if there is none.
    ///
    /// # Errors
    /// When it cannot be read, or names a parameter that does not exist.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(FileError::Io { path: path.to_owned(), error }),
        };
        let file: Self =
            serde_json::from_str(&text).map_err(|error| FileError::Format { path: path.to_owned(), error })?;
        file.parameters.keys().try_for_each(|name| known(name))?;
        Ok(file)
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// When the template has none with this name.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), FileError> {
        known(name)?;
        self.parameters.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// The value of a parameter, unless it has its default.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Writes the whole file, or nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let failed = |error| FileError::Io { path: path.to_owned(), error };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))? + "\n";
        let new = path.with_extension("json.new");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).map_err(failed)
    }
}

fn known(name: &str) -> Result<(), FileError> {
    match parameter_names().contains(&name) {
        true => Ok(()),
        false => Err(FileError::UnknownParameter { name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_what_was_set() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prod.stack.json");
        let mut file = StackFile::read(&path).unwrap();
        assert_eq!(file, StackFile::default());
        file.set("Prefix", "prod").unwrap();
        file.region = Some("eu-west-1".to_owned());
        file.write(&path).unwrap();
        assert_eq!(StackFile::read(&path).unwrap(), file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\n  \"region\": \"eu-west-1\",\n  \"parameters\": {\n    \"Prefix\": \"prod\"\n  }\n}\n");
        assert!(file.set("Prefx", "prod").unwrap_err().to_string().contains("Prefix, TaskConcurrency"));
        for wrong in ["{", "{\"parameters\":{\"Shards\":4}}", "{\"parameters\":{\"Prefx\":\"a\"}}", "{\"stack\":\"a\"}"]
        {
            std::fs::write(&path, wrong).unwrap();
            assert!(StackFile::read(&path).is_err(), "{wrong}");
        }
    }
}
