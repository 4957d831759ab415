//! The idle bill in docs/cost.md matches the template.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{resources, template, text_of};

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
        BTreeMap::from([("AWS::CloudWatch::Alarm", 6), ("AWS::KMS::Key", 1)]),
        "the template has other resources that cost money, or another number of them: update docs/cost.md"
    );
    let bill = bill();
    let line = |name: &str| bill.iter().find(|(line, _, _)| line.starts_with(name)).unwrap();
    assert_eq!(line("alarms").1, "6 × $0.10");
    assert_eq!(line("key").1, "1 × $1.00");
    let cents: f64 = bill.iter().filter(|(line, ..)| !line.starts_with("**")).map(|(.., price)| price * 100.0).sum();
    assert_eq!(cents.round(), (line("**total**").2 * 100.0).round(), "the lines do not add up");
    assert!(cents <= 300.0, "{cents}");
}

#[test]
fn every_alarm_has_the_price_of_a_plain_one() {
    for (name, alarm) in resources(&template(), "AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        // An alarm with a shorter period, or with an expression over several metrics, costs more.
        assert!(properties["Period"].as_u64().unwrap() >= 60, "{name}");
        assert_eq!(properties["Metrics"], Value::Null, "{name}");
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
    let text = text_of("docs/cost.md");
    let section = text.split("\n## ").find(|section| section.starts_with("A stack that does nothing")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        (cells[0].to_owned(), cells[1].to_owned(), cells[2].trim_matches('*').parse().unwrap())
    })
    .collect()
}
