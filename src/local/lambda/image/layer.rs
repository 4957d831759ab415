//! One layer of an image: a tar archive, perhaps compressed, that is unpacked over the layers below.

use std::{
    cell::{Cell, RefCell},
    ffi::OsStr,
    io::{self, Read},
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};

use super::{
    Wrong,
    root::Root,
    source::{Source, is_gzip, is_zstd},
};

/// What a file's name begins with that removes another one from the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// Removes everything that the layers below have in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Marks of AUFS itself.
const OF_AUFS: &[u8] = b".wh..wh.";

/// How many folders may be inside of each other.
const MAX_DEPTH: usize = 128;

/// A layer of an image.
pub(super) struct Layer {
    /// Its file in the source.
    pub(super) name: String,
    /// The hash of this file, where a manifest names it.
    pub(super) digest: Option<[u8; 32]>,
    /// The hash of the tar archive in it.
    pub(super) diff_id: [u8; 32],
}

/// How much more the layers of one image may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Of their tar archives.
    pub(super) bytes: u64,
    /// Files, folders and links.
    pub(super) entries: u64,
}

impl Budget {
    /// Lambda's limit for an image is 10 GB.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
    pub(super) const MOST: Self = Self { bytes: 10 << 30, entries: 1_000_000 };
}

/// The files that a layer removes.
enum Removal {
    One(PathBuf),
    /// Everything in this folder.
    Content(PathBuf),
}

impl Layer {
    /// Unpacks it, and returns what is left of the budget.
    ///
    /// It is read twice: the first time to check it, before any of it is written, and to find what it removes, which
    /// concerns only the layers below and must be removed first.
    pub(super) fn unpack(&self, source: &Source, root: &Root, budget: Budget) -> Result<Budget, Wrong> {
        let mut removals = Vec::new();
        let left = self.read(source, budget, |entry| {
            let Some(path) = inside(&entry.path_bytes())? else { return Ok(()) };
            removals.extend(removal(&path));
            Ok(())
        })?;
        for removal in &removals {
            match removal {
                Removal::One(path) => root.remove(path)?,
                Removal::Content(folder) => root.clear(folder)?,
            }
        }
        self.read(source, budget, |entry| match inside(&entry.path_bytes())? {
            Some(path) if !is_mark(&path) => put(root, &path, entry),
            Some(_) | None => Ok(()),
        })?;
        Ok(left)
    }

    /// Calls `visit` with each entry, and then checks the hashes.
    fn read(
        &self,
        source: &Source,
        budget: Budget,
        mut visit: impl FnMut(&mut Entry<'_, Box<dyn Read>>) -> Result<(), Wrong>,
    ) -> Result<Budget, Wrong> {
        let damaged = |error: io::Error| match error.get_ref().is_some_and(|inner| inner.is::<TooLarge>()) {
            true => Wrong::new(format!("{TooLarge}")),
            false => Wrong::new(format!("is damaged: the layer {:?} cannot be read: {error}", self.name)),
        };
        let (compressed, content) = (Hash::default(), Hash::default());
        let left = Rc::new(Cell::new(budget.bytes));
        let mut raw = Hashed { inner: source.read(&self.name)?, hash: Rc::clone(&compressed) };
        let mut head = Vec::new();
        raw.by_ref().take(4).read_to_end(&mut head).map_err(damaged)?;
        if is_zstd(&head) {
            return Err(Wrong::new(
                "has layers that are compressed with zstd: build it with gzip, which Lambda can read, too",
            ));
        }
        let is_gzip = is_gzip(&head);
        let raw = io::Cursor::new(head).chain(raw);
        let plain: Box<dyn Read> = if is_gzip { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        let limited = Limited { inner: plain, left: Rc::clone(&left) };
        let mut archive: Archive<Box<dyn Read>> =
            Archive::new(Box::new(Hashed { inner: limited, hash: Rc::clone(&content) }));
        let mut entries = budget.entries;
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            entries = entries.checked_sub(1).ok_or_else(|| Wrong::new(format!("{TooLarge}")))?;
            visit(&mut entry)?;
        }
        // What follows the end of the archive has its place in the hashes.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
        let is = |hash: &Hash, wanted: &[u8; 32]| hash.borrow().clone().finalize()[..] == wanted[..];
        if !is(&content, &self.diff_id) || self.digest.is_some_and(|digest| !is(&compressed, &digest)) {
            return Err(Wrong::new(format!("is damaged: the layer {:?} does not have its digest", self.name)));
        }
        Ok(Budget { bytes: left.get(), entries })
    }
}

/// The path below the root; `None` for the root itself.
fn inside(path: &[u8]) -> Result<Option<PathBuf>, Wrong> {
    let mut steps = PathBuf::new();
    for step in Path::new(OsStr::from_bytes(path)).components() {
        match step {
            Component::Normal(name) => steps.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(Wrong::new(format!("has a file outside of itself: {:?}", String::from_utf8_lossy(path))));
            }
        }
    }
    if steps.components().count() > MAX_DEPTH || path.contains(&0) {
        return Err(Wrong::new(format!("has a path with a zero byte, or with more than {MAX_DEPTH} folders")));
    }
    Ok(Some(steps).filter(|steps| !steps.as_os_str().is_empty()))
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().map_or(&[], OsStr::as_bytes)
}

fn is_mark(path: &Path) -> bool {
    name_of(path).starts_with(WHITEOUT)
}

fn removal(path: &Path) -> Option<Removal> {
    let folder = path.parent()?;
    match name_of(path) {
        OPAQUE => Some(Removal::Content(folder.to_owned())),
        name if name.starts_with(OF_AUFS) => None,
        name => {
            let removed =
                name.strip_prefix(WHITEOUT).filter(|name| !name.is_empty() && *name != b"." && *name != b"..")?;
            Some(Removal::One(folder.join(OsStr::from_bytes(removed))))
        }
    }
}

/// Writes one entry. Devices, pipes and sockets are left out: a jail has its own.
fn put(root: &Root, path: &Path, entry: &mut Entry<'_, Box<dyn Read>>) -> Result<(), Wrong> {
    let mode = entry.header().mode().unwrap_or(0o755);
    let target = |entry: &Entry<'_, Box<dyn Read>>| -> Result<Vec<u8>, Wrong> {
        let target = entry.link_name_bytes().filter(|target| !target.contains(&0));
        target.map(|target| target.into_owned()).ok_or_else(|| Wrong::new("is damaged: it has a link to nothing"))
    };
    match entry.header().entry_type() {
        EntryType::Directory => root.put_folder(path, mode),
        EntryType::Symlink => root.put_link(path, OsStr::from_bytes(&target(entry)?)),
        EntryType::Link => match inside(&target(entry)?)? {
            Some(target) => root.put_hard_link(path, &target),
            None => Err(Wrong::new("is damaged: it has a hard link to a folder")),
        },
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => root.put_file(path, mode, entry),
        _ => Ok(()),
    }
}

type Hash = Rc<RefCell<Sha256>>;

/// Hashes what is read.
struct Hashed<R> {
    inner: R,
    hash: Hash,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.borrow_mut().update(&buffer[..count]);
        Ok(count)
    }
}

/// Refuses to read more than the rest of a budget.
struct Limited<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64).ok_or_else(|| io::Error::other(TooLarge))?;
        self.left.set(left);
        Ok(count)
    }
}

/// An image is larger than its budget.
#[derive(Debug, thiserror::Error)]
#[error("is too large: an image has at most 10 GB unpacked, and a million files")]
struct TooLarge;
