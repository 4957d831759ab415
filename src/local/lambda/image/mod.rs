//! Container images: one unpacked root file system each, named after the image's digest.
//!
//! An image comes as an OCI layout, a folder or a tar archive of one, or as an archive of `docker save`. Its digest here is
//! that of its configuration, which names the content of every layer, so that one image has one digest in all of these forms.

mod documents;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzz;
mod layer;
#[cfg(not(target_os = "linux"))]
mod no_root;
#[cfg(target_os = "linux")]
mod root;
mod source;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

#[cfg(not(target_os = "linux"))]
use no_root as root;
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tasklane_model::{CodeSha256, ImageReference};

use self::{
    documents::{Document, Parts},
    layer::Budget,
    root::Root,
    source::Source,
};
use super::folders::create_private;

/// Where the images of Functions are on this machine, which has no registry.
pub trait ImageSource: Send + Sync {
    /// The OCI layout or the archive that takes the place of this image; `None` if there is none.
    fn place(&self, image: &ImageReference) -> Option<PathBuf>;
}

/// No image is anywhere.
#[derive(Clone, Copy, Debug)]
pub struct NoImages;

impl ImageSource for NoImages {
    fn place(&self, _: &ImageReference) -> Option<PathBuf> {
        None
    }
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It is not an image that runs here. The reason follows its place in a sentence.
    #[error("{place} {why}", place = place.display())]
    Invalid {
        /// The layout or archive.
        place: PathBuf,
        /// Such as "has no image for linux/amd64".
        why: String,
    },
    /// This machine could not write it.
    #[error("the image could not be unpacked: {0}")]
    Io(#[from] io::Error),
}

/// The digest of the image at this place, which its layers are not read for.
pub fn image_digest(place: &Path, name: &ImageReference) -> Result<CodeSha256, ImageError> {
    let at = |why| Wrong::at(why, place);
    let source = Source::open(place).map_err(at)?;
    Ok(Parts::find(&source, name).map_err(at)?.digest)
}

/// Why something is no usable image, without its place.
#[derive(Debug)]
enum Wrong {
    Invalid(String),
    Io(io::Error),
}

impl Wrong {
    fn new(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    fn at(self, place: &Path) -> ImageError {
        match self {
            Self::Invalid(why) => ImageError::Invalid { place: place.to_owned(), why },
            Self::Io(error) => ImageError::Io(error),
        }
    }
}

impl From<io::Error> for Wrong {
    /// Some failures are those of the paths in an image, and not of this machine.
    fn from(error: io::Error) -> Self {
        use nix::libc::{ELOOP, ENAMETOOLONG, ENOTDIR};
        match error.raw_os_error() {
            Some(ELOOP | ENAMETOOLONG | ENOTDIR) => Self::new(format!("has a path that cannot be made here: {error}")),
            _ => Self::Io(error),
        }
    }
}

/// An unpacked image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Its file system.
    pub(super) root: PathBuf,
    /// The program to start and its arguments: the image's entry point, then its command. Never empty.
    pub(super) command: Vec<String>,
    /// Its own variables, by name.
    pub(super) environment: Vec<(String, String)>,
    /// The folder that its program starts in.
    pub(super) folder: PathBuf,
}

/// The unpacked images.
#[derive(Clone, Debug)]
pub(super) struct ImageStore {
    folder: PathBuf,
}

const ROOT: &str = "root";
const CONFIGURATION: &str = "config.json";
const UNFINISHED: &str = "unfinished";

impl ImageStore {
    /// Opens the folder, and removes images that a killed server had only partly unpacked.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        create_private(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some() {
                let _ = fs::remove_dir_all(&path);
            }
        }
        Ok(Self { folder })
    }

    pub(super) fn contains(&self, digest: CodeSha256) -> bool {
        self.path(digest).is_dir()
    }

    fn path(&self, digest: CodeSha256) -> PathBuf {
        self.folder.join(digest.to_hex())
    }

    /// An image that [`ImageStore::add`] has unpacked.
    pub(super) fn find(&self, digest: CodeSha256) -> io::Result<Image> {
        let folder = self.path(digest);
        let document = Document::read(&fs::read(folder.join(CONFIGURATION))?).map_err(io::Error::other)?;
        document.image(folder.join(ROOT)).map_err(io::Error::other)
    }

    /// Unpacks an image, unless that was done before. A kill of the server cannot leave it half unpacked.
    pub(super) fn add(&self, place: &Path, name: &ImageReference) -> Result<CodeSha256, ImageError> {
        self.unpack(place, name, Budget::MOST).map_err(|wrong| wrong.at(place))
    }

    fn unpack(&self, place: &Path, name: &ImageReference, most: Budget) -> Result<CodeSha256, Wrong> {
        let source = Source::open(place)?;
        let parts = Parts::find(&source, name)?;
        // Checks what it will be started with before anything is written.
        parts.document.image(PathBuf::new()).map_err(Wrong::Invalid)?;
        if self.contains(parts.digest) {
            return Ok(parts.digest);
        }
        let unfinished = tempfile::Builder::new()
            .prefix(&parts.digest.to_hex())
            .suffix(&format!(".{UNFINISHED}"))
            .tempdir_in(&self.folder)?;
        let root = unfinished.path().join(ROOT);
        fs::create_dir(&root)?;
        // A jailed Function may run as another user.
        for folder in [unfinished.path(), &root] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        let opened = Root::open(&root)?;
        let mut budget = most;
        for layer in &parts.layers {
            budget = layer.unpack(&source, &opened, budget)?;
        }
        opened.prepare_mount_points()?;
        fs::write(unfinished.path().join(CONFIGURATION), &parts.configuration)?;
        match fs::rename(unfinished.path(), self.path(parts.digest)) {
            Ok(()) => {
                let _ = unfinished.keep();
            }
            // Another deployment of the same image was faster.
            Err(_) if self.contains(parts.digest) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(parts.digest)
    }

    /// Removes all images except these.
    pub(super) fn keep_only(&self, used: &BTreeSet<CodeSha256>) -> io::Result<()> {
        let used: BTreeSet<String> = used.iter().map(|digest| digest.to_hex()).collect();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if path.extension().is_none() && name.is_some_and(|name| !used.contains(name)) {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }
}
