//! Reads and checks the directory of an archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Cursor, Read},
    path::PathBuf,
};

use zip::{CompressionMethod, ZipArchive};

use super::{InvalidPackage, MAX_RATIO, MAX_UNPACKED_BYTES, RATIO_FREE_BYTES};

/// An entry that passed all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the Function's folder, without `.` and `..`.
    pub path: PathBuf,
    pub kind: EntryKind,
    /// Its position in the archive.
    pub(super) index: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    Folder,
    /// A file of this many bytes.
    File {
        /// Its size, as the directory declares it.
        size: u64,
        /// Whether others may read it. Lambda runs code as a user who owns none of its files.
        readable: bool,
        /// Whether others may execute it.
        executable: bool,
    },
    /// A symbolic link to anywhere: nothing is read or written through it before the Function runs.
    Link {
        /// The link's target, as written in the archive.
        target: String,
    },
}

const MAX_NAME_BYTES: usize = 255;
const MAX_PATH_BYTES: usize = 1024;
const MAX_LINK_BYTES: u64 = 1024;

const TYPE_BITS: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_FOLDER: u32 = 0o040_000;
const TYPE_LINK: u32 = 0o120_000;

/// Reads the directory of an archive that is `packed` bytes long.
pub(super) fn read(archive: &mut ZipArchive<Cursor<&[u8]>>, packed: usize) -> Result<Vec<Entry>, InvalidPackage> {
    let mut entries = Vec::with_capacity(archive.len());
    let mut unpacked: u64 = 0;
    for index in 0..archive.len() {
        let entry = entry(archive, index)?;
        if let EntryKind::File { size, .. } = entry.kind {
            unpacked = unpacked.saturating_add(size);
        }
        entries.push(entry);
    }
    if unpacked > MAX_UNPACKED_BYTES {
        return Err(InvalidPackage::TooLarge);
    }
    let packed = u64::try_from(packed).unwrap_or(u64::MAX);
    let overlaps = archive.has_overlapping_entries().map_err(|error| InvalidPackage::NotAZip(error.to_string()))?;
    if overlaps || (unpacked > RATIO_FREE_BYTES && unpacked / packed.max(1) >= MAX_RATIO) {
        return Err(InvalidPackage::Bomb);
    }
    refuse_conflicts(&entries)?;
    if entries.iter().all(|entry| entry.kind == EntryKind::Folder) {
        return Err(InvalidPackage::Empty);
    }
    Ok(entries)
}

fn entry(archive: &mut ZipArchive<Cursor<&[u8]>>, index: usize) -> Result<Entry, InvalidPackage> {
    let damaged = |error: zip::result::ZipError| InvalidPackage::NotAZip(error.to_string());
    let data = archive.by_index_data(index).map_err(damaged)?;
    let shown = String::from_utf8_lossy(data.name_raw()).into_owned();
    let name = std::str::from_utf8(data.name_raw()).map_err(|_| InvalidPackage::BadPath(shown.clone()))?;
    let path = safe_path(name)?;
    let readable = matches!(data.compression(), CompressionMethod::Stored | CompressionMethod::Deflated);
    if data.encrypted() || !readable {
        return Err(InvalidPackage::Unreadable(shown));
    }
    let mode = data.unix_mode().unwrap_or(0);
    let size = data.size();
    let kind = match mode & TYPE_BITS {
        // Archives without Unix modes mark folders by a final slash.
        _ if data.is_dir() => EntryKind::Folder,
        TYPE_FOLDER => EntryKind::Folder,
        // An archiver that wrote no file type did not record permissions either.
        0 => EntryKind::File { size, readable: true, executable: mode & 0o111 != 0 },
        TYPE_FILE => EntryKind::File { size, readable: mode & 0o004 != 0, executable: mode & 0o001 != 0 },
        TYPE_LINK if size > MAX_LINK_BYTES => return Err(InvalidPackage::OddEntry(shown)),
        TYPE_LINK => {
            let mut target = String::new();
            let mut content = archive.by_index(index).map_err(damaged)?.take(MAX_LINK_BYTES);
            content.read_to_string(&mut target).map_err(|_| InvalidPackage::OddEntry(shown.clone()))?;
            if target.is_empty() || target.contains('\0') {
                return Err(InvalidPackage::BadLink(shown));
            }
            EntryKind::Link { target }
        }
        _ => return Err(InvalidPackage::OddEntry(shown)),
    };
    Ok(Entry { path, kind, index })
}

