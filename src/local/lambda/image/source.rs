//! The files of an image: in a folder, or in a tar archive.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Read, Seek as _, SeekFrom},
    path::{Component, Path, PathBuf},
};

use super::Wrong;

/// The largest document: an index, a manifest or a configuration.
const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;

/// How many files an archive may have. Each layer is one, and an old `docker save` writes three for each.
const MAX_FILES: usize = 10_000;

/// How many links lead from one file of an archive to another at most. `docker save` used to write one for a layer that
/// several images share.
const MAX_LINKS: usize = 8;

/// The files of an image.
pub(super) enum Source {
    Folder(PathBuf),
    Archive { file: PathBuf, entries: BTreeMap<String, Entry> },
}

/// A file in an archive.
pub(super) enum Entry {
    File {
        offset: u64,
        size: u64,
    },
    /// The same as another one.
    Link(String),
}

impl Source {
    pub(super) fn open(place: &Path) -> Result<Self, Wrong> {
        let unreadable = |error: io::Error| Wrong::new(format!("cannot be read: {error}"));
        if fs::metadata(place).map_err(unreadable)?.is_dir() {
            return Ok(Self::Folder(place.to_owned()));
        }
        let mut file = File::open(place).map_err(unreadable)?;
        let mut head = [0; 4];
        let compressed = file.read_exact(&mut head).is_ok() && (is_gzip(&head) || is_zstd(&head));
        if compressed {
            return Err(Wrong::new("is compressed as a whole: decompress it first"));
        }
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let entries = entries(file).map_err(|error| Wrong::new(format!("is not a readable tar archive: {error}")))?;
        Ok(Self::Archive { file: place.to_owned(), entries })
    }

    /// A document; `None` if there is no such file.
    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, Wrong> {
        let Some(reader) = self.find(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = reader.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes);
        read.map_err(|error| Wrong::new(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(Wrong::new(format!("has a file {name:?} of more than {MAX_DOCUMENT} bytes")));
        }
        Ok(Some(bytes))
    }

    /// The content of a file.
    pub(super) fn read(&self, name: &str) -> Result<Box<dyn Read>, Wrong> {
        self.find(name)?.ok_or_else(|| Wrong::new(format!("has no file {name:?}: it is incomplete")))
    }

    fn find(&self, name: &str) -> Result<Option<Box<dyn Read>>, Wrong> {
        let unreadable = |error: io::Error| Wrong::new(format!("has a file {name:?} that cannot be read: {error}"));
        let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !is_inside {
            return Err(Wrong::new(format!("names a file outside of itself: {name:?}")));
        }
        match self {
            Self::Folder(folder) => {
                let file = folder.join(name);
                match fs::symlink_metadata(&file) {
                    Ok(found) if found.is_file() => {}
                    Ok(_) => return Err(Wrong::new(format!("has no ordinary file {name:?}"))),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(unreadable(error)),
                }
                Ok(Some(Box::new(BufReader::new(File::open(file).map_err(unreadable)?))))
            }
            Self::Archive { file, entries } => {
                let mut entry = entries.get(name);
                for _ in 0..MAX_LINKS {
                    let Some(Entry::Link(target)) = entry else { break };
                    entry = entries.get(target);
                }
                let Some(Entry::File { offset, size }) = entry else { return Ok(None) };
                let mut file = File::open(file).map_err(unreadable)?;
                file.seek(SeekFrom::Start(*offset)).map_err(unreadable)?;
                Ok(Some(Box::new(BufReader::new(file).take(*size))))
            }
        }
    }
}

/// Where each file of an archive is.
fn entries(file: File) -> io::Result<BTreeMap<String, Entry>> {
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut entries = BTreeMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let kind = entry.header().entry_type();
        let Some(name) = normal(&entry.path()?) else { continue };
        let found = if kind.is_file() {
            Entry::File { offset: entry.raw_file_position(), size: entry.size() }
        } else if kind.is_hard_link() || kind.is_symlink() {
            let Some(target) = entry.link_name()? else { continue };
            // A symbolic link is relative to its folder.
            let base = if kind.is_symlink() { Path::new(&name).parent() } else { None };
            let Some(target) = normal(&base.unwrap_or(Path::new("")).join(target)) else { continue };
            Entry::Link(target)
        } else {
            continue;
        };
        entries.insert(name, found);
        if entries.len() > MAX_FILES {
            return Err(io::Error::other(format!("it has more than {MAX_FILES} files")));
        }
    }
    Ok(entries)
}

/// The path without `.` and `..`; `None` if it leads out of the archive.
fn normal(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::ParentDir => drop(parts.pop()?),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// Whether these are the first bytes of a gzip stream.
pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

/// Whether these are the first bytes of a zstd stream.
pub(super) fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}
