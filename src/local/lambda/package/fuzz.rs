//! Fuzzes the unpacking of packages.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{
    MAX_ENTRIES, MAX_UNPACKED_BYTES, UnpackError,
    entries::{self, Entry, EntryKind},
    open, unpack,
};

/// Packages that declare more than this are checked but not unpacked: writing large files is not what is tested.
const MOST_UNPACKED: u64 = 1 << 20;

/// Treats the input as a package. If it begins with `# `, it is a list of entries to make a package from, one per line:
/// an octal mode, a name, and after a tab the content.
///
/// If the package's directory is invalid, nothing is written. Unpacked files are inside of the folder, are read-only,
/// and are no larger than declared.
pub fn zip_intake(data: &[u8]) {
    match data.strip_prefix(b"# ") {
        Some(list) => take(&package_of(list)),
        None => take(data),
    }
}

fn take(code: &[u8]) {
    let declared = open(code).and_then(|mut archive| entries::read(&mut archive, code.len()));
    let (checked, declared) = match declared {
        Ok(declared) => (Ok(()), declared),
        Err(refused) => (Err(refused), Vec::new()),
    };
    assert!(declared.len() <= MAX_ENTRIES);
    let size: u64 = declared.iter().map(declared_size).sum();
    assert!(size <= MAX_UNPACKED_BYTES, "{size} bytes were taken");
    if size > MOST_UNPACKED {
        return;
    }
    let Ok(around) = tempfile::tempdir() else { return };
    let folder = around.path().join("function");
    if fs::create_dir(&folder).is_err() {
        return;
    }
    let unpacked = unpack(code, &folder);
    let names: Vec<_> = fs::read_dir(around.path()).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["function"], "something was written beside the folder");
    match (&checked, &unpacked) {
        (Err(refused), Err(UnpackError::Invalid(again))) => {
            assert_eq!(refused, again);
            assert_eq!(fs::read_dir(&folder).map(Iterator::count).ok(), Some(0), "{refused}, but it was unpacked");
        }
        (Err(refused), other) => panic!("refused ({refused}), then {other:?}"),
        (Ok(()), _) => {
            let (held, count) = walk(&folder, unpacked.is_ok());
            // One extra byte shows that an entry is larger than declared; then it is refused.
            let spare = u64::from(unpacked.is_err());
            assert!(held <= size + spare, "{held} bytes of {size} declared");
            assert!(unpacked.is_err() || count > 0, "nothing came of it");
        }
    }
    make_removable(&folder);
}

fn declared_size(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File { size, .. } => size,
        EntryKind::Folder | EntryKind::Link { .. } => 0,
    }
}

/// The number of bytes and of files and links.
fn walk(folder: &Path, whole: bool) -> (u64, u64) {
    let (mut bytes, mut leaves) = (0, 0);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = path.symlink_metadata() else { panic!("{} cannot be read", path.display()) };
        let mode = metadata.permissions().mode();
        if metadata.is_symlink() {
            // It may lead anywhere. Nothing was written through it, because nothing is beside the folder.
            leaves += 1;
            continue;
        }
        assert_eq!(mode & 0o7000, 0, "{} has mode {mode:o}", path.display());
        if whole {
            assert_eq!(mode & 0o222, 0, "{} can be written to: {mode:o}", path.display());
        }
        if metadata.is_dir() {
            let (more, below) = walk(&path, whole);
            bytes += more;
            leaves += below;
        } else {
            assert!(metadata.is_file(), "{} is not a file", path.display());
            bytes += metadata.len();
            leaves += 1;
        }
    }
    (bytes, leaves)
}

/// Makes folders writable again, so that an ordinary user can remove them.
fn make_removable(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o755));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_removable(&entry.path());
        }
    }
}

/// A package with these entries, whatever their names are.
fn package_of(list: &[u8]) -> Vec<u8> {
    let (mut files, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for line in list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let (mode, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mode = std::str::from_utf8(mode).ok().and_then(|text| u32::from_str_radix(text, 8).ok()).unwrap_or(0);
        let mut parts = rest.splitn(2, |byte| *byte == b'\t');
        let (name, content) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let Ok(offset) = u32::try_from(files.len()) else { break };
        let common = common_header(name, content);
        files.extend_from_slice(b"PK\x03\x04");
        files.extend_from_slice(&common);
        files.extend_from_slice(name);
        files.extend_from_slice(content);
        // Made by Unix (3), so that the modes are used.
        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&common);
        // No comment, the first disk, no internal attributes.
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&(mode << 16).to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name);
        count += 1;
    }
    let (offset, length) = (files.len(), directory.len());
    files.append(&mut directory);
    files.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for number in [count, count] {
        files.extend_from_slice(&number.to_le_bytes());
    }
    for number in [length, offset] {
        files.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }
    files.extend_from_slice(&[0; 2]);
    files
}

/// The common part of an entry's two headers: version 2.0, names in UTF-8, no compression.
fn common_header(name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = vec![20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
    header.extend_from_slice(&crc32(content).to_le_bytes());
    header.extend_from_slice(&length);
    header.extend_from_slice(&length);
    header.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    header.extend_from_slice(&[0; 2]);
    header
}

fn crc32(content: &[u8]) -> u32 {
    !content.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}
