//! The alarms in `template.yaml`: what they watch exists, each has its page, and none rings while nothing is wrong.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};
use tasklane::{
    aws::metrics::{MetricName, NAMESPACE},
    dispatch::TICK_BUDGET,
};

use super::{resources, root, template, text_of};

/// The pages, one for each alarm, and this one that lists them.
const PAGES: &str = "docs/runbooks";
const LIST: &str = "README";

/// One metric that an alarm looks at.
pub struct Watched {
    pub namespace: String,
    pub name: String,
    /// The dimensions, by name.
    pub dimensions: Vec<(String, Value)>,
}

/// The alarms of the template: the name without the prefix, and the properties.
fn alarms(template: &Value) -> Vec<(String, Value)> {
    let alarms = resources(template, "AWS::CloudWatch::Alarm").into_iter();
    alarms
        .map(|(logical, alarm)| {
            let name = alarm["Properties"]["AlarmName"]["Fn::Sub"].as_str().unwrap_or_default();
            let name = name.strip_prefix("${Prefix}-").unwrap_or_else(|| panic!("{logical} is named {name}"));
            (name.to_owned(), alarm["Properties"].clone())
        })
        .collect()
}

/// What an alarm looks at: one metric, or those of its expression.
pub fn watched_by(alarm: &Value) -> Vec<Watched> {
    let of = |metric: &Value| {
        let text = |name: &str| metric[name].as_str().unwrap_or_else(|| panic!("{metric} has no {name}")).to_owned();
        let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
        Watched {
            namespace: text("Namespace"),
            name: text("MetricName"),
            dimensions: dimensions.map(|it| (it["Name"].as_str().unwrap().to_owned(), it["Value"].clone())).collect(),
        }
    };
    match alarm["Metrics"].as_array() {
        None => vec![of(alarm)],
        Some(metrics) => {
            metrics.iter().filter(|it| it["Expression"].is_null()).map(|it| of(&it["MetricStat"]["Metric"])).collect()
        }
    }
}

/// The text of all files of a folder that are not tests.
fn sources_below(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            sources_below(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "names.rs" {
            let text = fs::read_to_string(&path).unwrap();
            found.push_str(text.split("#[cfg(test)]").next().unwrap());
        }
    }
}

/// The metrics that the code reports, by the places where it does.
fn reported() -> BTreeSet<&'static str> {
    let mut code = String::new();
    sources_below(&root().join("src/aws"), &mut code);
    let is_used = |name: &MetricName| {
        let used = format!("MetricName::{name:?}");
        code.match_indices(&used).any(|(at, _)| !code[at + used.len()..].starts_with(char::is_alphanumeric))
    };
    MetricName::ALL.into_iter().filter(is_used).map(MetricName::as_str).collect()
}

#[test]
fn every_name_of_a_metric_is_reported_by_some_code() {
    let all: BTreeSet<_> = MetricName::ALL.into_iter().map(MetricName::as_str).collect();
    assert_eq!(reported(), all, "MetricName has a name that nothing in src/aws reports");
}

#[test]
fn an_alarm_on_a_metric_of_ours_finds_what_the_code_reports() {
    let reported = reported();
    let ours = [("Prefix".to_owned(), json!({ "Ref": "Prefix" }))];
    let mut found = 0;
    for (alarm, properties) in alarms(&template()) {
        for watched in watched_by(&properties) {
            if watched.namespace.starts_with("AWS/") {
                continue;
            }
            found += 1;
            assert_eq!(watched.namespace, NAMESPACE, "{alarm}");
            assert!(reported.contains(&*watched.name), "{alarm} watches {}, which nobody reports", watched.name);
            assert_eq!(watched.dimensions, ours, "{alarm} watches other dimensions than those that are reported");
        }
    }
    assert!(found > 0);
}

