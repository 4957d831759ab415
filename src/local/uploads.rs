//! Code that callers send to this service, as files in the data folder until it is deployed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tasklane_model::{CodeSha256, Upload};
use tasklane_ports::{ByteStream, PortError, PortFuture, ReceiveError, UploadTarget, Uploads};
use tokio::{io::AsyncWriteExt as _, sync::Semaphore};
use tracing::warn;

use super::private::make_private_dir;

/// How long a file stays: longer than it can be used, and than a deployment with it takes.
const STAYS: Duration = Duration::from_secs(60 * 60);

/// How many are received at once. Anybody who has a URL may send.
const AT_ONCE: usize = 8;

/// [`Uploads`] in a folder.
#[derive(Clone, Debug)]
pub struct FileUploads {
    folder: PathBuf,
    receiving: Arc<Semaphore>,
}

impl FileUploads {
    /// Opens the folder `uploads` of the data folder, and removes what nobody can use any more.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("uploads");
        make_private_dir(&folder)?;
        let uploads = Self { folder, receiving: Arc::new(Semaphore::new(AT_ONCE)) };
        uploads.clean(SystemTime::now());
        Ok(uploads)
    }

    /// The zip, if it has arrived.
    pub async fn read(&self, upload: &Upload) -> io::Result<Option<Bytes>> {
        match tokio::fs::read(self.path(upload)).await {
            Ok(zip) => Ok(Some(zip.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, upload: &Upload) -> PathBuf {
        self.folder.join(format!("{}.zip", upload.id))
    }

    /// Removes old files. Those that cannot be removed stay until the next time.
    fn clean(&self, now: SystemTime) {
        let cleaned = fs::read_dir(&self.folder).and_then(|files| {
            for file in files {
                let file = file?;
                let age = now.duration_since(file.metadata()?.modified()?).unwrap_or_default();
                if age > STAYS {
                    fs::remove_file(file.path())?;
                }
            }
            Ok(())
        });
        if let Err(error) = cleaned {
            warn!(%error, "old uploads were not removed");
        }
    }

    async fn write(&self, upload: &Upload, mut body: ByteStream) -> Result<(), ReceiveError> {
        let failed = |error: io::Error| PortError::new("write an upload", error);
        self.clean(SystemTime::now());
        // Removed if this returns early.
        let (file, part) = tempfile::NamedTempFile::new_in(&self.folder).map_err(failed)?.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let (mut hash, mut left) = (Sha256::new(), u64::from(upload.size.get()));
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(ReceiveError::Incomplete)?;
            let rest = left.checked_sub(piece.len() as u64);
            left = rest.ok_or_else(|| wrong(format!("more than the {} bytes that were announced", upload.size)))?;
            hash.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
        }
        if left > 0 {
            let sent = u64::from(upload.size.get()) - left;
            return Err(wrong(format!("{sent} bytes, and {} were announced", upload.size)));
        }
        if CodeSha256::new(hash.finalize().into()) != upload.sha256 {
            return Err(wrong(format!("bytes with another SHA-256 than {}", upload.sha256)));
        }
        file.sync_all().await.map_err(failed)?;
        part.persist(self.path(upload)).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn wrong(sent: String) -> ReceiveError {
    ReceiveError::WrongBytes(format!("The upload has {sent}."))
}

impl Uploads for FileUploads {
    fn target<'a>(&'a self, _: &'a Upload) -> PortFuture<'a, Result<UploadTarget, PortError>> {
        Box::pin(async { Ok(UploadTarget::Service) })
    }

    fn has_arrived<'a>(&'a self, upload: &'a Upload) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async move {
            let exists = tokio::fs::try_exists(self.path(upload)).await;
            exists.map_err(|error| PortError::new("look for an upload", error))
        })
    }

    fn receive<'a>(&'a self, upload: &'a Upload, body: ByteStream) -> PortFuture<'a, Result<(), ReceiveError>> {
        Box::pin(async move {
            let _permit = self.receiving.try_acquire().map_err(|_| ReceiveError::Busy)?;
            self.write(upload, body).await
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tasklane_model::{FunctionName, Timestamp, UploadId, UploadSize};

    use super::*;

    fn upload(bytes: &[u8]) -> Upload {
        Upload {
            id: UploadId::new([7; 16]),
            function_name: FunctionName::parse("hello").unwrap(),
            sha256: CodeSha256::of(bytes),
            size: UploadSize::new(i64::try_from(bytes.len()).unwrap()).unwrap(),
            expires: Timestamp::EPOCH,
            held: false,
        }
    }

    fn body(pieces: &[Result<&'static str, &str>]) -> ByteStream {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| piece.map(|text| Bytes::from_static(text.as_bytes())).map_err(str::to_owned))
            .collect();
        stream::iter(pieces).boxed()
    }

    #[tokio::test]
    async fn what_was_announced_is_kept_and_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let uploads = FileUploads::open(data.path()).unwrap();
        let upload = upload(b"PK zip");
        for (sent, says) in [
            (body(&[Ok("PK"), Ok(" zip!")]), "more than the 6 bytes"),
            (body(&[Ok("PK")]), "2 bytes, and 6 were announced"),
            (body(&[Ok("PK pun")]), "another SHA-256"),
            (body(&[Ok("PK"), Err("the connection broke")]), "the connection broke"),
        ] {
            let error = uploads.receive(&upload, sent).await.unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!uploads.has_arrived(&upload).await.unwrap());
        }
        assert_eq!(fs::read_dir(data.path().join("uploads")).unwrap().count(), 0);
        uploads.receive(&upload, body(&[Ok("PK"), Ok(" zip")])).await.unwrap();
        assert!(uploads.has_arrived(&upload).await.unwrap());
        assert_eq!(uploads.read(&upload).await.unwrap().unwrap(), "PK zip");
        uploads.clean(SystemTime::now() + STAYS / 2);
        assert!(uploads.has_arrived(&upload).await.unwrap());
        uploads.clean(SystemTime::now() + STAYS * 2);
        assert!(!uploads.has_arrived(&upload).await.unwrap());
    }

    #[tokio::test]
    async fn only_some_are_received_at_once() {
        let data = tempfile::tempdir().unwrap();
        let uploads = FileUploads::open(data.path()).unwrap();
        let upload = upload(b"PK");
        let held = uploads.receiving.clone().acquire_many_owned(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
        assert!(matches!(uploads.receive(&upload, body(&[Ok("PK")])).await, Err(ReceiveError::Busy)));
        drop(held);
        uploads.receive(&upload, body(&[Ok("PK")])).await.unwrap();
    }
}
