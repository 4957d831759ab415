//! Taking a stack away.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{
    error::DeployError,
    events::{Event, Seen},
    stack::Deployer,
    template::kept_resources,
};

/// What outlives a stack: a resource of the template, and its name in AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name in the template.
    pub resource: String,
    /// Its name in AWS, such as that of a table.
    pub name: String,
}

impl Deployer {
    /// What will be left when the stack is deleted.
    ///
    /// # Errors
    /// When there is no such stack.
    pub async fn kept(&self) -> Result<Vec<Kept>, DeployError> {
        let kept = kept_resources();
        let resources = self.resources().await?;
        let kept = resources.into_iter().filter(|(resource, _)| kept.contains(&resource.as_str()));
        Ok(kept.map(|(resource, name)| Kept { resource, name }).collect())
    }

    /// Deletes the stack, and tells each event. Its bucket is emptied first, because CloudFormation deletes only empty ones.
    ///
    /// # Errors
    /// When there is no such stack, or a resource cannot be deleted.
    pub async fn delete(&self, tell: impl Fn(&Event)) -> Result<(), DeployError> {
        let id = self.stack().await?.and_then(|stack| stack.stack_id).ok_or_else(|| self.no_stack())?;
        let bucket = self.resources().await?.into_iter().find(|(resource, _)| resource == "CodeBucket");
        if let Some((_, bucket)) = bucket {
            self.empty(&bucket).await?;
        }
        let mut seen = Seen::default();
        seen.new_ones(&self.events().await?);
        let delete = self.cloudformation.delete_stack().stack_name(&self.name).send().await;
        delete.map_err(|error| DeployError::of("delete the stack", &error))?;
        // By its id, because its name means nothing once it is gone.
        self.named(id).follow(seen, "DELETE_COMPLETE", tell).await
    }

    /// The resources of the stack, each with its name in AWS.
    async fn resources(&self) -> Result<Vec<(String, String)>, DeployError> {
        let mut pages =
            self.cloudformation.list_stack_resources().stack_name(&self.name).into_paginator().items().send();
        let mut resources = Vec::new();
        while let Some(resource) = pages.next().await {
            let resource = resource.map_err(|error| DeployError::of("list the resources of the stack", &error))?;
            let names = resource.logical_resource_id().zip(resource.physical_resource_id());
            resources.extend(names.map(|(logical, physical)| (logical.to_owned(), physical.to_owned())));
        }
        Ok(resources)
    }

    async fn empty(&self, bucket: &str) -> Result<(), DeployError> {
        loop {
            let page = match self.s3.list_objects_v2().bucket(bucket).send().await {
                Ok(page) => page,
                Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_bucket()) => return Ok(()),
                Err(error) => return Err(DeployError::of("list what is in the stack's bucket", &error)),
            };
            let objects: Vec<_> = page
                .contents()
                .iter()
                .filter_map(|object| ObjectIdentifier::builder().key(object.key()?).build().ok())
                .collect();
            if objects.is_empty() {
                return Ok(());
            }
            let action = "empty the stack's bucket";
            let objects = Delete::builder()
                .set_objects(Some(objects))
                .build()
                .map_err(|error| DeployError::Aws { action, cause: error.to_string() })?;
            let deleted = self.s3.delete_objects().bucket(bucket).delete(objects).send().await;
            let deleted = deleted.map_err(|error| DeployError::of(action, &error))?;
            if let Some(refused) = deleted.errors().first() {
                let cause = refused.message().unwrap_or("S3 gives no reason").to_owned();
                return Err(DeployError::Aws { action, cause });
            }
        }
    }
}
