//! The bootstraps of `node` and `python`, written down where the interpreters find them.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::{
    config::create_private,
    sdk::{Sdk, SdkLanguage},
};

const NODE: &str = include_str!("bootstrap/node.mjs");
const PYTHON: &str = include_str!("bootstrap/start.py");
const PYTHON_MODULE: &str = include_str!("bootstrap/tasklane_runtime.py");

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
    /// What that imports: Python takes a module's bytecode from `__pycache__` where it lies there, and a program's never.
    const PYTHON_MODULE: &str = "tasklane_runtime.py";

    /// Writes them into `lambda`, over those of an older server, with links to where the SDK is or will be.
    pub(super) fn write(lambda: &Path, sdk: Option<&Sdk>) -> io::Result<Self> {
        let folder = lambda.join("runtime");
        create_private(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        // That of an older server is of an older module.
        let _ = fs::remove_dir_all(folder.join("__pycache__"));
        let files = [(Self::NODE, NODE), (Self::PYTHON, PYTHON), (Self::PYTHON_MODULE, PYTHON_MODULE)];
        for (name, content) in files {
            // Whole or not at all: another server may just be starting an interpreter with it.
            let file = tempfile::NamedTempFile::new_in(&folder)?;
            fs::write(file.path(), content)?;
            // A jailed Function may be another user. Nobody gets here but through the folders above.
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644))?;
            file.persist(folder.join(name)).map_err(|error| error.error)?;
        }
        for (link, language) in [
            (folder.join("node_modules"), SdkLanguage::Node),
            (folder.join("site-packages"), SdkLanguage::Python),
            // Modules that are imported are looked for in the folders above the one that imports, and nowhere else.
            // A jail has such a link too.
            (lambda.join("node_modules"), SdkLanguage::Node),
        ] {
            let _ = fs::remove_file(&link);
            if let Some(sdk) = sdk {
                symlink(sdk.packages(language), &link)?;
            }
        }
        Ok(Self { folder })
    }

    /// What is worth to be compiled by each Python that is going to run it.
    pub(super) fn python_module(&self) -> PathBuf {
        self.folder.join(Self::PYTHON_MODULE)
    }

    /// `LAMBDA_RUNTIME_DIR`.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}
