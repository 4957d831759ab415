//! Bugs that somebody might write, planted where the product cannot tell: in what it sends to the database and gets
//! back, and in two ports. The product's code is the one that ships; what reaches the world is what the buggy one
//! would do.

use std::{fmt, str::FromStr, time::Duration};

use serde_json::{Value, json};

use crate::row::PREFIX;

macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// A bug to plant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { $($(#[doc = $doc])* $name,)* }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

bugs! {
    /// A Task is claimed whether or not it is still `new`.
    ClaimWithoutCondition = "claim-without-condition",
    /// An outcome is written whether or not the attempt still holds the Task.
    OutcomeWithoutCondition = "outcome-without-condition",
    /// A failed Task becomes `retried` in one write, and the next one is added in another.
    RetryOutsideItsTransaction = "retry-outside-its-transaction",
    /// A schedule moves on whether or not it stands where it was read.
    OccurrenceTwice = "occurrence-twice",
    /// The lease ends before the run has to.
    LeaseTooShort = "lease-too-short",
    /// An event counts as published before it is sent.
    EventMarkedBeforeItIsSent = "event-marked-before-it-is-sent",
    /// A failure does not wait for its event to be acknowledged.
    FailureNotMarkedForPublishing = "failure-not-marked-for-publishing",
    /// The lower priority goes first.
    PriorityInverted = "priority-inverted",
    /// Slots are counted, and then taken, without looking whether they still are as counted.
    SlotsTakenWithoutCondition = "slots-taken-without-condition",
    /// The slots of a process come back while its runs go on.
    SlotLeaseTooShort = "slot-lease-too-short",
    /// A Task is canceled whatever it is doing.
    CancelWithoutCondition = "cancel-without-condition",
    /// A retry forgets the first run of its chain.
    RetryOneTooMany = "retry-one-too-many",
    /// A retry starts later than it should.
    WrongDelay = "wrong-delay",
    /// Tasks are promoted before their time.
    PromotedBeforeItsTime = "promoted-before-its-time",
    /// Tasks are never promoted.
    NeverPromoted = "never-promoted",
    /// Dispatchers do not look at a Function's own limit.
    OwnLimitIgnored = "own-limit-ignored",
    /// Dispatchers do not look whether a Function is enabled.
    DisabledFunctionRuns = "disabled-function-runs",
    /// A Task whose runner died is run again.
    ZombieRequeued = "zombie-requeued",
    /// A schedule drifts.
    ScheduleDrifts = "schedule-drifts",
    /// An invocation whose outcome is unknown is sent again.
    InvocationSentAgain = "invocation-sent-again",
    /// A dispatcher that holds runs does not look at the queue.
    DeafWhileRunning = "deaf-while-running",
    /// A dispatcher that sees nothing goes away, though it was woken for a Task that the index does not show yet.
    GoesAwayFromALaggingIndex = "goes-away-from-a-lagging-index",
    /// Lambda takes dispatchers that wake one another for a loop.
    LoopsDetected = "loops-detected",
    /// Direct executions take the slots of queued Tasks.
    SlotsShared = "slots-shared",
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Bug {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.iter().map(|bug| bug.as_str()).collect::<Vec<_>>().join(", ");
        Self::ALL
            .iter()
            .copied()
            .find(|bug| bug.as_str() == text)
            .ok_or_else(|| format!("no such bug; there are: {}", known()))
    }
}

/// How long the buggy product would have slept, in a process that has runs in progress or has none.
pub fn sleep(bug: Option<Bug>, duration: Duration, runs: bool) -> Duration {
    const FOR_EVER: Duration = Duration::from_secs(86_400);
    match bug {
        // How long a dispatcher that holds runs goes without a look.
        Some(Bug::DeafWhileRunning) if runs && duration == Duration::from_secs(1) => FOR_EVER,
        _ => duration,
    }
}

