//! The versions of a Lambda function: moving the alias `live`, and deleting versions.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_lambda::types::FunctionConfiguration;
use tasklane_model::{Deployment, FunctionName, Timestamp};
use tasklane_ports::PortError;

use super::{AwsLambda, LIVE_ALIAS};
use crate::fault::{Fault, port_error};

/// How long a version is kept after a newer one: longer than a caller who read the older record takes to start a run
/// with it, plus the longest run (300 s).
const GRACE: Duration = Duration::from_secs(15 * 60);

impl AwsLambda {
    /// Points the alias `live` at a version.
    pub(super) async fn point_live_at(&self, function: &FunctionName, to: &Deployment) -> Result<(), PortError> {
        const ACTION: &str = "move the alias live";
        let (lambda_name, version) = (&self.lambda_name(function), to.version.as_str());
        let alias = self.lambda.get_alias().function_name(lambda_name).name(LIVE_ALIAS).send().await;
        match alias.map_err(Fault::from) {
            Ok(alias) if alias.function_version() == Some(version) => Ok(()),
            Ok(_) => {
                let update = self.lambda.update_alias().function_name(lambda_name).name(LIVE_ALIAS);
                match update.function_version(version).send().await.map_err(Fault::from) {
                    // Another deployment moves it at the same time. The newest one wins in the end.
                    Err(fault) if !fault.is("ResourceConflictException") => Err(port_error(ACTION, fault)),
                    Ok(_) | Err(_) => Ok(()),
                }
            }
            Err(fault) if fault.is("ResourceNotFoundException") => {
                let create = self.lambda.create_alias().function_name(lambda_name).name(LIVE_ALIAS);
                match create.function_version(version).send().await.map_err(Fault::from) {
                    // Another deployment created it in between. The newest one wins in the end.
                    Err(fault) if !fault.is("ResourceConflictException") => Err(port_error(ACTION, fault)),
                    Ok(_) | Err(_) => Ok(()),
                }
            }
            Err(fault) => Err(port_error(ACTION, fault)),
        }
    }

    pub(super) async fn delete_old_versions(
        &self,
        function: &FunctionName,
        kept: &[Deployment],
    ) -> Result<(), PortError> {
        let lambda_name = self.lambda_name(function);
        let Ok(kept) = kept.iter().map(|kept| kept.version.parse::<u64>()).collect::<Result<BTreeSet<_>, _>>() else {
            return Ok(());
        };
        let versions = self.numbered_versions(&lambda_name).await?;
        for version in disposable(&versions, &kept, self.clock.now()) {
            let request = self.lambda.delete_function().function_name(&lambda_name).qualifier(version.to_string());
            match request.send().await.map_err(Fault::from) {
                Ok(_) => tracing::info!(lambda = lambda_name, version, "deleted an old version"),
                Err(fault) if fault.is("ResourceNotFoundException") => {}
                Err(fault) => return Err(port_error("delete an old version", fault)),
            }
        }
        Ok(())
    }

    pub(super) async fn delete_function(&self, function: &FunctionName) -> Result<(), PortError> {
        let lambda_name = self.lambda_name(function);
        let answer = self.lambda.delete_function().function_name(&lambda_name).send().await;
        match answer.map_err(Fault::from) {
            Ok(_) => Ok(()),
            Err(fault) if fault.is("ResourceNotFoundException") => Ok(()),
            // It is being deployed, perhaps for a new Function with the same name, which must not lose it. A deployment
            // for the deleted Function finds that its record is gone and cleans up after itself.
            Err(fault) if fault.is("ResourceConflictException") => {
                tracing::info!(lambda = lambda_name, %fault, "not deleted: a deployment is in progress");
                Ok(())
            }
            Err(fault) => Err(port_error("delete a Lambda function", fault)),
        }
    }

    /// The published versions and when each was published, lowest first.
    async fn numbered_versions(&self, lambda_name: &str) -> Result<Vec<(u64, Option<Timestamp>)>, PortError> {
        let mut versions = Vec::new();
        let mut pages =
            self.lambda.list_versions_by_function().function_name(lambda_name).into_paginator().items().send();
        while let Some(version) = pages.next().await {
            let version = version.map_err(|error| port_error("list the versions of a Lambda function", error))?;
            versions.extend(numbered(&version));
        }
        versions.sort_unstable_by_key(|(number, _)| *number);
        Ok(versions)
    }
}

/// `None` for `$LATEST`.
fn numbered(version: &FunctionConfiguration) -> Option<(u64, Option<Timestamp>)> {
    let number = version.version()?.parse().ok()?;
    Some((number, version.last_modified().and_then(|text| text.parse().ok())))
}

/// The versions that no record names and that cannot be running any more: they are older than the newest of those that are
/// `kept`, and were followed by another one so long ago that every run by a caller who read the older record has ended.
fn disposable(versions: &[(u64, Option<Timestamp>)], kept: &BTreeSet<u64>, now: Timestamp) -> Vec<u64> {
    let Some(newest) = kept.last() else { return Vec::new() };
    versions
        .windows(2)
        .filter(|pair| pair[0].0 < *newest && !kept.contains(&pair[0].0))
        .filter(|pair| pair[1].1.is_some_and(|followed_at| now.since(followed_at) > GRACE))
        .map(|pair| pair[0].0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_version_is_deleted_only_when_it_cannot_be_running() {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        let versions = [
            (1, at("2026-01-30T12:00:00Z")),
            (2, at("2026-01-31T11:00:00Z")),
            (3, at("2026-01-31T11:50:00Z")),
            (4, at("2026-01-31T11:59:00Z")),
        ];
        let disposable = |kept: &[u64]| disposable(&versions, &kept.iter().copied().collect(), now);
        // 1 was followed by 2 an hour ago; 2 by 3 ten minutes ago, too recently; 4 is newer than those that are kept.
        assert_eq!(disposable(&[3]), [1]);
        assert_eq!(disposable(&[1, 3]), [0; 0], "it can be rolled back to");
        assert_eq!(disposable(&[1]), [0; 0]);
        assert_eq!(disposable(&[]), [0; 0]);
        let of_unknown_age = [(1, at("2020-01-01T00:00:00Z")), (2, None)];
        assert_eq!(super::disposable(&of_unknown_age, &BTreeSet::from([2]), now), [0; 0]);
    }

    #[test]
    fn lambdas_own_time_format_is_read() {
        let version =
            FunctionConfiguration::builder().version("7").last_modified("2026-01-31T08:15:30.123+0000").build();
        assert_eq!(numbered(&version), Some((7, at("2026-01-31T08:15:30.123Z"))));
        assert_eq!(numbered(&FunctionConfiguration::builder().version("$LATEST").build()), None);
    }
}
