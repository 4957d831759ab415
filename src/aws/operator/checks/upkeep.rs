//! What must not be forgotten over the months: the event bus and how long log lines are kept.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_eventbridge::types::RuleState;
use tasklane_model::Function;

use super::Finding;
use crate::{Stack, fault::Fault, lambda::log_group_of};

/// How many log groups a finding names.
const MOST_NAMED: usize = 5;

/// Whether the bus is there, and which rules on it are turned off.
pub(super) async fn bus(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) {
    let client = aws_sdk_eventbridge::Client::new(sdk);
    findings.extend(look_at_bus(&client, &stack.settings.event_bus).await);
}

async fn look_at_bus(client: &aws_sdk_eventbridge::Client, bus: &str) -> Vec<Finding> {
    const RULES: &str = "the rules of the event bus";
    let what = format!("the event bus {bus}");
    match client.describe_event_bus().name(bus).send().await.map_err(Fault::from) {
        Ok(_) => {}
        Err(fault) if fault.is("ResourceNotFoundException") => {
            let gone = "it is gone, so nobody hears of failed Tasks. Deploy the stack again; the ticker then sends what is \
                        missing";
            return vec![Finding::of(what, Some(gone.to_owned()))];
        }
        Err(fault) => return vec![Finding::not_seen(what, "events:DescribeEventBus", &fault)],
    }
    let fine = Finding::of(what, None);
    match client.list_rules().event_bus_name(bus).send().await.map_err(Fault::from) {
        Ok(rules) => {
            let disabled = rules.rules().iter().filter(|rule| rule.state() == Some(&RuleState::Disabled));
            let names: Vec<_> = disabled.filter_map(|rule| rule.name()).collect();
            let note = names.first().map(|first| {
                let all = names.join(", ");
                format!(
                    "{all}: disabled, so no events go there. Enable: aws events enable-rule --event-bus-name {bus} --name \
                     {first}"
                )
            });
            vec![fine, Finding::noted(RULES, note)]
        }
        Err(fault) => vec![fine, Finding::not_seen(RULES, "events:ListRules", &fault)],
    }
}

/// Whether log lines are kept as long as the stack's settings say.
pub(super) async fn logs(sdk: &SdkConfig, stack: &Stack, findings: &mut Vec<Finding>) {
    // Without a limit, any other one was set by somebody on purpose.
    let Some(days) = stack.settings.log_retention_days else { return };
    let client = aws_sdk_cloudwatchlogs::Client::new(sdk);
    let prefix = &stack.settings.prefix;
    // If they cannot be read, another check says so.
    let functions = stack.store.functions.list().await.unwrap_or_default();
    let own = |function: &Function| {
        let days = function.configuration.aws.as_ref()?.log_retention_days?.get();
        Some((log_group_of(&function.name.in_lambda(prefix)), days))
    };
    let periods = Periods { of_stack: days, of_functions: functions.iter().filter_map(own).collect() };
    let prefixes = [format!("/aws/lambda/{prefix}-"), format!("/aws/lambda/handler-{prefix}-")];
    findings.push(look_at_logs(&client, &prefixes, &periods).await);
}

/// How long log lines should be kept, in days.
struct Periods {
    of_stack: i32,
    /// Of the log groups of Functions that have a period of their own.
    of_functions: HashMap<String, i32>,
}

