//! What a code folder holds, known without reading any file.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use super::{
    MAX_UNPACKED_BYTES, PackError, Package, Packer,
    rules::{Rules, Verdict},
    unreadable, zip_name,
};

/// The files that will be packed, in the order of the package.
#[derive(Debug)]
pub struct Listing {
    dir: PathBuf,
    pub(super) entries: Vec<Entry>,
    left_out: Vec<String>,
    bytes: u64,
    /// When the folder was listed, and the newest time stamp in it.
    listed: SystemTime,
    newest: SystemTime,
    state: Sha256,
}

/// One entry of the package.
#[derive(Debug)]
pub(super) struct Entry {
    /// Below the code folder.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    File { executable: bool },
    Link { target: PathBuf },
    EmptyFolder,
}

/// The state of a code folder: it changes when a file is changed, added, removed or renamed, as far as the file system
/// tells (size, time stamps, inode, permissions).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(String);

/// How old the newest time stamp must be: file systems set them by a clock that ticks up to every 10 ms, so that two
/// changes within one tick look the same.
const TICK: Duration = Duration::from_millis(50);

/// Part of each fingerprint, so that another version of this program, which may pack differently, packs again.
const PACKER: &str = concat!("1 ", env!("CARGO_PKG_VERSION"));

impl Listing {
    /// Lists everything under `dir` that is to be packed. Links are not followed.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn of(dir: &Path) -> Result<Self, PackError> {
        fs::metadata(dir).map_err(unreadable(dir))?;
        let rules = Rules::of(dir)?;
        let mut listing = Self {
            dir: dir.to_owned(),
            entries: Vec::new(),
            left_out: Vec::new(),
            bytes: 0,
            listed: now(),
            newest: SystemTime::UNIX_EPOCH,
            state: Sha256::new_with_prefix(PACKER),
        };
        let mut walk = WalkDir::new(dir).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            let entry = entry.map_err(|e| {
                let path = e.path().unwrap_or(dir).to_owned();
                PackError::Unreadable { path, cause: e.into() }
            })?;
            let relative = entry.path().strip_prefix(dir).unwrap_or(entry.path());
            let is_dir = entry.file_type().is_dir();
            match rules.verdict(relative, is_dir) {
                Verdict::Packed => listing.add(relative, entry.file_type(), entry.path())?,
                verdict => {
                    if is_dir {
                        walk.skip_current_dir();
                    }
                    if verdict == Verdict::LeftOut {
                        listing.leave_out(relative, if is_dir { "/" } else { "" });
                    }
                }
            }
        }
        if listing.entries.iter().all(|entry| matches!(entry.kind, Kind::EmptyFolder)) {
            return Err(PackError::Empty(dir.to_owned()));
        }
        Ok(listing)
    }

    /// What is left out although no ignore file says so: secrets by their names, and links whose target does not exist.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The size of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The state of the folder, or none if a file changed just now, so that its next change could go unnoticed.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let age = self.listed.duration_since(self.newest).unwrap_or_default();
        (age >= TICK).then(|| Fingerprint(hex::encode(self.state.clone().finalize())))
    }

    /// Reads and packs the files, and checks between two of them whether to stop.
    ///
    /// Blocks: it reads files and compresses them.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn pack(&self, is_stopped: &dyn Fn() -> bool) -> Result<Package, PackError> {
        let mut packer = Packer::new(&self.dir, is_stopped);
        for entry in &self.entries {
            packer.add(entry)?;
        }
        packer.finish()
    }

    fn add(&mut self, relative: &Path, kind: fs::FileType, path: &Path) -> Result<(), PackError> {
        let name = zip_name(relative)?;
        let found = fs::symlink_metadata(path).map_err(unreadable(path))?;
        self.note(&name, &found);
        let kind = if kind.is_symlink() {
            let target = fs::read_link(path).map_err(unreadable(path))?;
            check_link(relative, &target)?;
            zip_name(&target)?;
            // An absolute target may exist where the code runs, such as a virtual environment's interpreter.
            let there = fs::symlink_metadata(path.parent().unwrap_or(path).join(&target));
            if !target.is_absolute() && there.is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
                self.leave_out(relative, " (a link to nothing)");
                return Ok(());
            }
            Kind::Link { target }
        } else if kind.is_file() {
            self.bytes = self.bytes.saturating_add(found.len());
            if self.bytes > MAX_UNPACKED_BYTES {
                return Err(PackError::TooLarge);
            }
            Kind::File { executable: is_executable(&found) }
        } else if kind.is_dir() {
            // A folder is created with its first file; only empty ones need an entry.
            if fs::read_dir(path).map_err(unreadable(path))?.next().is_some() {
                return Ok(());
            }
            Kind::EmptyFolder
        } else {
            return Err(PackError::Special(relative.to_owned()));
        };
        self.entries.push(Entry { path: relative.to_owned(), kind });
        Ok(())
    }

    fn leave_out(&mut self, relative: &Path, suffix: &str) {
        self.left_out.push(format!("{}{suffix}", relative.display()));
        // Otherwise a link that became whole would go unnoticed.
        self.state.update(format!("left out {}\0", relative.display()));
    }

    /// Adds what the file system tells to the state.
    fn note(&mut self, name: &str, found: &fs::Metadata) {
        self.state.update(format!("{name}\0{:?} {} {}\0", found.file_type(), found.len(), stamps(found)));
        for time in [found.modified().ok(), changed(found)].into_iter().flatten() {
            // The time stamp of a folder changes with its entries, and they are listed.
            if !found.is_dir() {
                self.newest = self.newest.max(time);
            }
        }
    }
}

// The listing is compared with the file system's own time stamps.
#[allow(clippy::disallowed_methods)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// A relative link's target must not lead out of the folder. Its real target does not matter, because links are not followed.
fn check_link(relative: &Path, target: &Path) -> Result<(), PackError> {
    let mut depth = relative.components().count() - 1;
    let stays_inside = target.components().all(|component| match component {
        Component::CurDir => true,
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::ParentDir => match depth.checked_sub(1) {
            Some(up) => {
                depth = up;
                true
            }
            None => false,
        },
        Component::RootDir | Component::Prefix(_) => false,
    });
    if stays_inside || target.is_absolute() {
        return Ok(());
    }
    Err(PackError::LinkLeaves { link: relative.to_owned(), target: target.to_owned() })
}

#[cfg(unix)]
fn stamps(found: &fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt as _;
    // A folder's own time stamps change whenever an ignored file in it comes or goes.
    if found.is_dir() {
        return String::new();
    }
    let (modified, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    format!("{modified:?} {changed:?} {} {:o}", found.ino(), found.mode())
}

#[cfg(not(unix))]
fn stamps(found: &fs::Metadata) -> String {
    format!("{:?} {:?}", found.modified().ok(), found.created().ok())
}

/// When the file's content or its permissions last changed.
#[cfg(unix)]
fn changed(found: &fs::Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt as _;
    let (seconds, nanos) = (u64::try_from(found.ctime()).ok()?, u32::try_from(found.ctime_nsec()).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

#[cfg(not(unix))]
fn changed(_: &fs::Metadata) -> Option<SystemTime> {
    None
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    // This system has no such bit. Everything is executable, so that a `bootstrap` is.
    true
}
