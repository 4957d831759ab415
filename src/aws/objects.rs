//! Objects in S3, below `results/` in the stack's bucket. Its lifecycle rules delete them.

use std::{fmt, time::Duration};

use aws_sdk_s3::{Client, presigning::PresigningConfig};
use bytes::Bytes;
use tasklane_ports::{ObjectKey, Objects, PortError, PortFuture};
use tasklane_runtime::on_demand::OnDemand;

use super::{
    config,
    fault::{Fault, port_error},
};

/// How long a URL can be used.
const URL_LASTS: Duration = Duration::from_secs(300);

/// [`Objects`] in a bucket of S3.
#[derive(Clone)]
pub struct S3Objects {
    client: OnDemand<Client>,
    bucket: Option<String>,
}

impl S3Objects {
    /// In this bucket. Without one, no object can be written.
    pub fn new(config: &aws_config::SdkConfig, bucket: Option<String>) -> Self {
        Self { client: config::client(config, config::s3), bucket }
    }

    fn bucket(&self, action: &'static str) -> Result<&str, PortError> {
        let none = || PortError::new(action, "this deployment has no bucket");
        self.bucket.as_deref().ok_or_else(none)
    }
}

impl fmt::Debug for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Objects").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

fn in_bucket(key: &ObjectKey) -> String {
    format!("results/{key}")
}

impl Objects for S3Objects {
    fn write_object<'a>(&'a self, key: &'a ObjectKey, content: Bytes) -> PortFuture<'a, Result<(), PortError>> {
        const ACTION: &str = "put an object into S3";
        Box::pin(async move {
            let put = self.client.put_object().bucket(self.bucket(ACTION)?).key(in_bucket(key));
            let put = put.content_type("application/json").body(content.into());
            put.send().await.map_err(|error| port_error(ACTION, error))?;
            Ok(())
        })
    }

    fn read_object<'a>(&'a self, key: &'a ObjectKey) -> PortFuture<'a, Result<Option<Bytes>, PortError>> {
        const ACTION: &str = "get an object from S3";
        Box::pin(async move {
            let get = self.client.get_object().bucket(self.bucket(ACTION)?).key(in_bucket(key));
            let object = match get.send().await.map_err(Fault::from) {
                Ok(object) => object,
                Err(fault) if fault.is("NoSuchKey") => return Ok(None),
                Err(fault) => return Err(port_error(ACTION, fault)),
            };
            let content = object.body.collect().await.map_err(|error| PortError::new(ACTION, error))?;
            Ok(Some(content.into_bytes()))
        })
    }

    fn object_url<'a>(&'a self, key: &'a ObjectKey) -> PortFuture<'a, Result<Option<String>, PortError>> {
        const ACTION: &str = "sign a URL of S3";
        Box::pin(async move {
            let lasts = PresigningConfig::expires_in(URL_LASTS).map_err(|error| PortError::new(ACTION, error))?;
            let get = self.client.get_object().bucket(self.bucket(ACTION)?).key(in_bucket(key));
            let request = get.presigned(lasts).await.map_err(|error| port_error(ACTION, error))?;
            Ok(Some(request.uri().to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ReplayClient, Reply};
    use tasklane_ports::Keep;

    fn key() -> ObjectKey {
        ObjectKey::new(Keep::ADay, "a-b").unwrap()
    }

    fn objects(replay: &ReplayClient) -> S3Objects {
        S3Objects::new(&replay.sdk_config(), Some("bucket".to_owned()))
    }

    fn answer(status: u16, body: &str) -> Reply {
        Reply::Answer(status, vec![], body.to_owned())
    }

    #[tokio::test]
    async fn an_object_is_written_and_read_below_its_prefix() {
        let replay = ReplayClient::replaying([answer(200, ""), answer(200, "[1.0]")]);
        let objects = objects(&replay);
        objects.write_object(&key(), Bytes::from_static(b"[1.0]")).await.unwrap();
        assert_eq!(objects.read_object(&key()).await.unwrap().unwrap(), "[1.0]");
        let names = replay.asked();
        assert!(names[0].starts_with("PUT ") && names[0].contains("/results/day/a-b"), "{names:?}");
        assert!(names[1].starts_with("GET ") && names[1].contains("/results/day/a-b"), "{names:?}");
    }

    #[tokio::test]
    async fn a_missing_object_is_not_an_error_and_a_refusal_is() {
        let missing = "<Error><Code>NoSuchKey</Code><Message>no</Message></Error>";
        let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        let replay = ReplayClient::replaying([answer(404, missing), answer(403, denied)]);
        let objects = objects(&replay);
        assert_eq!(objects.read_object(&key()).await.unwrap(), None);
        assert!(objects.read_object(&key()).await.unwrap_err().to_string().contains("AccessDenied"));
    }

    #[tokio::test]
    async fn a_url_is_signed_without_a_call() {
        let replay = ReplayClient::replaying([]);
        let url = objects(&replay).object_url(&key()).await.unwrap().unwrap();
        assert!(url.contains("/results/day/a-b") && url.contains("X-Amz-Signature="), "{url}");
        assert_eq!(replay.asked().len(), 0);
    }
}
