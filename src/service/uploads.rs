//! Code that is sent ahead of the Function that it is for (contract §19).

use bytes::Bytes;
use tasklane_model::{
    CodeSha256, Deployment, Error, ErrorKind, Function, FunctionName, Result, Upload, UploadId, UploadSize,
};
use tasklane_ports::{ByteStream, Code, ReceiveError, UploadTarget};

use super::Service;

/// The code of a Function, as a caller sends it.
#[derive(Clone, Debug)]
pub enum SentCode {
    /// A zip.
    Zip(Bytes),
    /// A zip that was sent before.
    Upload(UploadId),
}

impl From<Bytes> for SentCode {
    fn from(zip: Bytes) -> Self {
        Self::Zip(zip)
    }
}

/// Where a Function's new code is.
#[derive(Debug)]
pub(super) enum NewCode {
    /// It does not change.
    Unchanged,
    /// Here, or where it was uploaded to.
    Sent(Code),
    /// In a version of the Function.
    Held(CodeSha256),
}

/// An upload that was announced.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The upload.
    pub upload: Upload,
    /// Where the zip is to be sent; `None` if it need not be sent.
    pub target: Option<UploadTarget>,
}

impl Service {
    /// Prepares the upload of a zip for a Function, which may not exist yet.
    pub async fn announce_upload(&self, name: FunctionName, sha256: CodeSha256, size: UploadSize) -> Result<Announced> {
        let function = self.inner.store.functions.get(&name).await?.map(|function| function.value);
        let held = match &function {
            Some(function) => self.deployment_with(function, sha256).await?.is_some(),
            None => false,
        };
        let expires = self.inner.ports.clock.now().saturating_add(Upload::LASTS);
        let id = UploadId::new(self.inner.ports.ids.secret());
        let upload = Upload { id, function_name: name, sha256, size, expires, held };
        let target = match held {
            true => None,
            false => Some(self.inner.ports.uploads.target(&upload).await.map_err(Error::internal)?),
        };
        self.inner.store.uploads.announce(&upload).await?;
        Ok(Announced { upload, target })
    }

    /// Receives the zip of an upload, where it is this service that receives it. 1503 for an upload that is unknown or has
    /// expired, 1401 for other bytes than those that were announced.
    pub async fn receive_upload(&self, id: &UploadId, body: ByteStream) -> Result<()> {
        let upload = self.upload(id).await?;
        if upload.held {
            return Ok(());
        }
        self.inner.ports.uploads.receive(&upload, body).await.map_err(|error| match error {
            ReceiveError::WrongBytes(why) => Error::new(ErrorKind::InvalidFunctionCode, why),
            ReceiveError::Incomplete(why) => {
                Error::new(ErrorKind::BodyFormat, "The body did not arrive completely: send it again.").caused_by(why)
            }
            ReceiveError::Busy => {
                Error::new(ErrorKind::TooManyRequests, "Too many uploads are in progress. Try again in a moment.")
            }
            ReceiveError::Elsewhere => {
                Error::new(ErrorKind::Endpoint, "Uploads are not sent to this service, but to the URL that they have.")
            }
            ReceiveError::Port(error) => Error::internal(error),
        })
    }

    /// Where the code is that a caller sends for a Function. 1503 for an upload that is unknown, has expired, was never sent,
    /// or is for another Function.
    pub(super) async fn new_code(&self, name: &FunctionName, code: Option<SentCode>) -> Result<NewCode> {
        let id = match code {
            None => return Ok(NewCode::Unchanged),
            Some(SentCode::Zip(zip)) => return Ok(NewCode::Sent(Code::Zip(zip))),
            Some(SentCode::Upload(id)) => id,
        };
        let upload = self.upload(&id).await?;
        if upload.function_name != *name {
            let message = format!("The upload {id} is for the function '{}'.", upload.function_name);
            return Err(Error::new(ErrorKind::UploadUnknown, message));
        }
        if upload.held {
            return Ok(NewCode::Held(upload.sha256));
        }
        if !self.inner.ports.uploads.has_arrived(&upload).await.map_err(Error::internal)? {
            let message = format!("The upload {id} has not arrived: PUT the zip to its URL first.");
            return Err(Error::new(ErrorKind::UploadUnknown, message));
        }
        Ok(NewCode::Sent(Code::Uploaded(upload)))
    }

    /// What Lambda holds with this code, of the Function itself or of one of its versions.
    pub(super) async fn deployment_with(&self, function: &Function, code: CodeSha256) -> Result<Option<Deployment>> {
        if function.deployment.code_sha256 == code {
            return Ok(Some(function.deployment.clone()));
        }
        for kept in self.inner.store.functions.versions(function).await? {
            let deployment = kept.version.deployment;
            if deployment.code_sha256 == code
                && self.inner.ports.lambda.holds(&function.name, &deployment).await.map_err(Error::internal)?
            {
                return Ok(Some(deployment));
            }
        }
        Ok(None)
    }

    async fn upload(&self, id: &UploadId) -> Result<Upload> {
        self.inner.store.uploads.find(id).await?.ok_or_else(|| {
            let minutes = Upload::LASTS.as_secs() / 60;
            let message = format!("There is no upload {id}, or it has expired: uploads last {minutes} minutes.");
            Error::new(ErrorKind::UploadUnknown, message)
        })
    }
}
