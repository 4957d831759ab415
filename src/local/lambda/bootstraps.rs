//! The bootstraps of `node` and `python`, written down where the interpreters find them.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
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
    /// The file for `node`.
    pub(super) const NODE: &str = "index.mjs";
    /// The file for `python`.
    pub(super) const PYTHON: &str = "bootstrap.py";

    /// Writes them into `folder`, over those of an older server.
    pub(super) fn write(folder: &Path) -> io::Result<Self> {
        let folder = folder.join("runtime");
        create_private(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        for (name, content) in [(Self::NODE, NODE), (Self::PYTHON, PYTHON)] {
            // Whole or not at all: another server may just be starting an interpreter with it.
            let file = tempfile::NamedTempFile::new_in(&folder)?;
            fs::write(file.path(), content)?;
            // A jailed Function may be another user. Nobody gets here but through the folders above.
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644))?;
            file.persist(folder.join(name)).map_err(|error| error.error)?;
        }
        Ok(Self { folder })
    }

    /// `LAMBDA_RUNTIME_DIR`.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}
