//! Unpacked packages: one read-only folder each, named after the package's hash.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tasklane_model::CodeSha256;

use super::{
    folders::create_private,
    package::{self, UnpackError},
};

#[derive(Clone, Debug)]
pub(super) struct CodeStore {
    folder: PathBuf,
    /// The zips as they came, because unpacked files no longer have their hash.
    zips: PathBuf,
}

impl CodeStore {
    /// Opens the folder, and removes packages that a killed server had only partly unpacked.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        let zips = folder.with_file_name("zips");
        create_private(&folder)?;
        create_private(&zips)?;
        let store = Self { folder, zips };
        for entry in fs::read_dir(&store.folder)? {
            let path = entry?.path();
            if path.extension().is_some() {
                let _ = remove_read_only(&path);
            }
        }
        Ok(store)
    }

    /// The folder of the package's files, if [`CodeStore::add`] has put them there.
    pub(super) fn path(&self, hash: CodeSha256) -> PathBuf {
        self.folder.join(hash.to_hex())
    }

    pub(super) fn contains(&self, hash: CodeSha256) -> bool {
        self.path(hash).is_dir()
    }

    /// The package as it came; `None` if it is not there.
    pub(super) fn zip(&self, hash: CodeSha256) -> io::Result<Option<Bytes>> {
        match fs::read(self.zip_path(hash)) {
            Ok(zip) => Ok(Some(zip.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn zip_path(&self, hash: CodeSha256) -> PathBuf {
        self.zips.join(format!("{}.zip", hash.to_hex()))
    }

    /// Unpacks a package, unless that was done before. A kill of the server cannot leave it half unpacked.
    pub(super) fn add(&self, code: &[u8]) -> Result<CodeSha256, UnpackError> {
        let hash = self.unpack(code)?;
        let zip = self.zip_path(hash);
        if !zip.exists() {
            let unfinished = tempfile::NamedTempFile::new_in(&self.zips)?;
            fs::write(unfinished.path(), code)?;
            unfinished.persist(zip).map_err(|error| error.error)?;
        }
        Ok(hash)
    }

    fn unpack(&self, code: &[u8]) -> Result<CodeSha256, UnpackError> {
        let hash = CodeSha256::of(code);
        if self.contains(hash) {
            return Ok(hash);
        }
        let unfinished =
            tempfile::Builder::new().prefix(&hash.to_hex()).suffix(".unfinished").tempdir_in(&self.folder)?;
        let unfinished = unfinished.keep();
        let unpacked = package::unpack(code, &unfinished).and_then(|()| {
            fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))?;
            fs::rename(&unfinished, self.path(hash))?;
            fs::set_permissions(self.path(hash), fs::Permissions::from_mode(0o555))?;
            Ok(())
        });
        if let Err(error) = unpacked {
            let _ = remove_read_only(&unfinished);
            // Another deployment of the same package may have been faster.
            return if self.contains(hash) { Ok(hash) } else { Err(error) };
        }
        Ok(hash)
    }

    /// Removes all packages except these.
    pub(super) fn keep_only(&self, used: &BTreeSet<CodeSha256>) -> io::Result<()> {
        let used: BTreeSet<String> = used.iter().map(|hash| hash.to_hex()).collect();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if entry.path().extension().is_none() && name.to_str().is_some_and(|name| !used.contains(name)) {
                remove_read_only(&entry.path())?;
            }
        }
        for entry in fs::read_dir(&self.zips)? {
            let zip = entry?.path();
            if zip.file_stem().and_then(|name| name.to_str()).is_none_or(|name| !used.contains(name)) {
                fs::remove_file(zip)?;
            }
        }
        Ok(())
    }
}

/// Removes a folder whose subfolders are read-only.
pub(super) fn remove_read_only(folder: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.map_err(io::Error::from)?;
        if entry.file_type().is_dir() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755))?;
        }
    }
    fs::remove_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use super::{super::package::testing, *};

    #[test]
    fn a_package_is_unpacked_once_and_removed_when_nothing_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = CodeStore::open(folder.path().join("code")).unwrap();
        let a = store.add(&testing::zip(&[("lib/a.js", "1")])).unwrap();
        let again = store.add(&testing::zip(&[("lib/a.js", "1")])).unwrap();
        let b = store.add(&testing::zip(&[("b.js", "2")])).unwrap();
        assert_eq!(a, again);
        store.keep_only(&BTreeSet::from([b])).unwrap();
        assert!(!store.contains(a) && store.contains(b));
        assert_eq!(store.zip(a).unwrap(), None);
        assert_eq!(store.zip(b).unwrap().unwrap(), testing::zip(&[("b.js", "2")]));
    }

    #[test]
    fn unfinished_packages_of_a_killed_server_are_removed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join("code/abc.unfinished");
        fs::create_dir_all(unfinished.join("lib")).unwrap();
        fs::set_permissions(unfinished.join("lib"), fs::Permissions::from_mode(0o555)).unwrap();
        CodeStore::open(folder.path().join("code")).unwrap();
        assert!(!unfinished.exists());
    }

    #[test]
    fn a_refused_package_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = CodeStore::open(folder.path().join("code")).unwrap();
        assert!(store.add(&testing::zip_with_link("up", "", &[("a", "")])).is_err());
        for part in ["code", "zips"] {
            assert_eq!(fs::read_dir(folder.path().join(part)).unwrap().count(), 0, "{part}");
        }
    }
}
