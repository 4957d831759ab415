//! Code that callers send to S3 with a presigned URL, below `code/` in the stack's bucket, from where Lambda fetches it. A
//! lifecycle rule deletes it.

use std::{fmt, time::Duration};

use aws_sdk_s3::{Client, presigning::PresigningConfig};
use tasklane_model::{CodeSha256, Upload};
use tasklane_ports::{ByteStream, PortError, PortFuture, ReceiveError, UploadTarget, Uploads};
use tasklane_runtime::on_demand::OnDemand;

use super::{
    config,
    fault::{Fault, port_error},
};

/// [`Uploads`] in a bucket of S3.
#[derive(Clone)]
pub struct S3Uploads {
    client: OnDemand<Client>,
    prefix: String,
    bucket: Option<String>,
}

impl S3Uploads {
    /// In this bucket, for Functions with this prefix.
    pub fn new(config: &aws_config::SdkConfig, prefix: &str, bucket: Option<String>) -> Self {
        Self { client: config::client(config, config::s3), prefix: prefix.to_owned(), bucket }
    }

    fn bucket(&self, action: &'static str) -> Result<&str, PortError> {
        self.bucket.as_deref().ok_or_else(|| PortError::new(action, "this deployment has no bucket"))
    }

    fn key(&self, upload: &Upload) -> String {
        key_of_code(&upload.function_name.in_lambda(&self.prefix), upload.sha256)
    }
}

/// Where the zip with this hash is on its way to a Lambda function. S3 checks the hash, so what is there has it.
pub(crate) fn key_of_code(lambda_name: &str, sha256: CodeSha256) -> String {
    format!("code/{lambda_name}/{}.zip", sha256.to_hex())
}

impl fmt::Debug for S3Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Uploads").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Uploads for S3Uploads {
    fn target<'a>(&'a self, upload: &'a Upload) -> PortFuture<'a, Result<UploadTarget, PortError>> {
        const ACTION: &str = "sign a URL for an upload";
        Box::pin(async move {
            let lasts: Duration = Upload::LASTS;
            let lasts = PresigningConfig::expires_in(lasts).map_err(|error| PortError::new(ACTION, error))?;
            let put = self.client.put_object().bucket(self.bucket(ACTION)?).key(self.key(upload));
            // Both are covered by the signature, so nothing else can be sent.
            let put = put.content_length(i64::from(upload.size)).checksum_sha256(upload.sha256.to_string());
            let request = put.presigned(lasts).await.map_err(|error| port_error(ACTION, error))?;
            // HTTP clients set the length themselves, and some allow nobody else to.
            let headers = request.headers().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            Ok(UploadTarget::Elsewhere { url: request.uri().to_owned(), headers })
        })
    }

    fn has_arrived<'a>(&'a self, upload: &'a Upload) -> PortFuture<'a, Result<bool, PortError>> {
        const ACTION: &str = "look for an upload";
        Box::pin(async move {
            // One byte of it. HeadObject would say the same, and be one more operation in a handler whose size is its start.
            let get = self.client.get_object().bucket(self.bucket(ACTION)?).key(self.key(upload)).range("bytes=0-0");
            match get.send().await.map_err(Fault::from) {
                Ok(_) => Ok(true),
                Err(fault) if fault.is("NoSuchKey") => Ok(false),
                Err(fault) => Err(port_error(ACTION, fault)),
            }
        })
    }

    fn receive<'a>(&'a self, _: &'a Upload, _: ByteStream) -> PortFuture<'a, Result<(), ReceiveError>> {
        Box::pin(async { Err(ReceiveError::Elsewhere) })
    }
}

#[cfg(test)]
mod tests {
    use tasklane_model::{FunctionName, Timestamp, UploadId, UploadSize};

    use super::*;
    use crate::testing::{ReplayClient, Reply};

    fn upload() -> Upload {
        Upload {
            id: UploadId::new([7; 16]),
            function_name: FunctionName::parse("hello").unwrap(),
            sha256: CodeSha256::of(b"PK"),
            size: UploadSize::new(2).unwrap(),
            expires: Timestamp::EPOCH,
            held: false,
        }
    }

    fn uploads(replay: &ReplayClient) -> S3Uploads {
        S3Uploads::new(&replay.sdk_config(), "dev", Some("bucket".to_owned()))
    }

    #[tokio::test]
    async fn the_url_covers_the_size_and_the_hash() {
        let replay = ReplayClient::replaying([]);
        let target = uploads(&replay).target(&upload()).await.unwrap();
        let UploadTarget::Elsewhere { url, headers } = target else { panic!("{target:?}") };
        assert!(url.contains("/code/dev-hello/") && url.contains("X-Amz-Expires=900"), "{url}");
        let signed = url.split("X-Amz-SignedHeaders=").nth(1).unwrap().split('&').next().unwrap();
        assert!(signed.contains("content-length"), "{url}");
        let hash = CodeSha256::of(b"PK").to_string();
        let in_header = headers.get("x-amz-checksum-sha256") == Some(&hash) && signed.contains("x-amz-checksum-sha256");
        assert!(in_header, "{url} {headers:?}");
        assert!(!headers.contains_key("content-length"), "{headers:?}");
    }

    #[tokio::test]
    async fn what_was_not_sent_is_not_there() {
        let answer = |status, code: &str| {
            Reply::Answer(status, vec![], format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
        };
        let replay = ReplayClient::replaying([answer(206, ""), answer(404, "NoSuchKey"), answer(403, "AccessDenied")]);
        let uploads = uploads(&replay);
        assert!(uploads.has_arrived(&upload()).await.unwrap());
        assert!(!uploads.has_arrived(&upload()).await.unwrap());
        assert!(uploads.has_arrived(&upload()).await.is_err());
    }
}