#[test]
fn the_dashboard_shows_only_metrics_that_are_reported() {
    let template = template();
    let body = template["Resources"]["StackDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"].as_str().unwrap();
    // The names that the substitutions leave as they are.
    let body: Value = serde_json::from_str(body).unwrap();
    let (reported, mut shown) = (reported(), 0);
    for widget in body["widgets"].as_array().unwrap() {
        let (mut namespace, mut name) = (String::new(), String::new());
        for metric in widget["properties"]["metrics"].as_array().unwrap() {
            let part = |at: usize| metric[at].as_str().unwrap_or_default().to_owned();
            // A dot repeats the value of the metric before, and "..." all of them.
            if part(0) == "..." {
                continue;
            }
            namespace = if part(0) == "." { namespace } else { part(0) };
            name = if part(1) == "." { name } else { part(1) };
            if namespace == NAMESPACE {
                assert!(reported.contains(&*name), "the dashboard shows {name}, which nobody reports");
                shown += 1;
            }
        }
    }
    assert!(shown > 0);
}

/// Metrics are missing while nothing happens, so only the one that always comes says something by being missing.
#[test]
fn missing_data_rings_only_where_each_tick_reports() {
    for (alarm, properties) in alarms(&template()) {
        let always = watched_by(&properties).iter().any(|it| it.name == MetricName::OldestDueTask.as_str());
        let expected = if always { "breaching" } else { "notBreaching" };
        assert_eq!(properties["TreatMissingData"], expected, "{alarm}");
    }
}

#[test]
fn every_alarm_is_of_a_tier_and_tells_the_topic() {
    let template = template();
    for (logical, alarm) in resources(&template, "AWS::CloudWatch::Alarm") {
        let tier = alarm["Condition"].as_str().unwrap_or_default();
        assert!(["HasAlarms", "HasAllAlarms"].contains(&tier), "{logical}: {tier}");
        let told = json!([{ "Fn::If": ["HasAlarmTopic", { "Ref": "AlarmTopicArn" }, { "Ref": "AWS::NoValue" }] }]);
        assert_eq!(alarm["Properties"]["AlarmActions"], told, "{logical}");
    }
}

#[test]
fn each_alarm_has_a_page_that_its_description_names_and_each_page_an_alarm() {
    let mut expected = BTreeSet::from([LIST.to_owned()]);
    let list = text_of(&format!("{PAGES}/{LIST}.md"));
    for (alarm, properties) in alarms(&template()) {
        let described = properties["AlarmDescription"].as_str().unwrap();
        assert!(described.ends_with(&format!(" Runbook: {PAGES}/{alarm}.md")), "{alarm}: {described}");
        // CloudWatch refuses longer ones.
        assert!(described.len() <= 1024, "{alarm}");
        assert!(list.contains(&format!("({alarm}.md)")), "{PAGES}/{LIST}.md does not link to {alarm}");
        expected.insert(alarm);
    }
    let pages = fs::read_dir(root().join(PAGES)).unwrap();
    let names = pages.map(|page| page.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), expected);
}

/// Somebody reads them at night, so they look alike.
#[test]
fn each_page_says_what_to_do() {
    let sections = ["What users notice", "What to look at", "What to do", "When it is over"];
    for (alarm, _) in alarms(&template()) {
        let page = text_of(&format!("{PAGES}/{alarm}.md"));
        assert!(page.starts_with(&format!("# {alarm}\n")), "{alarm}");
        let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, sections, "{alarm}");
    }
}

#[test]
fn a_slow_tick_is_one_that_needs_more_than_its_budget_and_is_not_killed_yet() {
    let template = template();
    let alarm = &template["Resources"]["TickerSlowAlarm"]["Properties"];
    let slow = u128::from(alarm["Threshold"].as_u64().unwrap());
    let killed = u128::from(template["Resources"]["TickerFunction"]["Properties"]["Timeout"].as_u64().unwrap()) * 1000;
    assert!(TICK_BUDGET.as_millis() < slow && slow < killed, "{slow} ms");
}
