//! The bootstraps for `node`, `python`, `ruby` and `java`, written to disk for the interpreters.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::{
    folders::create_private,
    sdk::{Sdk, SdkLanguage},
};

/// Each file and its content. Python caches the bytecode of modules in `__pycache__`, but not of the program that it is
/// started with. So the Python bootstrap is a short program that imports a module.
const FILES: [(&str, &[u8]); 18] = [
    (Bootstraps::NODE, include_bytes!("bootstrap/index.mjs")),
    ("node/api.mjs", include_bytes!("bootstrap/node/api.mjs")),
    ("node/blocking.mjs", include_bytes!("bootstrap/node/blocking.mjs")),
    ("node/connection.mjs", include_bytes!("bootstrap/node/connection.mjs")),
    ("node/errors.mjs", include_bytes!("bootstrap/node/errors.mjs")),
    ("node/handler.mjs", include_bytes!("bootstrap/node/handler.mjs")),
    ("node/invocations.mjs", include_bytes!("bootstrap/node/invocations.mjs")),
    ("node/log.mjs", include_bytes!("bootstrap/node/log.mjs")),
    ("node/settings.mjs", include_bytes!("bootstrap/node/settings.mjs")),
    (Bootstraps::PYTHON, include_bytes!("bootstrap/start.py")),
    (Bootstraps::PYTHON_MODULE, include_bytes!("bootstrap/tasklane_runtime.py")),
    (Bootstraps::RUBY, include_bytes!("bootstrap/bootstrap.rb")),
    ("ruby/api.rb", include_bytes!("bootstrap/ruby/api.rb")),
    ("ruby/context.rb", include_bytes!("bootstrap/ruby/context.rb")),
    ("ruby/errors.rb", include_bytes!("bootstrap/ruby/errors.rb")),
    ("ruby/handler.rb", include_bytes!("bootstrap/ruby/handler.rb")),
    ("ruby/log.rb", include_bytes!("bootstrap/ruby/log.rb")),
    // Compiled by infra/java-bootstrap.
    (Bootstraps::JAVA, include_bytes!("bootstrap/java/tasklane-runtime.jar")),
];

/// The folder that takes the place of Lambda's `/var/runtime`.
#[derive(Debug)]
pub(super) struct Bootstraps {
    folder: PathBuf,
}

impl Bootstraps {
    /// The program for `node`.
    pub(super) const NODE: &str = "index.mjs";
    /// The program for `python`.
    pub(super) const PYTHON: &str = "bootstrap.py";
    /// The classes for `java`, whose main class is [`Self::JAVA_MAIN`].
    pub(super) const JAVA: &str = "tasklane-runtime.jar";
    pub(super) const JAVA_MAIN: &str = "tasklane.runtime.Main";
    /// The program for `ruby`.
    pub(super) const RUBY: &str = "bootstrap.rb";
    /// The module that [`Self::PYTHON`] imports.
    const PYTHON_MODULE: &str = "tasklane_runtime.py";

    /// Writes the files into `lambda`, replacing those of an older server, with links to where the SDK is or will be.
    pub(super) fn write(lambda: &Path, sdk: Option<&Sdk>) -> io::Result<Self> {
        let folder = lambda.join("runtime");
        for folder in [&folder, &folder.join("node"), &folder.join("ruby")] {
            create_private(folder)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        // It may hold the bytecode of an older module.
        let _ = fs::remove_dir_all(folder.join("__pycache__"));
        for (name, content) in FILES {
            // Replaced atomically: another server may be starting an interpreter with it.
            let file = tempfile::NamedTempFile::new_in(&folder)?;
            fs::write(file.path(), content)?;
            // A jailed Function may run as another user. The folders above keep all other users out.
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644))?;
            file.persist(folder.join(name)).map_err(|error| error.error)?;
        }
        for (link, language) in [
            (folder.join("node_modules"), SdkLanguage::Node),
            (folder.join("site-packages"), SdkLanguage::Python),
            // Node looks for imported modules only in the folders above the importing file. A jail has such a link too.
            (lambda.join("node_modules"), SdkLanguage::Node),
        ] {
            let _ = fs::remove_file(&link);
            if let Some(sdk) = sdk {
                symlink(sdk.packages(language), &link)?;
            }
        }
        Ok(Self { folder })
    }

    /// The module that each Python compiles before its first run.
    pub(super) fn python_module(&self) -> PathBuf {
        self.folder.join(Self::PYTHON_MODULE)
    }

    /// The value of `LAMBDA_RUNTIME_DIR`.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}
