//! Code that is sent ahead of the Function that it is for (contract §19).

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use tasklane_model::{CodeSha256, FunctionName, UploadId};

use super::{
    Client, ClientError,
    transport::{Call, UPLOAD},
};

const UPLOADS: &str = "/tasklane/v1/uploads";

/// An upload that the service expects. `Debug` does not show the URL, which authorises by itself.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnnouncedUpload {
    /// Stands in place of a Function's code.
    pub upload_id: UploadId,
    /// Where to send the zip; absent if the service has it.
    #[serde(default)]
    url: Option<String>,
    /// The headers to send with it.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl std::fmt::Debug for AnnouncedUpload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnnouncedUpload").field("upload_id", &self.upload_id).finish_non_exhaustive()
    }
}

impl Client {
    /// Sends a zip ahead of the Function that it is for, unless the service has it, and returns what stands in its place.
    /// `None` if the service receives no uploads, as the upstream service, or not from this caller, who may only create
    /// Functions.
    pub async fn upload(
        &self,
        function: &FunctionName,
        sha256: CodeSha256,
        zip: &Bytes,
    ) -> Result<Option<UploadId>, ClientError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct NewUpload<'a> {
            function_name: &'a FunctionName,
            sha256: CodeSha256,
            size: usize,
        }
        let body = NewUpload { function_name: function, sha256, size: zip.len() };
        let announced: AnnouncedUpload = match self.call(Call::post(UPLOADS).json(&body)?).await {
            Ok(announced) => announced.value,
            Err(ClientError::Service(error)) if error.status == 404 || error.code == Some(10) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(url) = &announced.url {
            self.send_elsewhere(Method::PUT, url, &announced.headers, zip, UPLOAD).await?;
        }
        Ok(Some(announced.upload_id))
    }
}
