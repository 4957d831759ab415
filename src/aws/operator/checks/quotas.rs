//! The account's quotas in Lambda, compared with what the stack may need.

use aws_config::SdkConfig;
use aws_sdk_lambda::types::{AccountLimit, AccountUsage};

use super::Finding;
use crate::{Stack, fault::Fault};

const WHAT: &str = "the account's concurrency in Lambda";

/// How much of the account's storage for code may be in use. Each Function keeps up to three versions of its zip there.
const MOST_CODE_PERCENT: i64 = 80;

/// What may run at once in this stack.
#[derive(Clone, Copy, Debug)]
struct Needs {
    tasks: u64,
    direct: u64,
    dispatchers: u64,
}

impl Needs {
    /// A direct execution keeps an api handler busy while its Function runs. One more for the ticker, and one for any other
    /// request.
    fn total(self) -> u64 {
        self.tasks + 2 * self.direct + self.dispatchers + 2
    }
}

pub(super) async fn look(sdk: &SdkConfig, stack: &Stack, dispatchers: Option<u64>, findings: &mut Vec<Finding>) {
    let lambda = aws_sdk_lambda::Client::new(sdk);
    let settings = match lambda.get_account_settings().send().await.map_err(Fault::from) {
        Ok(settings) => settings,
        Err(fault) => return findings.push(Finding::not_seen(WHAT, "lambda:GetAccountSettings", &fault)),
    };
    let needs = Needs {
        tasks: stack.settings.task_concurrency.into(),
        direct: stack.settings.direct_concurrency.into(),
        dispatchers: dispatchers.unwrap_or(1),
    };
    let Some(limit) = settings.account_limit() else { return };
    findings.push(Finding::of(WHAT, too_little_for(needs, limit)));
    if let Some(usage) = settings.account_usage() {
        findings.push(Finding::of("the account's storage for code in Lambda", too_much_code(usage, limit)));
    }
}

fn too_little_for(needs: Needs, limit: &AccountLimit) -> Option<String> {
    let free = limit.unreserved_concurrent_executions().unwrap_or_else(|| limit.concurrent_executions());
    let free = u64::try_from(free).unwrap_or(0);
    let Needs { tasks, direct, dispatchers } = needs;
    (needs.total() > free).then(|| {
        format!(
            "{free} executions may run at once without a reservation, and this stack may need {}: {tasks} Tasks, {direct} \
             direct executions with a request each, {dispatchers} dispatchers, the ticker and other requests. Lambda \
             throttles what is too many. Raise the quota: aws service-quotas request-service-quota-increase --service-code \
             lambda --quota-code L-B99A9384 --desired-value 1000; or lower TaskConcurrency and DirectConcurrency",
            needs.total()
        )
    })
}

fn too_much_code(usage: &AccountUsage, limit: &AccountLimit) -> Option<String> {
    const MB: i64 = 1024 * 1024;
    let (used, most) = (usage.total_code_size(), limit.total_code_size());
    (most > 0 && used >= most / 100 * MOST_CODE_PERCENT).then(|| {
        format!(
            "{} of {} MB are in use, and without room no Function can be synced. Delete Functions and old versions that \
             nobody needs, of other applications, too; or raise the quota in Service Quotas",
            used / MB,
            most / MB
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(concurrent: i32, unreserved: Option<i32>) -> AccountLimit {
        let limit = AccountLimit::builder().concurrent_executions(concurrent).total_code_size(100 * 1024 * 1024);
        limit.set_unreserved_concurrent_executions(unreserved).build()
    }

    #[test]
    fn a_new_accounts_quota_is_too_small_for_the_defaults() {
        let defaults = Needs { tasks: 5, direct: 5, dispatchers: 3 };
        assert_eq!(too_little_for(defaults, &limit(1000, None)), None);
        assert_eq!(too_little_for(defaults, &limit(20, Some(20))), None);
        let why = too_little_for(defaults, &limit(10, Some(10))).unwrap();
        assert!(why.contains("10 executions may run") && why.contains("may need 20"), "{why}");
        // What other applications have reserved is not free.
        assert!(too_little_for(defaults, &limit(1000, Some(19))).is_some());
    }

    #[test]
    fn storage_that_is_almost_full_is_found() {
        let used = |megabytes: i64| AccountUsage::builder().total_code_size(megabytes * 1024 * 1024).build();
        assert_eq!(too_much_code(&used(79), &limit(1, None)), None);
        assert!(too_much_code(&used(81), &limit(1, None)).unwrap().contains("81 of 100 MB"));
    }
}
