//! What the stack keeps: its tables, their backups, and the key.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{IndexStatus, PointInTimeRecoveryStatus, TableStatus, TimeToLiveStatus};
use aws_sdk_kms::types::KeyState;

use super::{Finding, Health};
use crate::{
    Stack,
    fault::Fault,
    operator::{OperatorError, refused},
};

/// The tables whose rows expire, by their names without the prefix.
pub const EXPIRING_TABLES: [&str; 3] = ["tasks", "api-requests", "control"];

/// Whether every table and its indexes can be used.
pub(super) async fn tables(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) -> Result<(), OperatorError> {
    let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
    for (name, indexes) in stack.store.tables() {
        let described = dynamodb.describe_table().table_name(&name).send().await.map_err(Fault::from);
        let wrong = match described {
            Err(fault) if fault.is("ResourceNotFoundException") => {
                Some("it is gone. Restore it from its last backup".to_owned())
            }
            Err(fault) => return Err(refused("describe a table", &fault)),
            Ok(described) => described.table.and_then(|table| {
                if table.table_status() != Some(&TableStatus::Active) {
                    let status = table.table_status().map_or("in no state", TableStatus::as_str);
                    return Some(format!("it is {status}. Wait until it is ACTIVE"));
                }
                let active = |index: &&str| {
                    table.global_secondary_indexes().iter().any(|found| {
                        found.index_name() == Some(index)
                            && found.index_status().is_none_or(|status| *status == IndexStatus::Active)
                    })
                };
                let missing: Vec<_> = indexes.iter().filter(|index| !active(index)).copied().collect();
                (!missing.is_empty()).then(|| {
                    format!(
                        "its index {} is missing or not active yet. Wait, or deploy the stack again",
                        missing.join(", ")
                    )
                })
            }),
        };
        findings.push(Finding::of(format!("table {name}"), wrong));
    }
    Ok(())
}

/// Whether lost rows could be restored, expired ones go, and nobody deletes a table by mistake.
pub(super) async fn backups(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) {
    let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
    let names: Vec<_> = stack.store.tables().into_iter().map(|(name, _)| name).collect();
    let expiring: Vec<_> = EXPIRING_TABLES.iter().map(|table| format!("{}-{table}", stack.settings.prefix)).collect();
    findings.push(recovery(&dynamodb, &names).await);
    findings.push(expiry(&dynamodb, &expiring).await);
    findings.push(protection(&dynamodb, &names).await);
}

async fn recovery(dynamodb: &aws_sdk_dynamodb::Client, tables: &[String]) -> Finding {
    const WHAT: &str = "backups of the tables (point-in-time recovery)";
    let mut without = Vec::new();
    for table in tables {
        let answer = dynamodb.describe_continuous_backups().table_name(table).send().await.map_err(Fault::from);
        let answer = match answer {
            Ok(answer) => answer,
            // That a table is gone is a finding of its own.
            Err(fault) if is_missing(&fault) => continue,
            Err(fault) => return Finding::not_seen(WHAT, "dynamodb:DescribeContinuousBackups", &fault),
        };
        let described = answer.continuous_backups_description().and_then(|it| it.point_in_time_recovery_description());
        if described.and_then(|it| it.point_in_time_recovery_status()) != Some(&PointInTimeRecoveryStatus::Enabled) {
            without.push(table.as_str());
        }
    }
    let wrong = first_of(&without).map(|(all, one)| {
        format!(
            "{all} cannot be restored to an earlier moment. Turn it on: aws dynamodb update-continuous-backups --table-name \
             {one} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
        )
    });
    Finding::of(WHAT, wrong)
}

async fn expiry(dynamodb: &aws_sdk_dynamodb::Client, tables: &[String]) -> Finding {
    const WHAT: &str = "expiry of rows (time to live)";
    let mut without = Vec::new();
    for table in tables {
        let answer = dynamodb.describe_time_to_live().table_name(table).send().await.map_err(Fault::from);
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) if is_missing(&fault) => continue,
            Err(fault) => return Finding::not_seen(WHAT, "dynamodb:DescribeTimeToLive", &fault),
        };
        let status = answer.time_to_live_description().and_then(|described| described.time_to_live_status());
        if !matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            without.push(table.as_str());
        }
    }
    let wrong = first_of(&without).map(|(all, one)| {
        format!(
            "rows of {all} never expire, so they grow for ever. A restored table has lost this setting. Turn it on: aws \
             dynamodb update-time-to-live --table-name {one} --time-to-live-specification \
             Enabled=true,AttributeName=expires"
        )
    });
    Finding::of(WHAT, wrong)
}

/// The template leaves it off: with it, a first deployment that fails could not take its tables away again.
async fn protection(dynamodb: &aws_sdk_dynamodb::Client, tables: &[String]) -> Finding {
    const WHAT: &str = "protection of the tables from deletion";
    let mut without = Vec::new();
    for table in tables {
        let answer = dynamodb.describe_table().table_name(table).send().await.map_err(Fault::from);
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) if is_missing(&fault) => continue,
            Err(fault) => return Finding::not_seen(WHAT, "dynamodb:DescribeTable", &fault),
        };
        if answer.table().and_then(|table| table.deletion_protection_enabled()) != Some(true) {
            without.push(table.as_str());
        }
    }
    let note = first_of(&without).map(|(all, one)| {
        format!(
            "{all} can be deleted by anybody who may call DeleteTable. To protect them: aws dynamodb update-table \
             --table-name {one} --deletion-protection-enabled"
        )
    });
    Finding::noted(WHAT, note)
}

