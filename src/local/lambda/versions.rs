//! The deployed versions: one file each, written once, so that they can run after a restart.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tasklane_model::{CodeSha256, Configuration, Deployment, FunctionName, FunctionSpec, ImageReference, Program};
use tasklane_runtime::lock::Lock;

use super::{
    code::CodeStore,
    error::{DeployError, MachineFailure},
    folders::create_private,
    image::{Image, ImageError, ImageStore},
    layers::Opt,
    package::UnpackError,
};

/// One version of a Function: everything that is needed to run it.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) function: FunctionName,
    /// The same as [`Deployment::version`].
    pub(super) id: String,
    pub(super) code: CodeSha256,
    /// Its files.
    pub(super) content: Content,
    pub(super) configuration: Configuration,
    /// Its layers, once [`Layers::under`](super::layers::Layers::under) has found them. `None` if it has none.
    pub(super) opt: Option<Arc<Opt>>,
    /// Whether it runs under a debugger.
    pub(super) is_inspected: bool,
}

/// The files of a version.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// The folder of an unpacked zip.
    Package(PathBuf),
    Image(Arc<Image>),
}

impl Version {
    /// Whether this is the same version of the same Function, with the same state of its layers.
    pub(super) fn is(&self, other: &Self) -> bool {
        let opt = |version: &Self| version.opt.as_ref().map(Arc::as_ptr);
        self.id == other.id && self.function == other.function && opt(self) == opt(other)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("function", &self.function).field("id", &self.id).finish_non_exhaustive()
    }
}

/// The program of a runtime that a package or a layer brings.
pub(super) const BOOTSTRAP: &str = "bootstrap";

impl Version {
    /// The folder of its code, or of its image's files.
    pub(super) fn folder(&self) -> &Path {
        match &self.content {
            Content::Package(folder) => folder,
            Content::Image(image) => &image.root,
        }
    }

    /// The image that it runs in place of a package.
    pub(super) fn image(&self) -> Option<&Image> {
        match &self.content {
            Content::Package(_) => None,
            Content::Image(image) => Some(image),
        }
    }

    /// Whether its own runtime is in a layer, and not in the package.
    pub(super) fn has_bootstrap_in_layers(&self) -> bool {
        let is_there = |folder: &Path| fs::symlink_metadata(folder.join(BOOTSTRAP)).is_ok();
        !is_there(self.folder()) && self.opt.as_ref().is_some_and(|opt| is_there(opt.path()))
    }

    /// The program of its own runtime, on this machine. It may not exist.
    pub(super) fn bootstrap(&self) -> PathBuf {
        match &self.opt {
            Some(opt) if self.has_bootstrap_in_layers() => opt.path().join(BOOTSTRAP),
            _ => self.folder().join(BOOTSTRAP),
        }
    }
}

/// The content of a version's file. It may contain secrets, in the environment, so only the owner can enter the folder.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    code_sha256: CodeSha256,
    #[serde(flatten)]
    configuration: Configuration,
}

/// New code of a Function.
#[derive(Debug)]
pub(super) enum NewCode {
    Zip(Bytes),
    /// The image of this name in a layout or archive.
    Image {
        place: PathBuf,
        name: ImageReference,
    },
}

/// All versions of all Functions.
#[derive(Debug)]
pub(super) struct Versions {
    folder: PathBuf,
    code: CodeStore,
    images: ImageStore,
    loaded: Lock<BTreeMap<(FunctionName, String), Arc<Version>>>,
    /// Held while packages are added or removed, so that none is removed after it was unpacked and before its version's
    /// file is written.
    packages: Arc<tokio::sync::Mutex<()>>,
}

