//! Passes code to Lambda, and finds it again when only Lambda still has it.

use aws_sdk_lambda::{
    primitives::Blob,
    types::{FunctionCode, FunctionCodeLocation},
};
use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use bytes::Bytes;
use http_body_util::BodyExt;
use tasklane_model::{CodeSha256, Deployment};
use tasklane_ports::{Code, DeployError, PortError};

use super::{AwsLambda, difference::Wanted};
use crate::{
    fault::{Fault, port_error, unconnected},
    uploads::key_of_code,
};

/// The largest zip that Lambda accepts in a request: 50 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const DIRECT_UPLOAD_MAX_BYTES: usize = 50 * 1024 * 1024;

const FETCH: &str = "fetch a published version's code";

/// Code on its way to Lambda.
#[derive(Debug)]
pub(super) enum Package {
    /// A zip in the request itself.
    Direct(Bytes),
    /// A zip in S3.
    Stored { bucket: String, key: String },
    /// The URI of a container image.
    Image(String),
}

impl Package {
    /// The code as an argument of CreateFunction.
    pub fn function_code(&self) -> FunctionCode {
        let builder = FunctionCode::builder();
        match self {
            Self::Direct(code) => builder.zip_file(Blob::new(code.to_vec())).build(),
            Self::Stored { bucket, key } => builder.s3_bucket(bucket).s3_key(key).build(),
            Self::Image(uri) => builder.image_uri(uri).build(),
        }
    }
}

impl AwsLambda {
    /// Prepares code for a request. A zip above the direct-upload limit is uploaded to S3, where the bucket's
    /// lifecycle rule deletes it later.
    pub(super) async fn package(&self, wanted: &Wanted, code: Code) -> Result<Package, DeployError> {
        let lambda_name = &wanted.lambda_name;
        let bucket = self.settings.code_bucket.as_ref();
        let code = match (code, bucket) {
            (Code::Zip(code), _) => code,
            (Code::Image, _) => {
                let uri = wanted.image.clone();
                return uri.map(Package::Image).ok_or_else(|| PortError::new("find an image", "it has none").into());
            }
            (Code::Uploaded(upload), Some(bucket)) => {
                let key = key_of_code(lambda_name, upload.sha256);
                return Ok(Package::Stored { bucket: bucket.clone(), key });
            }
            (Code::Uploaded(_), None) => {
                return Err(PortError::new("find an upload", "this deployment has no bucket").into());
            }
        };
        if code.len() <= DIRECT_UPLOAD_MAX_BYTES {
            return Ok(Package::Direct(code));
        }
        let Some(bucket) = bucket else {
            return Err(DeployError::InvalidCode(
                "The zip is larger than 50 MB, and this deployment has no bucket for larger zips.".to_owned(),
            ));
        };
        let key = key_of_code(lambda_name, CodeSha256::of(&code));
        self.s3
            .put_object()
            .bucket(bucket)
            .key(&key)
            .body(code.into())
            .send()
            .await
            .map_err(|error| port_error("upload code to S3", error))?;
        Ok(Package::Stored { bucket: bucket.clone(), key })
    }

    /// A presigned URL of a published version's zip. `None` when the version does not exist any more.
    pub(super) async fn code_url(&self, lambda_name: &str, version: &Deployment) -> Result<Option<String>, PortError> {
        Ok(self.code_location(lambda_name, version).await?.and_then(|code| code.location))
    }

    /// Where the code of a published version is. `None` when the version does not exist any more.
    async fn code_location(
        &self,
        lambda_name: &str,
        version: &Deployment,
    ) -> Result<Option<FunctionCodeLocation>, PortError> {
        let answer = self.lambda.get_function().function_name(lambda_name).qualifier(&version.version).send().await;
        let function = match answer.map_err(Fault::from) {
            Ok(function) => function,
            Err(fault) if fault.is("ResourceNotFoundException") => return Ok(None),
            Err(fault) => return Err(port_error(FETCH, fault)),
        };
        Ok(function.code)
    }

    /// The code that a published version has, for a request. An image is named by its digest, because its tag may have moved.
    /// `None` when the version does not exist any more.
    pub(super) async fn held_package(
        &self,
        wanted: &Wanted,
        version: &Deployment,
    ) -> Result<Option<Package>, DeployError> {
        if wanted.image.is_some() {
            let code = self.code_location(&wanted.lambda_name, version).await?;
            return Ok(code.and_then(|code| code.resolved_image_uri).map(Package::Image));
        }
        match self.fetch_code(&wanted.lambda_name, version).await? {
            Some(zip) => Ok(Some(self.package(wanted, zip.into()).await?)),
            None => Ok(None),
        }
    }

    /// The zip of a published version. `None` when the version does not exist any more.
    async fn fetch_code(&self, lambda_name: &str, version: &Deployment) -> Result<Option<Bytes>, PortError> {
        let Some(url) = self.code_url(lambda_name, version).await? else { return Ok(None) };
        let request = HttpRequest::get(url).map_err(|error| PortError::new(FETCH, error))?;
        let response =
            self.downloads.call(request).await.map_err(|error| PortError::new(FETCH, unconnected(&error)))?;
        let status = response.status();
        if !status.is_success() {
            return Err(PortError::new(FETCH, format!("HTTP {}", status.as_u16())));
        }
        let body = response.into_body().collect().await.map_err(|error| PortError::new(FETCH, error))?;
        let code = body.to_bytes();
        if CodeSha256::of(&code) != version.code_sha256 {
            return Err(PortError::new(FETCH, "the SHA-256 of the downloaded code differs from the version's"));
        }
        Ok(Some(code))
    }
}