/// The entry's path without its `.` components.
fn safe_path(name: &str) -> Result<PathBuf, InvalidPackage> {
    let unsafe_path = || InvalidPackage::UnsafePath(name.to_owned());
    // Here a backslash is an ordinary character, but other unpackers read it as a separator: a path is refused if it
    // leads out of the folder in either reading.
    let drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    if name.starts_with(['/', '\\']) || drive || name.split(['/', '\\']).any(|part| part == "..") {
        return Err(unsafe_path());
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let fits = !parts.is_empty()
        && name.len() <= MAX_PATH_BYTES
        && parts.iter().all(|part| part.len() <= MAX_NAME_BYTES)
        && !name.chars().any(char::is_control);
    if fits { Ok(parts.iter().collect()) } else { Err(InvalidPackage::BadPath(name.to_owned())) }
}

/// Refuses two entries with the same path, and entries inside of a file or link.
fn refuse_conflicts(entries: &[Entry]) -> Result<(), InvalidPackage> {
    let mut leaves = BTreeMap::new();
    let mut folders = BTreeSet::new();
    for entry in entries {
        let fresh = match &entry.kind {
            EntryKind::Folder => folders.insert(entry.path.as_path()) || !leaves.contains_key(entry.path.as_path()),
            EntryKind::File { .. } | EntryKind::Link { .. } => leaves.insert(entry.path.as_path(), ()).is_none(),
        };
        if !fresh {
            return Err(InvalidPackage::Conflict(entry.path.display().to_string()));
        }
        folders.extend(entry.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()));
    }
    match folders.into_iter().find(|folder| leaves.contains_key(folder)) {
        Some(both) => Err(InvalidPackage::Conflict(both.display().to_string())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{MAX_ENTRIES, open, testing},
        *,
    };

    fn check(code: &[u8]) -> Result<(), InvalidPackage> {
        read(&mut open(code)?, code.len()).map(drop)
    }

    #[test]
    fn a_package_may_have_32_000_entries_but_no_more() {
        let names: Vec<_> = (0..=MAX_ENTRIES).map(|number| number.to_string()).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert_eq!(MAX_ENTRIES, 32_000);
        assert_eq!(check(&testing::zip_stored(&files[1..])), Ok(()));
        assert_eq!(check(&testing::zip_stored(&files)), Err(InvalidPackage::TooManyEntries));
    }

    #[test]
    fn paths_out_of_the_folder_are_refused_in_either_reading() {
        for name in ["../a", "a/../../b", "/etc/passwd", "\\a", "a\\..\\..\\b", "C:/a", "C:\\a", ".."] {
            assert!(matches!(check(&raw_named(name)), Err(InvalidPackage::UnsafePath(_))), "{name}");
        }
        for name in ["./a", "a//b", "a..b/c", "..a"] {
            assert_eq!(check(&raw_named(name)), Ok(()), "{name}");
        }
    }

    #[test]
    fn links_may_lead_anywhere_if_the_path_is_valid() {
        for target in ["../typescript/bin/tsc", "..", "/opt/nodejs/node_modules", "nowhere", "p/q/../../.."] {
            assert_eq!(check(&testing::zip_with_link("node_modules/a", target, &[("c", "")])), Ok(()), "{target}");
        }
        for target in ["", "a\0b"] {
            let refused = check(&testing::zip_with_link("a", target, &[("c", "")]));
            assert_eq!(refused, Err(InvalidPackage::BadLink("a".to_owned())), "{target:?}");
        }
    }

    #[test]
    fn nothing_is_written_through_a_link_or_over_another_entry() {
        let through_link = check(&testing::zip_with_link("a", "b", &[("a/x", ""), ("b/y", "")]));
        assert!(matches!(through_link, Err(InvalidPackage::Conflict(_))), "{through_link:?}");
        for files in [[("a", ""), ("./a", "")], [("a", ""), ("a/b", "")], [("a/b", ""), ("a", "")]] {
            assert!(matches!(check(&testing::zip(&files)), Err(InvalidPackage::Conflict(_))), "{files:?}");
        }
    }

    #[test]
    fn archives_that_are_not_zips_or_have_no_files_are_refused() {
        assert!(matches!(check(b"hello"), Err(InvalidPackage::NotAZip(_))));
        assert!(matches!(check(b""), Err(InvalidPackage::NotAZip(_))));
        assert_eq!(check(&testing::zip(&[])), Err(InvalidPackage::Empty));
    }

    #[test]
    fn devices_and_pipes_are_refused() {
        for kind in [0o010_000, 0o020_000, 0o060_000, 0o140_000] {
            let mut zip = testing::zip(&[("odd", "")]);
            patch_mode(&mut zip, kind | 0o644);
            assert_eq!(check(&zip), Err(InvalidPackage::OddEntry("odd".into())), "{kind:o}");
        }
    }

    #[test]
    fn bombs_and_huge_packages_are_refused_by_their_declared_sizes() {
        let zeros = vec![0; 11 * 1024 * 1024];
        assert_eq!(check(&testing::zip_with_modes(&[("zeros", 0o644, &zeros)])), Err(InvalidPackage::Bomb));
        assert_eq!(check(&testing::zip_with_modes(&[("zeros", 0o644, &zeros[..1024 * 1024])])), Ok(()));
        let mut giant = testing::zip(&[("a", "abc")]);
        patch_size(&mut giant, 300_000_000);
        assert_eq!(check(&giant), Err(InvalidPackage::TooLarge));
    }

    /// A zip whose entry has exactly this name, which no zip tool would write.
    fn raw_named(name: &str) -> Vec<u8> {
        let stand_in = "x".repeat(name.len());
        let mut zip = testing::zip(&[(stand_in.as_str(), "content")]);
        let positions: Vec<_> =
            zip.windows(name.len()).enumerate().filter(|(_, w)| *w == stand_in.as_bytes()).map(|(at, _)| at).collect();
        for at in positions {
            zip[at..at + name.len()].copy_from_slice(name.as_bytes());
        }
        zip
    }

    fn central_directory(zip: &[u8]) -> usize {
        zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap()
    }

    fn patch_mode(zip: &mut [u8], mode: u32) {
        let at = central_directory(zip) + 38;
        zip[at..at + 4].copy_from_slice(&(mode << 16).to_le_bytes());
    }

    pub(super) fn patch_size(zip: &mut [u8], size: u32) {
        let at = central_directory(zip) + 24;
        zip[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }
}