impl Versions {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let code = CodeStore::open(folder.join("code"))?;
        let images = ImageStore::open(folder.join("images"))?;
        let folder = folder.join("versions");
        create_private(&folder)?;
        Ok(Self { folder, code, images, loaded: Lock::default(), packages: Arc::default() })
    }

    /// Writes a version's file, and unpacks its code unless that was done before. Without `code`, `current` identifies
    /// the code.
    pub(super) async fn deploy(
        &self,
        spec: &FunctionSpec,
        code: Option<NewCode>,
        current: Option<&Deployment>,
    ) -> Result<Deployment, DeployError> {
        let _packages = self.packages.lock().await;
        let hash =
            match code {
                Some(NewCode::Image { place, name }) => {
                    let store = self.images.clone();
                    let unpacked = tokio::task::spawn_blocking(move || store.add(&place, &name)).await;
                    unpacked.map_err(|error| MachineFailure::new("unpack the image", error))?.map_err(|error| {
                        match error {
                            ImageError::Invalid { .. } => {
                                DeployError::InvalidConfiguration(format!("The image at {error}."))
                            }
                            ImageError::Io(error) => MachineFailure::new("unpack the image", error).into(),
                        }
                    })?
                }
                Some(NewCode::Zip(code)) => {
                    let store = self.code.clone();
                    let unpacked = tokio::task::spawn_blocking(move || store.add(&code)).await;
                    unpacked.map_err(|error| MachineFailure::new("unpack the code", error))?.map_err(|error| {
                        match error {
                            UnpackError::Invalid(invalid) => DeployError::InvalidCode(invalid),
                            UnpackError::Io(error) => MachineFailure::new("unpack the code", error).into(),
                        }
                    })?
                }
                None => current.map(|current| current.code_sha256).filter(|hash| self.holds(spec, *hash)).ok_or_else(
                    || MachineFailure::new("deploy the configuration", "the Function's code is no longer here"),
                )?,
            };
        let stored = Stored { code_sha256: hash, configuration: spec.configuration.clone() };
        let text =
            serde_json::to_vec_pretty(&stored).map_err(|error| MachineFailure::new("write the version", error))?;
        let version = hex::encode(&Sha256::digest(&text)[..16]);
        let file = self.file(&spec.name, &version);
        // Rewritten if it exists: the file's time is when the version was last deployed.
        write_private(&file, &text).map_err(|error| MachineFailure::new("write the version", error))?;
        Ok(Deployment { version, code_sha256: stored.code_sha256 })
    }

    /// Whether the code that such a Function runs is here.
    fn holds(&self, spec: &FunctionSpec, hash: CodeSha256) -> bool {
        match &spec.configuration.program {
            Program::Zip { .. } => self.code.contains(hash),
            Program::Image { .. } => self.images.contains(hash),
        }
    }

    /// The version, if it was deployed and not removed.
    pub(super) fn find(&self, function: &FunctionName, id: &str) -> io::Result<Option<Arc<Version>>> {
        let key = (function.clone(), id.to_owned());
        if let Some(version) = self.loaded().get(&key) {
            return Ok(Some(version.clone()));
        }
        // The id comes from the Function's record; one that is not a hash names no file.
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
            content: match &stored.configuration.program {
                Program::Zip { .. } => Content::Package(self.code.path(stored.code_sha256)),
                Program::Image { .. } => Content::Image(Arc::new(self.images.find(stored.code_sha256)?)),
            },
            code: stored.code_sha256,
            configuration: stored.configuration,
            opt: None,
            is_inspected: false,
        });
        self.loaded().insert(key, version.clone());
        Ok(Some(version))
    }

    /// The zip of a package; `None` if it is not there.
    pub(super) async fn code_of(&self, hash: CodeSha256) -> Result<Option<Bytes>, MachineFailure> {
        let store = self.code.clone();
        let read = tokio::task::spawn_blocking(move || store.zip(hash)).await;
        read.map_err(io::Error::other).flatten().map_err(|error| MachineFailure::new("read the code", error))
    }

    /// The versions of a Function except these, and when each was last deployed.
    pub(super) fn replaced(
        &self,
        function: &FunctionName,
        kept: &[Deployment],
    ) -> Result<Vec<(String, Option<SystemTime>)>, MachineFailure> {
        let ids = self.ids(function).map_err(|error| MachineFailure::new("list the versions", error))?;
        let replaced = ids.into_iter().filter(|id| kept.iter().all(|kept| kept.version != *id));
        Ok(replaced.map(|id| (id.clone(), self.deployed_at(function, &id))).collect())
    }

    /// When the version was last deployed; `None` if it does not exist.
    fn deployed_at(&self, function: &FunctionName, id: &str) -> Option<SystemTime> {
        fs::metadata(self.file(function, id)).and_then(|file| file.modified()).ok()
    }

    /// Removes a version that was last deployed at `deployed`. Returns whether it did. A version that was deployed
    /// again since stays, and so does the newest one: versions are named after their content, so going back to an older
    /// state deploys the same version again.
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

    /// Removes all versions of a Function.
    pub(super) async fn remove(&self, function: &FunctionName) -> Result<(), MachineFailure> {
        let _packages = self.packages.lock().await;
        self.loaded().retain(|(name, _), _| name != function);
        removed(fs::remove_dir_all(self.folder.join(function.as_str())))
    }

    /// Removes the packages and the images that no version and no running process needs.
    pub(super) async fn sweep_code(&self, running: &BTreeSet<CodeSha256>) -> Result<(), MachineFailure> {
        let _packages = self.packages.lock().await;
        let swept = self.used_code().and_then(|mut used| {
            used.extend(running);
            self.code.keep_only(&used)?;
            self.images.keep_only(&used)
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
        self.loaded.lock()
    }
}

/// A missing file counts as removed.
fn removed(result: io::Result<()>) -> Result<(), MachineFailure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(MachineFailure::new("remove the version", error)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn write_private(file: &Path, text: &[u8]) -> io::Result<()> {
    let folder = file.parent().ok_or_else(|| io::Error::other("no folder"))?;
    create_private(folder)?;
    // `NamedTempFile` has mode 0600. It is created beside the folder, so that nothing takes it for a version if the
    // server is killed before the rename.
    let unfinished = tempfile::NamedTempFile::new_in(folder.parent().and_then(Path::parent).unwrap_or(folder))?;
    fs::write(unfinished.path(), text)?;
    unfinished.persist(file).map_err(|error| error.error)?;
    Ok(())
}
