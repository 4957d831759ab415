//! Checks of a deployed stack, each with what to do if it fails.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{IndexStatus, TableStatus};
use aws_sdk_lambda::types::State;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use tasklane_model::{Function, Timestamp};
use tasklane_ports::Clock;

use super::{OperatorError, refused};
use crate::{
    LIVE_ALIAS, Stack,
    fault::{Fault, unconnected},
    http_client,
};

/// OAuth 1.0a allows five minutes, but a clock that is off by this much is not synchronised.
const MOST_SKEW: Duration = Duration::from_secs(30);

/// The ticker runs each minute. After this long without a run, it is not running.
const TICKER_OVERDUE: Duration = Duration::from_secs(5 * 60);

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub what: String,
    /// What is wrong and how to fix it; `None` if the check passed.
    pub wrong: Option<String>,
}

impl Finding {
    fn of(what: impl Into<String>, wrong: Option<String>) -> Self {
        Self { what: what.into(), wrong }
    }
}

/// Runs all checks. It fails only when AWS does not allow a check to look.
pub async fn examine(sdk: &SdkConfig, stack: &Stack) -> Result<Vec<Finding>, OperatorError> {
    let mut findings = Vec::new();
    handlers(sdk, stack, &mut findings).await?;
    tables(sdk, stack, &mut findings).await?;
    queues(sdk, stack, &mut findings).await?;
    ticker(sdk, stack, &mut findings).await?;
    functions(sdk, stack, &mut findings).await?;
    findings.extend(gateway_and_clock(stack.settings.url(), &*stack.ports.clock).await);
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
    let dispatcher = format!("handler-{}-dispatcher", stack.settings.prefix);
    let mappings = lambda.list_event_source_mappings().function_name(&dispatcher).send().await;
    let mappings = mappings.map_err(|error| refused("list event source mappings", &Fault::from(error)))?;
    let state = mappings.event_source_mappings().first().and_then(|mapping| mapping.state().map(str::to_owned));
    let wrong = match state.as_deref() {
        Some("Enabled" | "Enabling" | "Creating" | "Updating") => None,
        Some(state) => Some(format!("it is {state}, so no wake-up arrives. Enable it, or deploy the stack again")),
        None => Some("it is missing, so no wake-up arrives. Deploy the stack again".to_owned()),
    };
    findings.push(Finding::of("from the wake-up queue to the dispatcher", wrong));
    Ok(())
}

async fn tables(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) -> Result<(), OperatorError> {
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

async fn functions(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) -> Result<(), OperatorError> {
    let lambda = aws_sdk_lambda::Client::new(sdk);
    for function in stack.store.functions.list().await? {
        let name = function.name.in_lambda(&stack.settings.prefix);
        let alias = lambda.get_alias().function_name(&name).name(LIVE_ALIAS).send().await.map_err(Fault::from);
        let alias = match alias {
            Ok(alias) => alias.function_version().map(str::to_owned),
            Err(fault) if fault.is("ResourceNotFoundException") => None,
            Err(fault) => return Err(refused("read an alias", &fault)),
        };
        let version = lambda.get_function_configuration().function_name(&name).qualifier(&function.deployment.version);
        let role = match version.send().await.map_err(Fault::from) {
            Ok(version) => Some(version.role().unwrap_or_default().to_owned()),
            Err(fault) if fault.is("ResourceNotFoundException") => None,
            Err(fault) => return Err(refused("read a Lambda version", &fault)),
        };
        let wrong = wrong_with(&function, alias.as_deref(), role.as_deref(), &stack.settings.execution_role);
        findings.push(Finding::of(format!("Function {}", function.name), wrong));
    }
    Ok(())
}

fn wrong_with(function: &Function, alias: Option<&str>, role: Option<&str>, execution_role: &str) -> Option<String> {
    let version = &function.deployment.version;
    match role {
        None => Some(format!("Lambda has no version {version} of it, so it cannot run. Sync it with --force")),
        Some(role) if role != execution_role => {
            Some(format!("it runs as {role}, and the stack's role is {execution_role}. Sync it with --force"))
        }
        Some(_) if alias != Some(version) => Some(format!(
            "the alias {LIVE_ALIAS} points at {}, and calls run version {version}. Sync it with --force",
            alias.unwrap_or("nothing")
        )),
        Some(_) => None,
    }
}

/// The gateway answers everybody at `/tasks/v1/openapi.json`, and its response contains its time.
async fn gateway_and_clock(url: Option<String>, clock: &dyn Clock) -> Vec<Finding> {
    let Some(url) = url else {
        return vec![Finding::of("the gateway", Some("its URL is not known. Deploy the stack again".to_owned()))];
    };
    let asked = match HttpRequest::get(format!("{url}/tasks/v1/openapi.json")) {
        Ok(request) => http_client::downloads().call(request).await.map_err(|error| unconnected(&error)),
        Err(error) => Err(error.to_string()),
    };
    match asked {
        Err(why) => vec![Finding::of(
            format!("the gateway {url}"),
            Some(format!("it cannot be reached: {why}. Check the domain's DNS record and certificate")),
        )],
        Ok(answer) => {
            let status = answer.status().as_u16();
            let wrong = (status != 200).then(|| format!("it answers with {status}. Check the api handler's log"));
            let there = answer.headers().get("date").and_then(http_date);
            let here = clock.now();
            let skew = there.map_or(Duration::ZERO, |there| here.since(there).max(there.since(here)));
            let off = (skew > MOST_SKEW).then(|| {
                format!(
                    "it is off by {} s, so OAuth 1.0a refuses requests that are signed here (110). Set the correct time",
                    skew.as_secs()
                )
            });
            vec![Finding::of(format!("the gateway {url}"), wrong), Finding::of("this machine's clock", off)]
        }
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::saturating_from_millis(time.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use tasklane_ports::SystemClock;

    use super::*;

    #[tokio::test]
    async fn a_gateway_that_cannot_be_reached_is_a_finding_with_the_reason() {
        let found = gateway_and_clock(Some("http://127.0.0.1:1".to_owned()), &SystemClock).await;
        let why =
            "it cannot be reached: Connection refused (os error 111). Check the domain's DNS record and certificate";
        assert_eq!(found, [Finding::of("the gateway http://127.0.0.1:1", Some(why.to_owned()))]);
    }

    #[test]
    fn the_date_of_a_response_is_read() {
        let read = http_date("Sat, 31 Jan 2026 08:15:30 GMT");
        assert_eq!(read, Some("2026-01-31T08:15:30Z".parse().unwrap()));
    }
}