/// What the buggy product would have sent.
pub fn rewrite_request(bug: Bug, operation: &str, body: &mut Value, now: i64) {
    match bug {
        Bug::SlotsShared if body["Key"]["pk"]["S"] == "slots:direct" => {
            body["Key"]["pk"] = json!({ "S": "slots:tasks" })
        }
        Bug::SlotsShared if body["Item"]["pk"]["S"] == "slots:direct" => {
            body["Item"]["pk"] = json!({ "S": "slots:tasks" })
        }
        Bug::ClaimWithoutCondition if sets_status(body, "inProgress") => drop_condition(body),
        Bug::OutcomeWithoutCondition => {
            each_part(operation, body, |part| {
                if ["complete", "failed", "retried"].iter().any(|status| sets_status(part, status)) {
                    drop_condition(part);
                }
            });
        }
        Bug::CancelWithoutCondition if sets_status(body, "canceled") => drop_condition(body),
        Bug::OccurrenceTwice => each_part(operation, body, |part| {
            if value(part, ":set_lastTask").is_some() {
                drop_condition(part);
            }
        }),
        Bug::ScheduleDrifts => each_part(operation, body, |part| {
            if value(part, ":set_lastTask").is_some() {
                shift(&mut part["ExpressionAttributeValues"], ":set_next", ":set_laneKey", 1500);
            }
        }),
        Bug::LeaseTooShort if sets_status(body, "inProgress") => {
            let values = &mut body["ExpressionAttributeValues"];
            if let Some(lease) = number(&values[":set_lease"]) {
                shift(values, ":set_lease", ":set_laneKey", now + 2500 - lease);
            }
        }
        Bug::FailureNotMarkedForPublishing if sets_status(body, "failed") => {
            let values = body["ExpressionAttributeValues"].as_object_mut();
            if let Some(values) = values {
                values.remove(":set_lane");
                values.remove(":set_laneKey");
            }
            if let Some(update) = body["UpdateExpression"].as_str() {
                let update = update.replace(", #lane = :set_lane, #laneKey = :set_laneKey", "");
                body["UpdateExpression"] = json!(format!("{update} REMOVE #lane, #laneKey"));
            }
        }
        Bug::ZombieRequeued if sets_status(body, "failed") => requeue_zombie(body),
        Bug::PriorityInverted => {
            each_part(operation, body, |part| {
                let from_item = part["Item"]["lane"]["S"].as_str().map(|lane| (lane.starts_with("ready"), true));
                let from_update = value(part, ":set_lane").map(|lane| (lane.starts_with("ready"), false));
                match from_item.or(from_update) {
                    Some((true, true)) => invert(&mut part["Item"]["laneKey"]),
                    Some((true, false)) if part["ExpressionAttributeValues"][":set_laneKey"].is_object() => {
                        invert(&mut part["ExpressionAttributeValues"][":set_laneKey"]);
                    }
                    _ => {}
                }
            });
        }
        Bug::SlotsTakenWithoutCondition if operation == "PutItem" && body["Item"]["holders"].is_object() => {
            drop_condition(body);
        }
        Bug::SlotLeaseTooShort if operation == "PutItem" && body["Item"]["holders"].is_object() => {
            let holders = body["Item"]["holders"]["S"].as_str().unwrap_or_default();
            let mut holders: Value = serde_json::from_str(holders).unwrap_or_default();
            for held in holders.as_object_mut().into_iter().flatten().map(|(_, held)| held) {
                let until = held["until"].as_str().and_then(|until| until.parse::<tasklane::model::Timestamp>().ok());
                let soon = tasklane::model::Timestamp::saturating_from_millis(now + 3000);
                if until.is_some_and(|until| until > soon) {
                    held["until"] = json!(soon.to_string());
                }
            }
            body["Item"]["holders"]["S"] = json!(holders.to_string());
        }
        Bug::WrongDelay => each_part(operation, body, |part| {
            if part["Item"]["retryFor"].is_object() {
                shift(&mut part["Item"], "start", "laneKey", 3000);
            }
        }),
        Bug::PromotedBeforeItsTime if is_query_of(body, "waiting") => {
            if let Some(below) = value(body, ":below") {
                let millis: i64 = below.trim_end_matches('/').parse().unwrap_or(0);
                body["ExpressionAttributeValues"][":below"]["S"] = json!(format!("{:015}/", millis + 1000));
            }
        }
        Bug::NeverPromoted if is_query_of(body, "waiting") && value(body, ":below").is_some() => {
            body["ExpressionAttributeValues"][":below"]["S"] = json!("0");
        }
        _ => {}
    }
}

