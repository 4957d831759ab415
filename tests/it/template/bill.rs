//! The idle bill in docs/cost.md matches the template.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{alarms::watched_by, resources, template, text_of};

/// Resources that are free while nothing is stored in them and nobody uses them.
const FREE_AT_REST: [&str; 18] = [
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::DynamoDB::Table",
    "AWS::Events::EventBus",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Role",
    "AWS::KMS::Alias",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    // Free in a hosted zone that exists already, which has its own price.
    "AWS::Route53::RecordSet",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    // Its ticker and its pollers are separate lines of the bill.
    "AWS::Serverless::Function",
    // The first three of each account are free.
    "AWS::CloudWatch::Dashboard",
];

#[test]
fn the_idle_bill_lists_every_cost_and_stays_below_three_dollars() {
    let template = template();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for resource in template["Resources"].as_object().unwrap().values() {
        *counts.entry(resource["Type"].as_str().unwrap()).or_default() += 1;
    }
    counts.retain(|kind, _| !FREE_AT_REST.contains(kind));
    assert_eq!(
        counts,
        BTreeMap::from([("AWS::CloudWatch::Alarm", 18), ("AWS::KMS::Key", 1)]),
        "the template has other resources that cost money, or another number of them: update docs/cost.md"
    );
    let bill = bill();
    let line = |name: &str| bill.iter().find(|(line, _, _)| line.starts_with(name)).unwrap();
    let (alarms, cents_of_alarms) = alarms_of(&template, "basic");
    assert_eq!(template["Parameters"]["Alarms"]["Default"], "basic");
    assert_eq!(line("alarms").1, format!("{alarms} × $0.10"));
    assert_eq!(line("alarms").2, f64::from(cents_of_alarms) / 100.0);
    assert_eq!(line("key").1, "1 × $1.00");
    let cents: f64 = bill.iter().filter(|(line, ..)| !line.starts_with("**")).map(|(.., price)| price * 100.0).sum();
    assert_eq!(cents.round(), (line("**total**").2 * 100.0).round(), "the lines do not add up");
    assert!(cents <= 300.0, "{cents}");
}

/// The number of alarms with this value of the parameter `Alarms`, and their price a month in cents. An alarm on an expression
/// costs as much as one for each of its metrics.
fn alarms_of(template: &Value, tier: &str) -> (usize, u32) {
    let alarms = resources(template, "AWS::CloudWatch::Alarm");
    let created: Vec<_> = alarms
        .values()
        .filter(|alarm| match alarm["Condition"].as_str().unwrap() {
            "HasAlarms" => tier != "none",
            "HasAllAlarms" => tier == "all",
            other => panic!("no tier has the condition {other}"),
        })
        .collect();
    let metrics: usize = created.iter().map(|alarm| watched_by(&alarm["Properties"]).len()).sum();
    (created.len(), 10 * u32::try_from(metrics).unwrap())
}

#[test]
fn each_tier_of_alarms_costs_what_the_document_says() {
    let template = template();
    let conditions = &template["Conditions"];
    assert_eq!(conditions["HasAlarms"], json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "Alarms" }, "none"] }] }));
    assert_eq!(conditions["HasAllAlarms"], json!({ "Fn::Equals": [{ "Ref": "Alarms" }, "all"] }));
    let bill = bill();
    let of_lines = |name: &str| bill.iter().find(|(line, ..)| line.starts_with(name)).unwrap().2;
    let others = of_lines("**total**") - of_lines("alarms");
    let rows = rows_of("Alarms");
    for (tier, most) in [("none", 2.0), ("basic", 3.0), ("all", 5.0)] {
        let (alarms, cents) = alarms_of(&template, tier);
        let price = f64::from(cents) / 100.0;
        let expected =
            [format!("`{tier}`"), alarms.to_string(), format!("{price:.2}"), format!("{:.2}", others + price)];
        let row = rows.iter().find(|row| row[0] == expected[0]).unwrap_or_else(|| panic!("no row for {tier}"));
        assert_eq!(row[..], expected, "docs/cost.md, Alarms");
        assert!(others + price <= most, "{tier} costs {}", others + price);
    }
}

#[test]
fn every_alarm_has_the_resolution_of_a_plain_one() {
    for (name, alarm) in resources(&template(), "AWS::CloudWatch::Alarm") {
        // An alarm with a shorter period costs more.
        let of_metrics = alarm["Properties"]["Metrics"].as_array().into_iter().flatten();
        let periods = of_metrics.map(|metric| &metric["MetricStat"]["Period"]).chain([&alarm["Properties"]["Period"]]);
        let periods: Vec<_> = periods.filter_map(Value::as_u64).collect();
        assert!(!periods.is_empty() && periods.iter().all(|period| *period >= 60), "{name}: {periods:?}");
    }
}

#[test]
fn nothing_is_billed_by_the_hour() {
    let template = template();
    for (name, table) in resources(&template, "AWS::DynamoDB::Table") {
        assert_eq!(table["Properties"]["BillingMode"], "PAY_PER_REQUEST", "{name}");
    }
    for (name, function) in resources(&template, "AWS::Serverless::Function") {
        for by_the_hour in ["ProvisionedConcurrencyConfig", "VpcConfig", "SnapStart"] {
            assert_eq!(function["Properties"][by_the_hour], Value::Null, "{name}");
        }
    }
}

/// The lines of the idle bill: name, quantity and price.
fn bill() -> Vec<(String, String, f64)> {
    let rows = rows_of("A stack that does nothing").into_iter();
    rows.map(|row| (row[0].clone(), row[1].clone(), row[2].trim_matches('*').parse().unwrap())).collect()
}

/// The cells of the table in this section of docs/cost.md, without its heading.
fn rows_of(section: &str) -> Vec<Vec<String>> {
    let text = text_of("docs/cost.md");
    let section = text.split("\n## ").find(|text| text.starts_with(&format!("{section}\n"))).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}
