//! Zip packages with a Function's code, and the rules for accepting them.
//!
//! A package is accepted or rejected from its directory before the first byte is unpacked, and the content is then
//! checked against the directory. Only the given folder is written to.

mod entries;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod unpack;

pub use unpack::{UnpackError, unpack};

use std::io::Cursor;

use zip::ZipArchive;

/// The most bytes that a package may unpack to: Lambda's 250 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const MAX_UNPACKED_BYTES: u64 = 262_144_000;

/// The most entries in a package. Lambda has no documented limit. This one limits what a package of empty files can do
/// to a file system: if code fills [`MAX_UNPACKED_BYTES`], its files have 8 KB on average.
pub const MAX_ENTRIES: usize = 32_000;

/// A package that unpacks to more than [`RATIO_FREE_BYTES`] and to more than this many times its own size is considered
/// a zip bomb. Code compresses to a third or a tenth; only repetition compresses better than this.
pub const MAX_RATIO: u64 = 100;

/// A package that unpacks to no more than this may have any ratio: a test file full of zeros does no harm at this size.
pub const RATIO_FREE_BYTES: u64 = 10 * 1024 * 1024;

/// Why a package is rejected. The messages are for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPackage {
    /// Not a zip archive, or a damaged one.
    #[error("the code is not a readable zip archive: {0}")]
    NotAZip(String),
    #[error("the zip archive holds no file")]
    Empty,
    /// An entry with a path outside of the folder.
    #[error("the zip entry '{0}' has a path that leads out of the Function's folder")]
    UnsafePath(String),
    /// An entry whose path cannot be used.
    #[error("the zip entry '{0}' has a path that is empty, not UTF-8, too long or holds a control character")]
    BadPath(String),
    /// A link whose target cannot be used.
    #[error("the zip entry '{0}' is a link to a path that is empty or holds a zero byte")]
    BadLink(String),
    #[error("the zip entry '{0}' is neither a file, a folder nor a symbolic link")]
    OddEntry(String),
    #[error("the zip archive holds two entries of the same name")]
    DuplicateName,
    /// Two entries with one path, or an entry inside of a file or link.
    #[error("the zip archive holds '{0}' twice, or once as a folder and once as something else")]
    Conflict(String),
    /// An entry that is encrypted, or compressed by a method that Lambda does not support.
    #[error("the zip entry '{0}' is encrypted or uses a compression method other than deflate")]
    Unreadable(String),
    #[error("the zip archive holds more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// More than [`MAX_UNPACKED_BYTES`].
    #[error("unzipped size must be smaller than {MAX_UNPACKED_BYTES} bytes")]
    TooLarge,
    /// A zip bomb.
    #[error(
        "the zip archive unpacks to more than {MAX_RATIO} times its size, or packs several entries into the same bytes"
    )]
    Bomb,
    /// An entry that is larger or smaller than the archive's directory says.
    #[error("the zip entry '{0}' does not hold what the archive's directory says")]
    Inconsistent(String),
}

fn open(code: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, InvalidPackage> {
    let archive = ZipArchive::new(Cursor::new(code)).map_err(|error| InvalidPackage::NotAZip(error.to_string()))?;
    if archive.len() > MAX_ENTRIES {
        return Err(InvalidPackage::TooManyEntries);
    }
    if archive.has_duplicate_names() {
        return Err(InvalidPackage::DuplicateName);
    }
    Ok(archive)
}

#[cfg(test)]
pub(crate) mod testing {
    //! Valid and invalid zip archives for tests.

    use std::io::{Cursor, Write};

    use zip::{ZipWriter, write::SimpleFileOptions};

    /// A zip with these files, each `(path, mode, content)`.
    pub(crate) fn zip_with_modes(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, mode, content) in files {
            writer.start_file(*path, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// A zip with these files, each `(path, content)`, uncompressed, so that it cannot be taken for a bomb.
    pub(crate) fn zip_stored(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (path, content) in files {
            writer.start_file(*path, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// A zip with these files, each `(path, content)`.
    pub(crate) fn zip(files: &[(&str, &str)]) -> Vec<u8> {
        let files: Vec<_> = files.iter().map(|(path, content)| (*path, 0o644, content.as_bytes())).collect();
        zip_with_modes(&files)
    }

    /// A zip with a symbolic link and these files.
    pub(crate) fn zip_with_link(link: &str, target: &str, files: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, content) in files {
            writer.start_file(*path, SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.add_symlink(link, target, SimpleFileOptions::default()).unwrap();
        writer.finish().unwrap().into_inner()
    }
}