/// What the buggy product would have made of the answer.
pub fn rewrite_answer(bug: Bug, operation: &str, body: &Value, answer: &mut Vec<u8>) {
    let functions = body["TableName"] == format!("{PREFIX}-functions").as_str() && operation == "GetItem";
    match bug {
        Bug::OwnLimitIgnored if functions => rewrite_record(answer, |record| {
            if let Some(options) = record["executionOptions"].as_object_mut() {
                options.remove("concurrencyLimit");
            }
        }),
        Bug::DisabledFunctionRuns if functions => rewrite_record(answer, |record| record["enabled"] = json!(true)),
        Bug::RetryOneTooMany if sets_status(body, "inProgress") => {
            let mut whole: Value = serde_json::from_slice(answer).unwrap_or_default();
            let chain = whole["Attributes"]["retryFor"]["S"].as_str().unwrap_or_default();
            let mut chain: Vec<String> = serde_json::from_str(chain).unwrap_or_default();
            if chain.len() == 3 {
                chain.remove(0);
                whole["Attributes"]["retryFor"]["S"] = json!(json!(chain).to_string());
                *answer = whole.to_string().into_bytes();
            }
        }
        _ => {}
    }
}

fn rewrite_record(answer: &mut Vec<u8>, rewrite: impl FnOnce(&mut Value)) {
    let mut whole: Value = serde_json::from_slice(answer).unwrap_or_default();
    let Some(record) = whole["Item"]["record"]["S"].as_str() else { return };
    let mut record: Value = serde_json::from_str(record).unwrap_or_default();
    rewrite(&mut record);
    whole["Item"]["record"]["S"] = json!(record.to_string());
    *answer = whole.to_string().into_bytes();
}

fn each_part(operation: &str, body: &mut Value, mut with: impl FnMut(&mut Value)) {
    if operation != "TransactWriteItems" {
        return with(body);
    }
    for part in body["TransactItems"].as_array_mut().into_iter().flatten() {
        for (_, part) in part.as_object_mut().into_iter().flatten() {
            with(part);
        }
    }
}

pub fn sets_status(part: &Value, status: &str) -> bool {
    value(part, ":set_status") == Some(status)
}

fn value<'a>(part: &'a Value, name: &str) -> Option<&'a str> {
    part["ExpressionAttributeValues"][name]["S"].as_str()
}

fn number(value: &Value) -> Option<i64> {
    value["N"].as_str()?.parse().ok()
}

fn is_query_of(body: &Value, lane: &str) -> bool {
    value(body, ":partition").is_some_and(|partition| partition.starts_with(lane))
}

/// Takes the condition away, with the names and values that only it needs: DynamoDB refuses those that nothing uses.
fn drop_condition(part: &mut Value) {
    let Some(part) = part.as_object_mut() else { return };
    part.remove("ConditionExpression");
    let update = part.get("UpdateExpression").and_then(Value::as_str).unwrap_or_default().to_owned();
    for map in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
        if let Some(names) = part.get_mut(map).and_then(Value::as_object_mut) {
            names.retain(|name, _| update.split([' ', ',', '=']).any(|word| word == name));
        }
        if part.get(map).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
            part.remove(map);
        }
    }
}

/// Moves a time, and the place in a lane that is ordered by it.
fn shift(of: &mut Value, time: &str, key: &str, by: i64) {
    let Some(millis) = number(&of[time]) else { return };
    of[time]["N"] = json!((millis + by).to_string());
    let place = of[key]["S"].as_str().and_then(|place| place.split_once('.')).map(|(_, id)| id.to_owned());
    if let Some(id) = place {
        of[key]["S"] = json!(format!("{:015}.{id}", millis + by));
    }
}

fn invert(key: &mut Value) {
    const TWICE_THE_HIGHEST: i64 = 2 * 9_007_199_254_740_991;
    let Some((priority, rest)) = key["S"].as_str().and_then(|text| text.split_once('.')) else { return };
    let priority: i64 = priority.parse().unwrap_or(0);
    key["S"] = json!(format!("{:017}.{rest}", TWICE_THE_HIGHEST - priority));
}

fn requeue_zombie(body: &mut Value) {
    if !value(body, ":set_error").is_some_and(|error| error.contains("zombieTaskCleaned")) {
        return;
    }
    let shard =
        value(body, ":set_lane").and_then(|lane| lane.split_once('#')).map_or("0", |(_, shard)| shard).to_owned();
    let place = value(body, ":set_laneKey").unwrap_or_default().to_owned();
    let values = &mut body["ExpressionAttributeValues"];
    values[":set_status"]["S"] = json!("new");
    values[":set_lane"]["S"] = json!(format!("ready#{shard}"));
    values[":set_laneKey"]["S"] = json!(format!("{:017}.{place}", 9_007_199_254_740_991_i64));
}
