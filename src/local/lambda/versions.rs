//! What was deployed: one file a version, written once, so that a restart can still run it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tasklane_model::{CodeSha256, Configuration, Deployment, FunctionName, FunctionSpec};

use super::{
    code::CodeStore,
    config::create_private,
    error::{DeployError, MachineFailure},
    package::UnpackError,
};

/// One version of a Function: everything that a run needs to know.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) function: FunctionName,
    /// What [`Deployment::version`] says.
    pub(super) id: String,
    pub(super) code: CodeSha256,
    /// Where its files are.
    pub(super) code_path: PathBuf,
    pub(super) configuration: Configuration,
}

impl Version {
    /// Whether this is that version of that Function.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.function == other.function
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("function", &self.function).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A version's file. Its environment holds secrets: the folder is its owner's alone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    code_sha256: CodeSha256,
    #[serde(flatten)]
    configuration: Configuration,
}

/// Every version of every Function.
#[derive(Debug)]
pub(super) struct Versions {
    folder: PathBuf,
    code: CodeStore,
    loaded: Mutex<BTreeMap<(FunctionName, String), Arc<Version>>>,
    /// Held while packages come and go, so that none is swept away between its unpacking and its version's file.
    packages: Arc<tokio::sync::Mutex<()>>,
}

impl Versions {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let code = CodeStore::open(folder.join("code"))?;
        let folder = folder.join("versions");
        create_private(&folder)?;
        Ok(Self { folder, code, loaded: Mutex::default(), packages: Arc::default() })
    }

    /// Writes a version's file, and unpacks its code unless that is here. Without `code`, `current` names it.
    pub(super) async fn deploy(
        &self,
        spec: &FunctionSpec,
        code: Option<Bytes>,
        current: Option<&Deployment>,
    ) -> Result<Deployment, DeployError> {
        let _packages = self.packages.lock().await;
        let hash = match code {
            Some(code) => {
                let store = self.code.clone();
                let unpacked = tokio::task::spawn_blocking(move || store.add(&code)).await;
                unpacked.map_err(|error| MachineFailure::new("unpack the code", error))?.map_err(
                    |error| match error {
                        UnpackError::Invalid(invalid) => DeployError::InvalidCode(invalid),
                        UnpackError::Io(error) => MachineFailure::new("unpack the code", error).into(),
                    },
                )?
            }
            None => current.map(|current| current.code_sha256).filter(|hash| self.code.contains(*hash)).ok_or_else(
                || MachineFailure::new("deploy the configuration", "the Function's code is no longer here"),
            )?,
        };
        let stored = Stored { code_sha256: hash, configuration: spec.configuration.clone() };
        let text =
            serde_json::to_vec_pretty(&stored).map_err(|error| MachineFailure::new("write the version", error))?;
        let version = hex::encode(&Sha256::digest(&text)[..16]);
        let file = self.file(&spec.name, &version);
        // Written again when it is there already: the file's time is when the version was deployed last.
        write_private(&file, &text).map_err(|error| MachineFailure::new("write the version", error))?;
        Ok(Deployment { version, code_sha256: stored.code_sha256 })
    }

    /// The version, when it was deployed and not removed.
    pub(super) fn find(&self, function: &FunctionName, id: &str) -> io::Result<Option<Arc<Version>>> {
        let key = (function.clone(), id.to_owned());
        if let Some(version) = self.loaded().get(&key) {
            return Ok(Some(version.clone()));
        }
        // The id comes from the Function's record; one that is no hash names no file.
        if !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let text = match fs::read(self.file(function, id)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stored: Stored = serde_json::from_slice(&text)?;
        let version = Arc::new(Version {
            function: function.clone(),
            id: id.to_owned(),
            code_path: self.code.path(stored.code_sha256),
            code: stored.code_sha256,
            configuration: stored.configuration,
        });
        self.loaded().insert(key, version.clone());
        Ok(Some(version))
    }

    /// When the version was deployed last; `None` when it is not there.
    pub(super) fn deployed_at(&self, function: &FunctionName, id: &str) -> Option<SystemTime> {
        fs::metadata(self.file(function, id)).and_then(|file| file.modified()).ok()
    }

    /// Forgets a version that was `deployed` then; whether it did. One that was deployed again since stays, and so does
    /// the newest: a version is named by what it holds, and going back to it deploys the same one again.
    pub(super) async fn drop_replaced(
        &self,
        function: &FunctionName,
        id: &str,
        deployed: Option<SystemTime>,
    ) -> Result<bool, MachineFailure> {
        let _packages = self.packages.lock().await;
        if self.deployed_at(function, id) != deployed || self.is_newest(function, id) {
            return Ok(false);
        }
        self.loaded().retain(|(name, version), _| name != function || version != id);
        removed(fs::remove_file(self.file(function, id))).map(|()| true)
    }

    /// Forgets a Function.
    pub(super) async fn remove(&self, function: &FunctionName) -> Result<(), MachineFailure> {
        let _packages = self.packages.lock().await;
        self.loaded().retain(|(name, _), _| name != function);
        removed(fs::remove_dir_all(self.folder.join(function.as_str())))
    }

    /// Removes the packages that neither a version nor a running process needs.
    pub(super) async fn sweep_code(&self, running: &BTreeSet<CodeSha256>) -> Result<(), MachineFailure> {
        let _packages = self.packages.lock().await;
        let swept = self.used_code().and_then(|mut used| {
            used.extend(running);
            self.code.keep_only(&used)
        });
        swept.map_err(|error| MachineFailure::new("remove unused code", error))
    }

    fn used_code(&self) -> io::Result<BTreeSet<CodeSha256>> {
        let mut used = BTreeSet::new();
        for folder in fs::read_dir(&self.folder)? {
            for file in fs::read_dir(folder?.path())? {
                let stored: Stored = serde_json::from_slice(&fs::read(file?.path())?)?;
                used.insert(stored.code_sha256);
            }
        }
        Ok(used)
    }

    fn is_newest(&self, function: &FunctionName, id: &str) -> bool {
        let ids = self.ids(function).unwrap_or_default();
        ids.into_iter().max_by_key(|other| self.deployed_at(function, other)).is_some_and(|newest| newest == id)
    }

    fn ids(&self, function: &FunctionName) -> io::Result<Vec<String>> {
        let files = match fs::read_dir(self.folder.join(function.as_str())) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let id = |entry: fs::DirEntry| Some(entry.path().file_stem()?.to_str()?.to_owned());
        Ok(files.filter_map(Result::ok).filter_map(id).collect())
    }

    fn file(&self, function: &FunctionName, id: &str) -> PathBuf {
        self.folder.join(function.as_str()).join(format!("{id}.json"))
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, BTreeMap<(FunctionName, String), Arc<Version>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that does not exist counts as removed.
fn removed(result: io::Result<()>) -> Result<(), MachineFailure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(MachineFailure::new("remove the version", error)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn write_private(file: &Path, text: &[u8]) -> io::Result<()> {
    let folder = file.parent().ok_or_else(|| io::Error::other("no folder"))?;
    create_private(folder)?;
    // `NamedTempFile` has mode 0600. Its name has no `.json`, but it is gone before anybody looks unless the server
    // was killed; beside the folder, so that nothing takes it for a version.
    let unfinished = tempfile::NamedTempFile::new_in(folder.parent().and_then(Path::parent).unwrap_or(folder))?;
    fs::write(unfinished.path(), text)?;
    unfinished.persist(file).map_err(|error| error.error)?;
    Ok(())
}
