//! Writes a package's files to disk.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink},
    path::Path,
};

use super::{
    InvalidPackage,
    entries::{self, EntryKind},
};

/// Why a package was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The package is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidPackage),
    /// The disk failed.
    #[error("could not write the package's files: {0}")]
    Io(#[from] io::Error),
}

/// Unpacks a package into `folder`, which must exist and be empty. After an error it may contain some of the files.
///
/// Nothing is written if the package's directory breaks a rule, and nothing is ever written through a link. Files
/// become read-only, as in Lambda's `/var/task`, and others than the owner may read and execute them if the archive
/// says so; folders become readable by everybody.
pub fn unpack(code: &[u8], folder: &Path) -> Result<(), UnpackError> {
    let mut archive = super::open(code)?;
    let entries = entries::read(&mut archive, code.len())?;
    let mut folders = BTreeSet::new();
    for entry in &entries {
        folders.extend(entry.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()));
        let path = folder.join(&entry.path);
        if let Some(parent) = path.parent() {
            create_folder(parent)?;
        }
        match &entry.kind {
            EntryKind::Folder => {
                folders.insert(&entry.path);
                create_folder(&path)?;
            }
            EntryKind::File { size, readable, executable } => {
                let inconsistent = || InvalidPackage::Inconsistent(entry.path.display().to_string());
                let content = archive.by_index(entry.index).map_err(|_| inconsistent())?;
                let mode = if *readable { 0o444 } else { 0 } | if *executable { 0o111 } else { 0 };
                let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
                // One byte more than declared is enough to detect a false size.
                let written = copy(&mut content.take(size + 1), &mut file).map_err(|fault| match fault {
                    Fault::Read => UnpackError::Invalid(inconsistent()),
                    Fault::Write(error) => UnpackError::Io(error),
                })?;
                if written != *size {
                    return Err(inconsistent().into());
                }
                file.set_permissions(Permissions::from_mode(mode))?;
            }
            EntryKind::Link { target } => symlink(target, &path)?,
        }
    }
    // The deepest folders first, because nothing can be changed inside of a read-only one.
    for path in folders.iter().rev() {
        fs::set_permissions(folder.join(path), Permissions::from_mode(0o555))?;
    }
    Ok(())
}

fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

enum Fault {
    Read,
    Write(io::Error),
}

/// Distinguishes errors of the archive from errors of the disk, which `io::copy` does not.
fn copy(from: &mut impl Read, to: &mut File) -> Result<u64, Fault> {
    let mut buffer = vec![0; 64 * 1024];
    let mut written = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(written),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Fault::Read),
        };
        to.write_all(&buffer[..read]).map_err(Fault::Write)?;
        written += u64::try_from(read).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_keep_their_content_and_permissions_but_become_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let zip = testing::zip_with_modes(&[
            ("bootstrap", 0o775, b"#!/bin/sh\n"),
            ("lib/data.txt", 0o644, b"text"),
            ("lib/secret.txt", 0o600, b"text"),
            ("lib/group.txt", 0o640, b"text"),
            ("setuid", 0o4755, b""),
            ("owners", 0o744, b""),
        ]);
        unpack(&zip, folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("lib/data.txt")).unwrap(), b"text");
        assert_eq!(mode(&folder.path().join("bootstrap")), 0o555);
        assert_eq!(mode(&folder.path().join("lib/data.txt")), 0o444);
        assert_eq!(mode(&folder.path().join("lib/secret.txt")), 0);
        assert_eq!(mode(&folder.path().join("lib/group.txt")), 0);
        assert_eq!(mode(&folder.path().join("owners")), 0o444);
        assert_eq!(mode(&folder.path().join("setuid")), 0o555);
        assert_eq!(mode(&folder.path().join("lib")), 0o555);
    }

    #[test]
    fn links_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        unpack(&testing::zip_with_link("bin/tool", "../lib/tool.js", &[("lib/tool.js", "1")]), folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("bin/tool")).unwrap(), "1");
    }

    #[test]
    fn the_targets_of_links_are_not_changed() {
        let around = tempfile::tempdir().unwrap();
        let (folder, outside) = (around.path().join("function"), around.path().join("outside"));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::set_permissions(&outside, Permissions::from_mode(0o750)).unwrap();
        let zip = testing::zip_with_link("out", "../outside", &[("a", "")]);
        unpack(&zip, &folder).unwrap();
        assert_eq!(fs::read_link(folder.join("out")).unwrap(), Path::new("../outside"));
        assert_eq!(mode(&outside), 0o750);
        let through = testing::zip_with_link("out", "../outside", &[("out/a", "")]);
        let refused = unpack(&through, &around.path().join("function"));
        assert!(matches!(refused, Err(UnpackError::Invalid(InvalidPackage::Conflict(_)))), "{refused:?}");
    }

    #[test]
    fn a_package_that_breaks_a_rule_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let zip = testing::zip_with_link("up", "", &[("fine.txt", "fine")]);
        assert!(matches!(unpack(&zip, folder.path()), Err(UnpackError::Invalid(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_entry_that_is_larger_than_declared_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut zip = testing::zip_with_modes(&[("zeros", 0o644, &vec![0; 1024 * 1024])]);
        for signature in [&b"PK\x01\x02"[..], b"PK\x03\x04"] {
            let at = zip.windows(4).position(|w| w == signature).unwrap();
            let size_at = at + if signature == b"PK\x01\x02" { 24 } else { 22 };
            zip[size_at..size_at + 4].copy_from_slice(&10_u32.to_le_bytes());
        }
        let refused = unpack(&zip, folder.path());
        assert!(matches!(refused, Err(UnpackError::Invalid(InvalidPackage::Inconsistent(_)))), "{refused:?}");
        assert!(fs::metadata(folder.path().join("zeros")).unwrap().len() <= 11);
    }
}