/// All of these names in one text, and the first of them for an example.
fn first_of<'a>(names: &[&'a str]) -> Option<(String, &'a str)> {
    names.first().map(|first| (names.join(", "), *first))
}

fn is_missing(fault: &Fault) -> bool {
    fault.is("ResourceNotFoundException") || fault.is("TableNotFoundException")
}

/// Whether the key can seal and open secrets.
pub(super) async fn key(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) {
    const WHAT: &str = "the key that seals secrets";
    let kms = aws_sdk_kms::Client::new(sdk);
    let key = &stack.settings.secrets_key;
    let described = kms.describe_key().key_id(key).send().await.map_err(Fault::from);
    let wrong = match described {
        Ok(described) => described.key_metadata().and_then(|key| {
            let deletion = key.deletion_date().map(|date| date.secs());
            wrong_with_key(key.arn().unwrap_or_default(), key.key_state(), deletion)
        }),
        Err(fault) if fault.is("NotFoundException") => Some(format!(
            "{key} is gone, and with it the secrets of all credentials. Deploy a stack with a new key, and create new \
             credentials"
        )),
        Err(fault) => return findings.push(Finding::not_seen(WHAT, "kms:DescribeKey", &fault)),
    };
    findings.push(Finding { what: WHAT.to_owned(), state: wrong.map_or(Health::Fine, Health::Wrong) });
}

fn wrong_with_key(arn: &str, state: Option<&KeyState>, deletion: Option<i64>) -> Option<String> {
    match state {
        Some(KeyState::Enabled) => None,
        Some(KeyState::PendingDeletion) => {
            let when = deletion.map_or_else(
                || "soon".to_owned(),
                |seconds| {
                    let date = tasklane_model::Timestamp::saturating_from_millis(seconds.saturating_mul(1000));
                    format!("on {}", date.to_string().chars().take(10).collect::<String>())
                },
            );
            Some(format!(
                "it will be deleted {when}, and then the secrets of all credentials are lost for good. Act now: aws kms \
                 cancel-key-deletion --key-id {arn}, then aws kms enable-key --key-id {arn}"
            ))
        }
        Some(KeyState::Disabled) => Some(format!(
            "it is disabled, so nobody with a signed request gets in. Enable it: aws kms enable-key --key-id {arn}"
        )),
        other => Some(format!(
            "it is {}, so it cannot be used. See docs/runbooks/key.md",
            other.map_or("in no known state", KeyState::as_str)
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ReplayClient, Reply};

    fn wire(replies: impl IntoIterator<Item = Reply>) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&ReplayClient::replaying(replies).sdk_config())
    }

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn wrong(finding: Finding) -> String {
        match finding.state {
            Health::Wrong(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_table_without_backups_is_named_and_one_that_is_gone_is_not() {
        let backups = |status: &str| {
            Reply::ok(json!({ "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": { "PointInTimeRecoveryStatus": status } } }))
        };
        let gone = || Reply::error(400, "TableNotFoundException", "no such table");
        let found = recovery(&wire([backups("ENABLED"), gone()]), &named(&["a", "b"])).await;
        assert_eq!(found.state, Health::Fine);
        let found = wrong(recovery(&wire([backups("ENABLED"), backups("DISABLED")]), &named(&["a", "b"])).await);
        assert!(found.starts_with("b cannot be restored") && found.contains("--table-name b "), "{found}");
    }

    #[tokio::test]
    async fn rows_that_no_longer_expire_are_found() {
        let ttl = |status: &str| Reply::ok(json!({ "TimeToLiveDescription": { "TimeToLiveStatus": status } }));
        let found = expiry(&wire([ttl("ENABLED"), ttl("ENABLING")]), &named(&["a", "b"])).await;
        assert_eq!(found.state, Health::Fine);
        let found = wrong(expiry(&wire([ttl("DISABLED"), ttl("ENABLED")]), &named(&["a", "b"])).await);
        assert!(found.starts_with("rows of a never expire"), "{found}");
    }

    #[tokio::test]
    async fn tables_that_can_be_deleted_are_noted_only() {
        let table = |protected: bool| Reply::ok(json!({ "Table": { "DeletionProtectionEnabled": protected } }));
        assert_eq!(protection(&wire([table(true)]), &named(&["a"])).await.state, Health::Fine);
        let found = protection(&wire([table(false)]), &named(&["a"])).await;
        assert!(matches!(&found.state, Health::Noted(why) if why.contains("--table-name a ")), "{found:?}");
    }

    #[tokio::test]
    async fn a_check_that_aws_refuses_names_the_permission_that_it_lacks() {
        let denied = Reply::error(400, "AccessDeniedException", "not authorized");
        let found = recovery(&wire([denied]), &named(&["a"])).await;
        let Health::NotSeen(why) = &found.state else { panic!("{found:?}") };
        assert!(why.contains("dynamodb:DescribeContinuousBackups") && why.contains("AccessDenied"), "{why}");
    }

    #[test]
    fn a_key_that_is_about_to_go_says_when() {
        assert_eq!(wrong_with_key("arn", Some(&KeyState::Enabled), None), None);
        let soon = wrong_with_key("arn", Some(&KeyState::PendingDeletion), Some(1_769_846_400)).unwrap();
        assert!(soon.contains("on 2026-01-31") && soon.contains("cancel-key-deletion --key-id arn"), "{soon}");
        let disabled = wrong_with_key("arn", Some(&KeyState::Disabled), None).unwrap();
        assert!(disabled.contains("enable-key --key-id arn"), "{disabled}");
        assert!(wrong_with_key("arn", Some(&KeyState::PendingImport), None).unwrap().contains("PendingImport"));
    }
}
