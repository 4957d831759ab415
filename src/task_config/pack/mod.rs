//! Packs a code folder into a zip for AWS Lambda.

mod listing;
mod rules;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{Cursor, Read, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tasklane_model::CodeSha256;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use self::listing::{Entry, Kind};
pub use self::{
    listing::{Fingerprint, Listing},
    rules::{IGNORE_FILE, LEFT_OUT, NEVER_PACKED},
};

/// AWS Lambda's limit for unpacked code: 250 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_UNPACKED_BYTES: u64 = 250 * 1024 * 1024;

/// A zip and its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Package {
    pub zip: Bytes,
    /// Its hash. Two packages of the same files have the same one.
    pub code_sha256: CodeSha256,
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Package({} bytes, {})", self.zip.len(), self.code_sha256)
    }
}

/// Why a folder cannot be packed. Paths are relative to the folder, except in `Unreadable` and `IgnoreFile`.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    /// A line of the ignore file is not a pattern.
    #[error("{} has a pattern that cannot be read: {why}", file.display())]
    IgnoreFile { file: PathBuf, why: String },
    #[error("{} holds no files", .0.display())]
    Empty(PathBuf),
    /// A symbolic link that leads out of the folder. On Lambda, its target would not exist.
    #[error(
        "{} is a symbolic link to {}, outside of the code folder: put the files themselves there \
         (with npm workspaces: bundle, or `npm install --install-links`)",
        link.display(), target.display()
    )]
    LinkLeaves {
        link: PathBuf,
        /// The link's target as written.
        target: PathBuf,
    },
    /// A name that is not UTF-8. Not every system reads such a name in the same way.
    #[error("{} has a name that is not UTF-8", .0.display())]
    Name(PathBuf),
    /// A socket, a pipe or a device.
    #[error("{} is neither a file, a folder nor a symbolic link", .0.display())]
    Special(PathBuf),
    /// More than Lambda accepts.
    #[error("the code folder holds more than 250 MB, the limit of AWS Lambda")]
    TooLarge,
    #[error("cannot create the zip: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// The caller asked to stop.
    #[error("packing was stopped")]
    Stopped,
}

/// Packs everything under `dir` except [`NEVER_PACKED`], [`LEFT_OUT`], links whose relative target does not exist, and what
/// the folder's [`IGNORE_FILE`] names. The same files give the same bytes on any machine and at any time: names are sorted,
/// the time stamp is fixed, and permissions are 755 for executable files and 644 for others. Symbolic links are kept as
/// links and not followed. An absolute link keeps its target on Lambda, such as a virtual environment's interpreter.
///
/// Blocks: it reads files and compresses them. [`Listing`] tells first what will be packed.
///
/// # Errors
/// See [`PackError`].
pub fn pack(dir: &Path) -> Result<Package, PackError> {
    Listing::of(dir)?.pack(&|| false)
}

struct Packer<'a> {
    dir: &'a Path,
    is_stopped: &'a dyn Fn() -> bool,
    zip: ZipWriter<Cursor<Vec<u8>>>,
    unpacked_bytes: u64,
}

/// How much is compressed between two looks at whether to stop: some 50 ms of work.
const PIECE: u64 = 1024 * 1024;

impl<'a> Packer<'a> {
    fn new(dir: &'a Path, is_stopped: &'a dyn Fn() -> bool) -> Self {
        Self { dir, is_stopped, zip: ZipWriter::new(Cursor::new(Vec::new())), unpacked_bytes: 0 }
    }

    fn add(&mut self, entry: &Entry) -> Result<(), PackError> {
        let name = zip_name(&entry.path)?;
        match &entry.kind {
            Kind::Link { target } => self.zip.add_symlink(name, zip_name(target)?, options(0o777))?,
            Kind::EmptyFolder => self.zip.add_directory(name, options(0o755))?,
            Kind::File { executable } => {
                self.zip.start_file(name, options(if *executable { 0o755 } else { 0o644 }))?;
                self.copy(&self.dir.join(&entry.path))?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, path: &Path) -> Result<(), PackError> {
        let mut file = fs::File::open(path).map_err(unreadable(path))?;
        let mut piece = Vec::new();
        loop {
            if (self.is_stopped)() {
                return Err(PackError::Stopped);
            }
            piece.clear();
            let read = Read::by_ref(&mut file).take(PIECE).read_to_end(&mut piece).map_err(unreadable(path))?;
            if read == 0 {
                return Ok(());
            }
            // Checked again, because a file can grow after it was listed.
            self.unpacked_bytes += read as u64;
            if self.unpacked_bytes > MAX_UNPACKED_BYTES {
                return Err(PackError::TooLarge);
            }
            self.zip.write_all(&piece).map_err(zip::result::ZipError::from)?;
        }
    }

    fn finish(self) -> Result<Package, PackError> {
        let zip = self.zip.finish()?.into_inner();
        let code_sha256 = CodeSha256::of(&zip);
        Ok(Package { zip: Bytes::from(zip), code_sha256 })
    }
}

fn options(permissions: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .last_modified_time(zip::DateTime::DEFAULT)
        .system(zip::System::Unix)
        .unix_permissions(permissions)
}

fn zip_name(path: &Path) -> Result<String, PackError> {
    let text = path.to_str().ok_or_else(|| PackError::Name(path.to_owned()))?;
    Ok(text.replace(std::path::MAIN_SEPARATOR, "/"))
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> PackError {
    let path = path.to_owned();
    move |cause| PackError::Unreadable { path, cause }
}
