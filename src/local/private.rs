//! Files that only their owner may read.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

use nix::sys::stat::{Mode, umask};
use tracing::warn;

/// Prefixes of the files in the data folder that hold data, errors or log lines of users. The key and the credentials
/// files set their own permissions.
const OURS: [&str; 8] =
    ["database.sqlite", "logs.sqlite", "stats.sqlite", "events.jsonl", "synced.json", "lambda", "objects", "uploads"];

/// Runs `open` so that the files that it creates are readable only by their owner, whatever the folder allows. SQLite
/// gives its write-ahead log the mode of the database, now and later.
pub(super) fn privately<T>(open: impl FnOnce() -> T) -> T {
    let before = umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let opened = open();
    umask(before);
    opened
}

/// Removes other users' permissions from files in the data folder that an earlier version or a copy left there. The
/// folder itself may be shared, so its mode stays.
pub(super) fn close_to_others(data_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| OURS.iter().any(|ours| name.starts_with(ours)));
        let found = entry.metadata()?;
        let mode = found.permissions().mode();
        if is_ours && !found.is_symlink() && mode & 0o077 != 0 {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode & 0o700))?;
            warn!(path = %entry.path().display(), "other users could read this file; now they cannot");
        }
    }
    Ok(())
}

/// Creates the folder for its owner only, because it holds secrets.
pub(super) fn make_private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_opened_privately_are_readable_only_by_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        privately(|| fs::File::create(&file)).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn files_in_a_shared_data_folder_become_private() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::DirBuilder::new().mode(0o755).create(&data).unwrap();
        let open = |name: &str, to: u32| {
            fs::write(data.join(name), "secret").unwrap();
            fs::set_permissions(data.join(name), fs::Permissions::from_mode(to)).unwrap();
        };
        for name in ["database.sqlite", "database.sqlite-wal", "logs.sqlite", "events.jsonl", "events.jsonl.1"] {
            open(name, 0o644);
        }
        open("index.html", 0o644);
        close_to_others(&data).unwrap();
        for name in ["database.sqlite", "database.sqlite-wal", "logs.sqlite", "events.jsonl", "events.jsonl.1"] {
            assert_eq!(mode(&data.join(name)), 0o600, "{name}");
        }
        assert_eq!((mode(&data.join("index.html")), mode(&data)), (0o644, 0o755), "not our file");
    }
}
