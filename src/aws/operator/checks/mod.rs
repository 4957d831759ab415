//! Checks of a deployed stack, each with what to do if it fails.
//!
//! What the service cannot do without, it must be possible to look at: if AWS refuses, the examination fails. The other checks
//! (quotas, backups, the key, logs, the bus) say that they could not look, and which permission they lack.

mod certificate;
mod data;
mod gateway;
mod quotas;
mod runtimes;
mod upkeep;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::types::{FunctionConfiguration, State};
use aws_sdk_sqs::types::QueueAttributeName;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{Function, RoleArn};

pub use data::EXPIRING_TABLES;

use super::{OperatorError, refused};
use crate::{LIVE_ALIAS, Stack, fault::Fault};

/// The ticker runs each minute. After this long without a run, it is not running.
const TICKER_OVERDUE: Duration = Duration::from_secs(5 * 60);

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub what: String,
    /// How it is.
    pub state: Health,
}

/// How something that was checked is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Fine,
    /// Not wrong, but somebody should know this.
    Noted(String),
    /// It could not be looked at, for this reason.
    NotSeen(String),
    /// Wrong, with what to do about it.
    Wrong(String),
}

impl Finding {
    fn of(what: impl Into<String>, wrong: Option<String>) -> Self {
        Self { what: what.into(), state: wrong.map_or(Health::Fine, Health::Wrong) }
    }

    fn noted(what: impl Into<String>, note: Option<String>) -> Self {
        Self { what: what.into(), state: note.map_or(Health::Fine, Health::Noted) }
    }

    /// AWS did not carry out the call that needs this permission.
    fn not_seen(what: impl Into<String>, permission: &str, fault: &Fault) -> Self {
        Self { what: what.into(), state: Health::NotSeen(format!("not checked, because {permission} failed: {fault}")) }
    }
}

/// Runs all checks. It fails only when AWS does not allow it to look at what the service cannot do without.
pub async fn examine(sdk: &SdkConfig, stack: &Stack) -> Result<Vec<Finding>, OperatorError> {
    let mut findings = Vec::new();
    handlers(sdk, stack, &mut findings).await?;
    let dispatchers = wakeups(sdk, stack, &mut findings).await?;
    quotas::look(sdk, stack, dispatchers, &mut findings).await;
    data::tables(sdk, stack, &mut findings).await?;
    data::backups(sdk, stack, &mut findings).await;
    data::key(sdk, stack, &mut findings).await;
    queues(sdk, stack, &mut findings).await?;
    upkeep::bus(sdk, stack, &mut findings).await;
    upkeep::logs(sdk, stack, &mut findings).await;
    ticker(sdk, stack, &mut findings).await?;
    functions(sdk, stack, &mut findings).await?;
    findings.extend(gateway::look(stack).await);
    Ok(findings)
}

async fn handlers(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) -> Result<(), OperatorError> {
    let lambda = aws_sdk_lambda::Client::new(sdk);
    for part in ["api", "dispatcher", "ticker"] {
        let name = format!("handler-{}-{part}", stack.settings.prefix);
        let found = lambda.get_function_configuration().function_name(&name).send().await.map_err(Fault::from);
        let wrong = match found {
            Ok(handler) if handler.state().is_none_or(|state| *state != State::Failed) => None,
            Ok(handler) => Some(format!(
                "Lambda cannot run it: {}. Deploy the stack again",
                handler.state_reason().unwrap_or("no reason given")
            )),
            Err(fault) if fault.is("ResourceNotFoundException") => {
                Some("it is gone. Deploy the stack again".to_owned())
            }
            Err(fault) => return Err(refused("read the configuration of a handler", &fault)),
        };
        findings.push(Finding::of(format!("handler {name}"), wrong));
    }
    Ok(())
}

/// The way from the wake-up queue to dispatchers. Returns how many of them may run at once, if that is known.
async fn wakeups(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) -> Result<Option<u64>, OperatorError> {
    let lambda = aws_sdk_lambda::Client::new(sdk);
    let dispatcher = format!("handler-{}-dispatcher", stack.settings.prefix);
    let mappings = lambda.list_event_source_mappings().function_name(&dispatcher).send().await;
    let mappings = mappings.map_err(|error| refused("list event source mappings", &Fault::from(error)))?;
    let mapping = mappings.event_source_mappings().first();
    findings.push(Finding::of(
        "from the wake-up queue to the dispatcher",
        wrong_with_mapping(mapping.and_then(|mapping| mapping.state())),
    ));
    let most = mapping.and_then(|mapping| mapping.scaling_config()).and_then(|scaling| scaling.maximum_concurrency());
    Ok(most.and_then(|most| u64::try_from(most).ok()))
}

fn wrong_with_mapping(state: Option<&str>) -> Option<String> {
    match state {
        Some("Enabled") => None,
        Some(state @ ("Enabling" | "Creating" | "Updating")) => {
            Some(format!("it is {state}, and no wake-up arrives until it is Enabled. Look again in a minute"))
        }
        Some(state) => Some(format!("it is {state}, so no wake-up arrives. Enable it, or deploy the stack again")),
        None => Some("it is missing, so no wake-up arrives. Deploy the stack again".to_owned()),
    }
}

