use serde_json::{Value, json};
use tasklane_model::ObjectId;

use super::*;
use crate::testing::{ReplayClient, Reply, SleeplessClock};

const FILTER: &str = "Logs_20140328.FilterLogEvents";
const GET: &str = "Logs_20140328.GetLogEvents";
const RUN: &str = "8f507cfc-xmpl-4697-b07a-ac58fc914c95";

/// An event this many milliseconds after the start of the run.
fn event(millis: i64, message: &str) -> Value {
    let began: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
    json!({ "timestamp": began.as_millis() + millis, "message": message, "logStreamName": "2026/01/31/[3]abc" })
}

async fn lines_of_run(replies: Vec<Reply>, request_id: Option<&str>, now: &str) -> (Vec<String>, ReplayClient) {
    lines_since(None, replies, request_id, now).await
}

async fn lines_since(
    since: Option<&str>,
    replies: Vec<Reply>,
    request_id: Option<&str>,
    now: &str,
) -> (Vec<String>, ReplayClient) {
    let wire = ReplayClient::replaying(replies);
    let logs = CloudWatchLogs::new(&wire.sdk_config(), "dev", SleeplessClock::at(now));
    let lines = logs
        .of_run(RunLogQuery {
            function: &FunctionName::parse("hello").unwrap(),
            correlation: ObjectId::first_at(Timestamp::EPOCH),
            request_id,
            from: "2026-01-31T08:00:00Z".parse().unwrap(),
            since: since.map(|since| since.parse().unwrap()),
            to: "2026-01-31T08:00:03Z".parse().unwrap(),
            page: LogPage { offset: 0, limit: 100 },
        })
        .await
        .unwrap();
    wire.assert_used_up();
    (lines.into_iter().map(|line| line.message).collect(), wire)
}

#[tokio::test]
async fn a_run_has_all_its_lines_even_those_without_its_id() {
    let start = format!("START RequestId: {RUN} Version: 3\n");
    let report = format!("REPORT RequestId: {RUN}\tDuration: 12.06 ms\n");
    let late = format!("2026-01-31T08:00:03Z {RUN} Task timed out after 3.00 seconds\n");
    let stream = json!({ "nextForwardToken": "f/1", "events": [
        event(1, "REPORT RequestId: another"),
        event(2, "2026 another run's late line"),
        event(3, "INIT_START Runtime Version: nodejs:22"),
        event(4, "printed while the module was loaded"),
        event(5, &start),
        event(6, "a print without an id\n"),
        event(7, &report),
        event(8, &late),
        event(9, "START RequestId: the-next-one"),
    ] });
    let (lines, wire) = lines_of_run(
        vec![
            // The search may return an empty page with a token.
            Reply::ok(json!({ "events": [], "nextToken": "t1" })),
            Reply::ok(json!({ "events": [event(5, &start), event(7, &report), event(8, &late)] })),
            Reply::ok(stream),
            Reply::ok(json!({ "nextForwardToken": "f/1", "events": [] })),
        ],
        Some(RUN),
        "2026-01-31T08:00:04Z",
    )
    .await;
    assert_eq!(
        lines,
        [
            "INIT_START Runtime Version: nodejs:22",
            "printed while the module was loaded",
            start.trim_end(),
            "a print without an id",
            report.trim_end(),
            late.trim_end(),
        ]
    );
    assert_eq!(wire.asked(), [FILTER, FILTER, GET, GET]);
    assert_eq!(wire.bodies(FILTER)[0]["filterPattern"], format!("\"{RUN}\""));
    assert_eq!(wire.bodies(FILTER)[1]["nextToken"], "t1");
    assert_eq!(wire.bodies(GET)[1]["nextToken"], "f/1");
}

#[tokio::test]
async fn a_run_whose_report_has_not_arrived_has_no_lines_yet() {
    let started = || Reply::ok(json!({ "events": [event(5, &format!("START RequestId: {RUN} Version: 3"))] }));
    let (lines, _) = lines_of_run(vec![started()], Some(RUN), "2026-01-31T08:00:04Z").await;
    assert_eq!(lines, Vec::<String>::new());

    // Long after the end, it will not arrive any more, so these are all lines.
    let stream = json!({ "events": [event(5, &format!("START RequestId: {RUN} Version: 3"))] });
    let (lines, _) = lines_of_run(vec![started(), Reply::ok(stream)], Some(RUN), "2026-01-31T08:10:00Z").await;
    assert_eq!(lines.len(), 1);
}

#[tokio::test]
async fn lines_since_the_middle_of_a_run_are_its_last_lines() {
    let start = format!("START RequestId: {RUN} Version: 3");
    let report = format!("REPORT RequestId: {RUN}\tDuration: 250000 ms");
    let events = json!([event(0, &start), event(100_000, "before"), event(200_000, "after"), event(250_000, &report)]);
    let marks = json!({ "events": [event(0, &start), event(250_000, &report)] });
    let replies = vec![Reply::ok(marks), Reply::ok(json!({ "events": events }))];
    let (lines, _) = lines_since(Some("2026-01-31T08:03:00Z"), replies, Some(RUN), "2026-01-31T09:00:00Z").await;
    assert_eq!(lines, ["after", report.as_str()]);
}

#[tokio::test]
async fn a_bound_right_after_the_start_of_a_run_drops_its_first_lines() {
    let start = format!("START RequestId: {RUN} Version: 3");
    let report = format!("REPORT RequestId: {RUN}\tDuration: 30 ms");
    let events = json!([event(0, &start), event(10, "before"), event(20, "after"), event(30, &report)]);
    let marks = json!({ "events": [event(0, &start), event(30, &report)] });
    let replies = vec![Reply::ok(marks), Reply::ok(json!({ "events": events }))];
    let (lines, _) = lines_since(Some("2026-01-31T08:00:00.020Z"), replies, Some(RUN), "2026-01-31T09:00:00Z").await;
    assert_eq!(lines, ["after", report.as_str()]);
}

#[tokio::test]
async fn a_run_that_is_not_known_to_have_ended_makes_no_call() {
    let (lines, _) = lines_of_run(vec![], None, "2026-01-31T08:00:04Z").await;
    assert_eq!(lines, Vec::<String>::new());
}

#[tokio::test]
async fn a_function_that_never_logged_has_no_lines() {
    let wire = ReplayClient::replaying([Reply::error(
        400,
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )]);
    let logs = CloudWatchLogs::new(&wire.sdk_config(), "dev", SleeplessClock::at("2026-01-31T08:00:00Z"));
    let name = FunctionName::parse("hello").unwrap();
    let page = LogPage { offset: 0, limit: 10 };
    assert_eq!(logs.of_function(&name, Timestamp::EPOCH, Timestamp::LATEST, page).await.unwrap(), []);
    assert_eq!(wire.bodies(FILTER)[0]["logGroupName"], "/aws/lambda/dev-hello");
}

#[tokio::test]
async fn a_page_of_lines_reads_no_further_than_necessary() {
    let wire = ReplayClient::replaying([Reply::ok(
        json!({ "nextToken": "more", "events": [event(1, "a"), event(2, "b"), event(3, "c")] }),
    )]);
    let logs = CloudWatchLogs::new(&wire.sdk_config(), "dev", SleeplessClock::at("2026-01-31T08:00:00Z"));
    let name = FunctionName::parse("hello").unwrap();
    let lines =
        logs.of_function(&name, Timestamp::EPOCH, Timestamp::LATEST, LogPage { offset: 1, limit: 2 }).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    wire.assert_used_up();
}
