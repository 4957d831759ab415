//! The bucket that CloudFormation reads the template and the handlers from: one for each account and region.

use aws_sdk_s3::{
    Client,
    types::{BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration},
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{error::DeployError, handlers::Handlers, template};

/// A template that is in S3.
pub(crate) struct Uploaded {
    /// Where CloudFormation reads it.
    pub url: String,
}

pub(crate) struct Artifacts<'a> {
    pub client: &'a Client,
    pub account: &'a str,
    pub region: &'a str,
}

impl Artifacts<'_> {
    /// Its name. Names of buckets are unique in the world; an account's number makes it so.
    pub fn bucket(&self) -> String {
        format!("tasklane-artifacts-{}-{}", self.account, self.region)
    }

    /// Sends the handlers and the template that names them. What is there already is not sent again.
    pub async fn upload(&self, handlers: &Handlers) -> Result<Uploaded, DeployError> {
        self.ensure_bucket().await?;
        let mut places = [const { String::new() }; 3];
        for ((place, handler), zip) in places.iter_mut().zip(template::HANDLERS).zip(&handlers.zips) {
            let key = format!("{handler}-{}.zip", hash(zip));
            self.put(&key, zip.clone()).await?;
            *place = format!("s3://{}/{key}", self.bucket());
        }
        let template = Bytes::from(template::with_code(&places));
        let key = format!("template-{}.yaml", hash(&template));
        self.put(&key, template).await?;
        let domain = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(Uploaded { url: format!("https://s3.{}.{domain}/{}/{key}", self.region, self.bucket()) })
    }

    async fn ensure_bucket(&self) -> Result<(), DeployError> {
        let bucket = self.bucket();
        // The account is named, so that nobody else's bucket is taken for ours.
        let head = self.client.head_bucket().bucket(&bucket).expected_bucket_owner(self.account).send().await;
        match head {
            Ok(_) => return Ok(()),
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => {}
            Err(error) => return Err(DeployError::of("look at the bucket for artifacts", &error)),
        }
        let create = self.client.create_bucket().bucket(&bucket);
        // S3's first region is the one that cannot be named.
        let create = match self.region {
            "us-east-1" => create,
            region => {
                let constraint = BucketLocationConstraint::from(region);
                create.create_bucket_configuration(
                    CreateBucketConfiguration::builder().location_constraint(constraint).build(),
                )
            }
        };
        create.send().await.map_err(|error| DeployError::of("create the bucket for artifacts", &error))?;
        let nobody = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .block_public_policy(true)
            .ignore_public_acls(true)
            .restrict_public_buckets(true)
            .build();
        let block = self.client.put_public_access_block().bucket(&bucket).public_access_block_configuration(nobody);
        block.send().await.map_err(|error| DeployError::of("close the bucket for artifacts to the public", &error))?;
        Ok(())
    }

    async fn put(&self, key: &str, content: Bytes) -> Result<(), DeployError> {
        let bucket = self.bucket();
        let head = self.client.head_object().bucket(&bucket).key(key).expected_bucket_owner(self.account);
        if head.send().await.is_ok() {
            return Ok(());
        }
        let put = self.client.put_object().bucket(&bucket).key(key).expected_bucket_owner(self.account);
        put.body(content.into()).send().await.map_err(|error| DeployError::of("send an artifact to S3", &error))?;
        Ok(())
    }
}

fn hash(content: &[u8]) -> String {
    hex::encode(&Sha256::digest(content)[..16])
}