async fn queues(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) -> Result<(), OperatorError> {
    let sqs = aws_sdk_sqs::Client::new(sdk);
    let url = stack.settings.wakeup_queue_url.clone();
    for (what, url, dead) in
        [("the wake-up queue", url.clone(), false), ("its dead letters", format!("{url}-dead"), true)]
    {
        let wrong = match waiting(&sqs, url).await {
            Err(fault) if fault.code.contains("NonExistentQueue") || fault.is("QueueDoesNotExist") => {
                Some("it is gone. Deploy the stack again".to_owned())
            }
            Err(fault) => return Err(refused("read a queue", &fault)),
            Ok(count) if dead && count > 0 => Some(format!(
                "{count} wake-ups could not be handled. Check the dispatcher's log, then purge the queue: the ticker has \
                 made up for them"
            )),
            Ok(_) => None,
        };
        findings.push(Finding::of(what, wrong));
    }
    Ok(())
}

/// How many messages wait in a queue, roughly.
async fn waiting(sqs: &aws_sdk_sqs::Client, url: String) -> Result<u64, Fault> {
    let request = sqs.get_queue_attributes().queue_url(url);
    let answer = request.attribute_names(QueueAttributeName::ApproximateNumberOfMessages).send().await?;
    let count = answer.attributes().and_then(|all| all.get(&QueueAttributeName::ApproximateNumberOfMessages));
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
}

async fn ticker(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) -> Result<(), OperatorError> {
    let logs = aws_sdk_cloudwatchlogs::Client::new(sdk);
    let group = format!("/aws/lambda/handler-{}-ticker", stack.settings.prefix);
    let since = stack.ports.clock.now().saturating_sub(TICKER_OVERDUE).as_millis();
    let lines = logs.filter_log_events().log_group_name(&group).start_time(since).limit(1).send().await;
    let wrong = match lines.map_err(Fault::from) {
        Ok(found) if !found.events().is_empty() || found.next_token().is_some() => None,
        Ok(_) => Some(format!(
            "it has logged nothing for five minutes, so no Task becomes due. Enable the schedule {}-ticker in EventBridge \
             Scheduler. A stack that has just been deployed needs a minute",
            stack.settings.prefix
        )),
        Err(fault) if fault.is("ResourceNotFoundException") => {
            Some("its log group is gone. Deploy the stack again".to_owned())
        }
        Err(fault) => return Err(refused("read the ticker's log", &fault)),
    };
    findings.push(Finding::of("the ticker", wrong));
    Ok(())
}

/// How many Functions are looked at at once. Lambda answers 100 calls of GetFunction a second, and only 15 of most others.
const FUNCTIONS_AT_ONCE: usize = 8;

async fn functions(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) -> Result<(), OperatorError> {
    let lambda = aws_sdk_lambda::Client::new(sdk);
    let functions = stack.store.functions.list().await?;
    let looks: Vec<_> = functions.iter().map(|function| look_at(&lambda, stack, function)).collect();
    findings.extend(stream::iter(looks).buffered(FUNCTIONS_AT_ONCE).try_collect::<Vec<_>>().await?);
    Ok(())
}

async fn look_at(
    lambda: &aws_sdk_lambda::Client,
    stack: &Stack,
    function: &Function,
) -> Result<Finding, OperatorError> {
    let name = function.name.in_lambda(&stack.settings.prefix);
    let alias = qualified(lambda, &name, LIVE_ALIAS).await?;
    let alias = alias.and_then(|alias| alias.version);
    let version = qualified(lambda, &name, &function.deployment.version).await?;
    let role = version.map(|version| version.role.unwrap_or_default());
    let own_role = function.configuration.aws.as_ref().and_then(|aws| aws.role.as_ref());
    let wanted_role = own_role.map_or(stack.settings.execution_role.as_str(), RoleArn::as_str);
    let wrong = wrong_with(function, alias.as_deref(), role.as_deref(), wanted_role);
    let what = format!("Function {}", function.name);
    // An image brings its own runtime.
    Ok(match (wrong, function.configuration.runtime()) {
        (None, Some(runtime)) => runtimes::finding(what, runtime.as_str(), stack.ports.clock.now()),
        (wrong, _) => Finding::of(what, wrong),
    })
}

/// The configuration of the version that this qualifier names.
async fn qualified(
    lambda: &aws_sdk_lambda::Client,
    name: &str,
    qualifier: &str,
) -> Result<Option<FunctionConfiguration>, OperatorError> {
    match lambda.get_function().function_name(name).qualifier(qualifier).send().await.map_err(Fault::from) {
        Ok(found) => Ok(found.configuration),
        Err(fault) if fault.is("ResourceNotFoundException") => Ok(None),
        Err(fault) => Err(refused("read a version of a Lambda function", &fault)),
    }
}

fn wrong_with(function: &Function, alias: Option<&str>, role: Option<&str>, wanted_role: &str) -> Option<String> {
    let version = &function.deployment.version;
    match role {
        None => Some(format!("Lambda has no version {version} of it, so it cannot run. Sync it with --force")),
        Some(role) if role != wanted_role => {
            Some(format!("it runs as {role}, and should run as {wanted_role}. Sync it with --force"))
        }
        Some(_) if alias != Some(version) => Some(format!(
            "the alias {LIVE_ALIAS} points at {}, and calls run version {version}. Sync it with --force",
            alias.unwrap_or("nothing")
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_arrive_only_through_a_mapping_that_is_enabled() {
        assert_eq!(wrong_with_mapping(Some("Enabled")), None);
        for state in [Some("Enabling"), Some("Creating"), Some("Disabled"), None] {
            let wrong = wrong_with_mapping(state).unwrap();
            assert!(wrong.contains(state.unwrap_or("missing")), "{wrong}");
        }
    }
}
