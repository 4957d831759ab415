//! Uploads in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt as _;
use tasklane_model::{CodeSha256, Upload, UploadId};
use tasklane_ports::{ByteStream, PortError, PortFuture, ReceiveError, UploadTarget, Uploads};
use tasklane_runtime::lock::Lock;

/// Keeps uploads in memory.
#[derive(Debug, Default)]
pub struct TestUploads {
    /// The zips that have arrived.
    pub zips: Lock<BTreeMap<UploadId, Bytes>>,
    /// Where zips are to be sent, if not to the service.
    pub elsewhere: Lock<Option<String>>,
}

impl Uploads for TestUploads {
    fn target<'a>(&'a self, _: &'a Upload) -> PortFuture<'a, Result<UploadTarget, PortError>> {
        Box::pin(async {
            Ok(match &*self.elsewhere.lock() {
                None => UploadTarget::Service,
                Some(url) => UploadTarget::Elsewhere { url: url.clone(), headers: BTreeMap::new() },
            })
        })
    }

    fn has_arrived<'a>(&'a self, upload: &'a Upload) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async { Ok(self.zips.lock().contains_key(&upload.id)) })
    }

    fn receive<'a>(&'a self, upload: &'a Upload, mut body: ByteStream) -> PortFuture<'a, Result<(), ReceiveError>> {
        Box::pin(async move {
            let mut zip = Vec::new();
            while let Some(piece) = body.next().await {
                zip.extend_from_slice(&piece.map_err(ReceiveError::Incomplete)?);
            }
            if CodeSha256::of(&zip) != upload.sha256 {
                return Err(ReceiveError::WrongBytes("The upload has other bytes.".to_owned()));
            }
            self.zips.lock().insert(upload.id.clone(), zip.into());
            Ok(())
        })
    }
}
