//! Folders that only their owner may enter.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use super::platform::is_alive;

/// Creates a folder that only its owner may enter, and the folders above it.
pub(super) fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Creates a new folder for temporary files, and removes those that killed servers left.
pub(super) fn scratch_folder(folder: &Path) -> io::Result<tempfile::TempDir> {
    let runs = folder.join("run");
    create_private(&runs)?;
    for left in fs::read_dir(&runs)? {
        // Another server may be running on this folder. The extension is the process id of the owner.
        let left = left?.path();
        let owner = left.extension().and_then(|pid| pid.to_str()?.parse::<i32>().ok());
        if owner.is_none_or(|pid| !is_alive(pid)) {
            let _ = fs::remove_dir_all(&left);
        }
    }
    tempfile::Builder::new().suffix(&format!(".{}", std::process::id())).tempdir_in(&runs)
}
