//! Layers: folders and zips of this machine that take the place of layers on AWS.
//!
//! The layers of a Function are merged into one folder, which its processes see as `/opt`. A layer that changes makes another
//! folder, so that new runs see the change and those in progress do not.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tasklane_model::{Configuration, LayerArn};
use tokio::{sync::Mutex, time::Instant};
use walkdir::WalkDir;

use super::{
    code::remove_read_only,
    package::{self, MAX_ENTRIES, MAX_UNPACKED_BYTES},
    versions::Version,
};

/// How long a look at the files of layers holds.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A folder with the merged layers of a Function. It is removed with its last user.
#[derive(Debug)]
pub(super) struct Opt(tempfile::TempDir);

impl Opt {
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The layers of all Functions.
#[derive(Debug)]
pub(super) struct Layers {
    /// By ARN, with or without a version.
    places: BTreeMap<String, PathBuf>,
    folder: PathBuf,
    merged: Mutex<HashMap<Vec<PathBuf>, Merged>>,
}

#[derive(Debug)]
struct Merged {
    looked_at: Instant,
    state: State,
    opt: Arc<Opt>,
}

/// A hash of the names, sizes and times of all files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State([u8; 32]);

impl Layers {
    /// Merges layers in folders below `scratch`.
    pub(super) fn new(places: BTreeMap<String, PathBuf>, scratch: &Path) -> Self {
        Self { places, folder: scratch.to_owned(), merged: Mutex::default() }
    }

    /// The layers of a Function that this machine does not have.
    pub(super) fn missing<'a>(&self, configuration: &'a Configuration) -> Vec<&'a LayerArn> {
        configuration.layers().iter().filter(|layer| self.place(layer).is_none()).collect()
    }

    /// The version with its layers as they are now.
    pub(super) async fn under(&self, version: Arc<Version>) -> io::Result<Arc<Version>> {
        let places: Vec<_> = version.configuration.layers().iter().filter_map(|layer| self.place(layer)).collect();
        if places.is_empty() {
            return Ok(version);
        }
        let opt = self.opt(places.into_iter().cloned().collect()).await?;
        Ok(Arc::new(Version { opt: Some(opt), ..Version::clone(&version) }))
    }

    fn place(&self, layer: &LayerArn) -> Option<&PathBuf> {
        self.places.get(layer.as_str()).or_else(|| self.places.get(layer.layer()))
    }

    async fn opt(&self, places: Vec<PathBuf>) -> io::Result<Arc<Opt>> {
        // Held while they are merged, so that calls that arrive at once merge them once.
        let mut all = self.merged.lock().await;
        let known = all.get(&places).map(|merged| (merged.looked_at, merged.state, Arc::clone(&merged.opt)));
        if let Some((looked_at, _, opt)) = &known
            && looked_at.elapsed() < LOOK_AGAIN_AFTER
        {
            return Ok(Arc::clone(opt));
        }
        let (of, folder) = (places.clone(), self.folder.clone());
        let before = known.map(|(_, state, opt)| (state, opt));
        let work = tokio::task::spawn_blocking(move || {
            let state = state_of(&of)?;
            match before {
                Some((before, opt)) if before == state => Ok((state, opt)),
                _ => Ok::<_, io::Error>((state, Arc::new(merge(&of, &folder)?))),
            }
        });
        let (state, opt) = work.await.map_err(io::Error::other)??;
        all.insert(places, Merged { looked_at: Instant::now(), state, opt: Arc::clone(&opt) });
        Ok(opt)
    }
}

fn state_of(places: &[PathBuf]) -> io::Result<State> {
    let mut state = Sha256::new();
    for place in places {
        for entry in WalkDir::new(place).follow_root_links(true).sort_by_file_name() {
            let entry = entry.map_err(|error| at(place, error.into()))?;
            let found = entry.metadata().map_err(|error| at(entry.path(), error.into()))?;
            state.update(entry.path().as_os_str().as_encoded_bytes());
            let numbers = [
                found.size(),
                u64::from(found.mode()),
                found.mtime().cast_unsigned(),
                found.mtime_nsec().cast_unsigned(),
            ];
            numbers.iter().for_each(|number| state.update(number.to_le_bytes()));
        }
    }
    Ok(State(state.finalize().into()))
}

