//! Objects as files in the data folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tasklane_ports::{Keep, ObjectKey, Objects, PortError, PortFuture};
use tasklane_runtime::lock::Lock;
use tracing::warn;

use super::private::make_private_dir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// [`Objects`] in a folder. Those whose time is over are removed at the start, and then once a day.
#[derive(Clone, Debug)]
pub struct FileObjects {
    folder: PathBuf,
    /// How long Tasks are kept.
    retention: Option<Duration>,
    cleaned: Arc<Lock<SystemTime>>,
}

impl FileObjects {
    /// Opens the folder `objects` of the data folder.
    pub fn open(data_dir: &Path, retention: Option<Duration>) -> io::Result<Self> {
        let folder = data_dir.join("objects");
        for keep in [Keep::ADay, Keep::AsTasks] {
            make_private_dir(&folder.join(keep.folder()))?;
        }
        let objects = Self { folder, retention, cleaned: Arc::new(Lock::new(SystemTime::now())) };
        objects.clean(SystemTime::now());
        Ok(objects)
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.folder.join(key.as_str())
    }

    /// Writes a whole file, or none: a reader never finds a part of it.
    fn write(&self, key: &ObjectKey, content: &[u8]) -> io::Result<()> {
        let now = SystemTime::now();
        let was_cleaned = *self.cleaned.lock();
        if now.duration_since(was_cleaned).unwrap_or_default() >= DAY {
            *self.cleaned.lock() = now;
            self.clean(now);
        }
        let path = self.path(key);
        let new = path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        io::Write::write_all(&mut file, content)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    }

    /// Removes the objects whose time is over. If that fails, they stay until the next day.
    fn clean(&self, now: SystemTime) {
        for keep in [Keep::ADay, Keep::AsTasks] {
            // A day longer than the row that names it.
            let kept = match keep {
                Keep::ADay => Some(2 * DAY),
                Keep::AsTasks => self.retention.map(|retention| retention + DAY),
            };
            let Some(kept) = kept else { continue };
            if let Err(error) = remove_older(&self.folder.join(keep.folder()), kept, now) {
                warn!(%error, "old results were not removed");
            }
        }
    }
}

fn remove_older(folder: &Path, than: Duration, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let age = now.duration_since(entry.metadata()?.modified()?).unwrap_or_default();
        if age > than {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Objects for FileObjects {
    fn write_object<'a>(&'a self, key: &'a ObjectKey, content: Bytes) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            const ACTION: &str = "write an object";
            let (this, key) = (self.clone(), key.clone());
            let written = tokio::task::spawn_blocking(move || this.write(&key, &content)).await;
            written.map_err(|error| PortError::new(ACTION, error))?.map_err(|error| PortError::new(ACTION, error))
        })
    }

    fn read_object<'a>(&'a self, key: &'a ObjectKey) -> PortFuture<'a, Result<Option<Bytes>, PortError>> {
        Box::pin(async move {
            match tokio::fs::read(self.path(key)).await {
                Ok(content) => Ok(Some(content.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(PortError::new("read an object", error)),
            }
        })
    }

    fn object_url<'a>(&'a self, _: &'a ObjectKey) -> PortFuture<'a, Result<Option<String>, PortError>> {
        Box::pin(async { Ok(None) })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn an_object_is_kept_as_long_as_it_must_be() {
        let data = tempfile::tempdir().unwrap();
        let objects = FileObjects::open(data.path(), Some(10 * DAY)).unwrap();
        let (short, long) = (ObjectKey::new(Keep::ADay, "a").unwrap(), ObjectKey::new(Keep::AsTasks, "a").unwrap());
        for key in [&short, &long] {
            assert_eq!(objects.read_object(key).await.unwrap(), None);
            objects.write_object(key, Bytes::from_static(b"old")).await.unwrap();
            objects.write_object(key, Bytes::from_static(b"new")).await.unwrap();
            assert_eq!(objects.read_object(key).await.unwrap().unwrap(), "new");
        }
        let mode = fs::metadata(data.path().join("objects/day")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        let now = SystemTime::now();
        objects.clean(now + DAY);
        assert!(objects.read_object(&short).await.unwrap().is_some());
        objects.clean(now + 3 * DAY);
        assert!(
            objects.read_object(&short).await.unwrap().is_none() && objects.read_object(&long).await.unwrap().is_some()
        );
        objects.clean(now + 12 * DAY);
        assert!(objects.read_object(&long).await.unwrap().is_none());
        let forever = FileObjects::open(data.path(), None).unwrap();
        forever.write_object(&long, Bytes::from_static(b"new")).await.unwrap();
        forever.clean(now + 1000 * DAY);
        assert!(forever.read_object(&long).await.unwrap().is_some());
        assert_eq!(forever.object_url(&long).await.unwrap(), None);
    }
}
