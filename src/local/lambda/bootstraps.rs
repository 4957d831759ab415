//! The bootstraps of `node` and `python`, written down where the interpreters find them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::config::create_private;

const NODE: &str = include_str!("bootstrap/node.mjs");
const PYTHON: &str = include_str!("bootstrap/python.py");

/// What stands in for Lambda's `/var/runtime`.
#[derive(Debug)]
pub(super) struct Bootstraps {
    folder: PathBuf,
}

impl Bootstraps {
    /// Writes them into `folder`, over those of an older server.
    pub(super) fn write(folder: &Path) -> io::Result<Self> {
        let folder = folder.join("runtime");
        create_private(&folder)?;
        for (name, content) in [("index.mjs", NODE), ("bootstrap.py", PYTHON)] {
            // Whole or not at all: another server may just be starting an interpreter with it.
            let file = tempfile::NamedTempFile::new_in(&folder)?;
            fs::write(file.path(), content)?;
            file.persist(folder.join(name)).map_err(|error| error.error)?;
        }
        Ok(Self { folder })
    }

    /// `LAMBDA_RUNTIME_DIR`.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn node(&self) -> PathBuf {
        self.folder.join("index.mjs")
    }

    pub(super) fn python(&self) -> PathBuf {
        self.folder.join("bootstrap.py")
    }
}