/// Merges layers, of which the later ones cover the files of the earlier ones.
fn merge(places: &[PathBuf], folder: &Path) -> io::Result<Opt> {
    let opt = tempfile::Builder::new().prefix("layers-").tempdir_in(folder)?;
    // A jailed Function may run as another user.
    fs::set_permissions(opt.path(), fs::Permissions::from_mode(0o755))?;
    let mut room = Room { bytes: MAX_UNPACKED_BYTES, entries: MAX_ENTRIES };
    for place in places {
        if place.is_dir() {
            copy_all(place, opt.path(), &mut room)?;
        } else {
            let unpacked = tempfile::Builder::new().prefix("layer-").tempdir_in(folder)?.keep();
            let merged = unpack(place, &unpacked).and_then(|()| copy_all(&unpacked, opt.path(), &mut room));
            remove_read_only(&unpacked)?;
            merged?;
        }
    }
    Ok(Opt(opt))
}

fn unpack(zip: &Path, folder: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    let file = fs::File::open(zip).map_err(|error| at(zip, error))?;
    file.take(MAX_UNPACKED_BYTES).read_to_end(&mut bytes).map_err(|error| at(zip, error))?;
    package::unpack(&bytes, folder).map_err(|error| at(zip, io::Error::other(error)))
}

/// How much more the layers of one Function may have.
struct Room {
    bytes: u64,
    entries: usize,
}

impl Room {
    fn take(&mut self, bytes: u64) -> io::Result<()> {
        let left = self.bytes.checked_sub(bytes).zip(self.entries.checked_sub(1));
        let (bytes, entries) = left.ok_or_else(|| {
            io::Error::other(format!(
                "the layers have more than {MAX_UNPACKED_BYTES} bytes, or more than {MAX_ENTRIES} files and folders, together"
            ))
        })?;
        (self.bytes, self.entries) = (bytes, entries);
        Ok(())
    }
}

fn copy_all(from: &Path, to: &Path, room: &mut Room) -> io::Result<()> {
    for entry in WalkDir::new(from).min_depth(1).follow_root_links(true).sort_by_file_name() {
        let entry = entry.map_err(|error| at(from, error.into()))?;
        let failed = |error: io::Error| at(entry.path(), error);
        let target = to.join(entry.path().strip_prefix(from).map_err(io::Error::other)?);
        let kind = entry.file_type();
        let metadata = entry.metadata().map_err(|error| failed(error.into()))?;
        room.take(if kind.is_file() { metadata.len() } else { 0 })?;
        let covered = fs::symlink_metadata(&target).ok();
        if let Some(covered) = covered {
            if kind.is_dir() && covered.is_dir() {
                continue;
            }
            if covered.is_dir() { fs::remove_dir_all(&target) } else { fs::remove_file(&target) }.map_err(failed)?;
        }
        if kind.is_dir() {
            fs::create_dir(&target).map_err(failed)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).map_err(failed)?, &target).map_err(failed)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target).map_err(failed)?;
            let mode = if metadata.mode() & 0o111 == 0 { 0o444 } else { 0o555 };
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
    }
    Ok(())
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{super::package::testing, *};

    fn layer(folder: &Path, files: &[(&str, &str)]) -> PathBuf {
        for (name, content) in files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        folder.to_owned()
    }

    #[test]
    fn a_later_layer_covers_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let first =
            layer(&folder.path().join("first"), &[("lib/a", "1"), ("lib/b", "1"), ("bin/run", "x"), ("c/d", "1")]);
        fs::set_permissions(first.join("bin/run"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("a", first.join("lib/link")).unwrap();
        let second = folder.path().join("second.zip");
        fs::write(&second, testing::zip(&[("lib/b", "2"), ("c", "2"), ("lib/link", "2")])).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let opt = merge(&[first, second], scratch.path()).unwrap();
        let read = |name: &str| fs::read_to_string(opt.path().join(name)).unwrap();
        assert_eq!(["lib/a", "lib/b", "c", "lib/link", "bin/run"].map(read), ["1", "2", "2", "2", "x"]);
        let mode = |name: &str| fs::metadata(opt.path().join(name)).unwrap().mode() & 0o777;
        assert_eq!((mode("lib"), mode("lib/a"), mode("bin/run")), (0o755, 0o444, 0o555));
        drop(opt);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_layer_that_is_no_archive_is_named_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = layer(folder.path(), &[("layer.zip", "no zip")]).join("layer.zip");
        let scratch = tempfile::tempdir().unwrap();
        let error = merge(&[file], scratch.path()).unwrap_err().to_string();
        assert!(error.contains("layer.zip: the code is not a readable zip archive"), "{error}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_state_of_layers_changes_with_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let places = [layer(&folder.path().join("a"), &[("x", "1")])];
        let before = state_of(&places).unwrap();
        assert_eq!(state_of(&places).unwrap(), before);
        fs::write(places[0].join("x"), "22").unwrap();
        assert_ne!(state_of(&places).unwrap(), before);
        assert!(state_of(&[folder.path().join("gone")]).is_err());
    }
}