async fn look_at_logs(client: &aws_sdk_cloudwatchlogs::Client, prefixes: &[String], periods: &Periods) -> Finding {
    const WHAT: &str = "how long log lines are kept";
    let mut others = Vec::new();
    for prefix in prefixes {
        let mut groups = client.describe_log_groups().log_group_name_prefix(prefix).into_paginator().items().send();
        while let Some(group) = groups.next().await {
            let group = match group.map_err(Fault::from) {
                Ok(group) => group,
                Err(fault) => return Finding::not_seen(WHAT, "logs:DescribeLogGroups", &fault),
            };
            let name = group.log_group_name().unwrap_or_default();
            let days = periods.of_functions.get(name).copied().unwrap_or(periods.of_stack);
            if group.retention_in_days() != Some(days) {
                let kept = group.retention_in_days().map_or("for ever".to_owned(), |days| format!("{days} days"));
                others.push((name.to_owned(), kept, days));
            }
        }
    }
    let of_stack = periods.of_stack;
    let wrong = others.first().map(|(first, _, days)| {
        let mut named: Vec<_> =
            others.iter().take(MOST_NAMED).map(|(name, kept, _)| format!("{name} ({kept})")).collect();
        if others.len() > MOST_NAMED {
            named.push(format!("and {} more", others.len() - MOST_NAMED));
        }
        format!(
            "LogRetentionDays is {of_stack}, and these groups keep their lines longer or shorter: {}. Set it: aws logs \
             put-retention-policy --log-group-name {first} --retention-in-days {days}",
            named.join(", ")
        )
    });
    Finding::of(WHAT, wrong)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::Health, *};
    use crate::testing::{ReplayClient, Reply};

    #[tokio::test]
    async fn groups_that_keep_lines_for_another_time_are_named_with_a_command() {
        let page = |groups: serde_json::Value| Reply::ok(json!({ "logGroups": groups }));
        let look = async |groups| {
            let wire = ReplayClient::replaying([page(groups)]);
            let client = aws_sdk_cloudwatchlogs::Client::new(&wire.sdk_config());
            let own = HashMap::from([("/aws/lambda/p-own".to_owned(), 7)]);
            let periods = Periods { of_stack: 30, of_functions: own };
            look_at_logs(&client, &["/aws/lambda/p-".to_owned()], &periods).await.state
        };
        let right = json!({ "logGroupName": "/aws/lambda/p-a", "retentionInDays": 30 });
        let own = json!({ "logGroupName": "/aws/lambda/p-own", "retentionInDays": 7 });
        assert_eq!(look(json!([right, own])).await, Health::Fine);
        let forever = json!({ "logGroupName": "/aws/lambda/p-b" });
        let short = json!({ "logGroupName": "/aws/lambda/p-c", "retentionInDays": 7 });
        let Health::Wrong(why) = look(json!([right, forever, short])).await else { panic!("it is wrong") };
        assert!(why.contains("p-b (for ever), /aws/lambda/p-c (7 days)"), "{why}");
        assert!(why.contains("--log-group-name /aws/lambda/p-b --retention-in-days 30"), "{why}");
        let many: Vec<_> = (0..7).map(|n| json!({ "logGroupName": format!("/aws/lambda/p-{n}") })).collect();
        let Health::Wrong(why) = look(json!(many)).await else { panic!("it is wrong") };
        assert!(why.contains("and 2 more"), "{why}");
    }

    #[tokio::test]
    async fn a_bus_that_is_gone_is_wrong_and_a_disabled_rule_is_noted() {
        let look = async |replies: Vec<Reply>| {
            let wire = ReplayClient::replaying(replies);
            let client = aws_sdk_eventbridge::Client::new(&wire.sdk_config());
            look_at_bus(&client, "p").await.into_iter().map(|finding| finding.state).collect::<Vec<_>>()
        };
        let found = look(vec![Reply::error(400, "ResourceNotFoundException", "no bus")]).await;
        assert!(matches!(&found[..], [Health::Wrong(why)] if why.contains("Deploy the stack again")), "{found:?}");
        let bus = || Reply::ok(json!({ "Name": "p" }));
        let rules = |state: &str| Reply::ok(json!({ "Rules": [{ "Name": "mail", "State": state }] }));
        assert_eq!(look(vec![bus(), rules("ENABLED")]).await, [Health::Fine, Health::Fine]);
        let found = look(vec![bus(), rules("DISABLED")]).await;
        assert!(matches!(&found[..], [Health::Fine, Health::Noted(why)] if why.contains("mail")), "{found:?}");
        let denied = || Reply::error(400, "AccessDeniedException", "no");
        let found = look(vec![bus(), denied()]).await;
        assert!(matches!(&found[..], [_, Health::NotSeen(why)] if why.contains("events:ListRules")), "{found:?}");
    }
}
