//! The client of DynamoDB, which counts the calls that DynamoDB throttles or fails.
//!
//! The SDK repeats such calls, so most of them only take longer and nothing else would tell of them. DynamoDB's own metrics are
//! kept for each table, index and operation: an alarm on all of them would cost more than everything else in the stack.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    config::{
        Builder, ConfigBag, Intercept, RuntimeComponents, interceptors::AfterDeserializationInterceptorContextRef,
    },
    error::BoxError,
};
use serde_json::Value;
use tracing::warn;

use super::metrics::{COUNTED, MetricName};

/// What DynamoDB's names for throttling contain: `ThrottlingException`, `ProvisionedThroughputExceededException`,
/// `RequestLimitExceeded`, and in the reasons of a cancelled transaction `ThrottlingError`.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
const THROTTLED: [&str; 3] = ["Throttling", "ThroughputExceeded", "RequestLimitExceeded"];

/// A client with this configuration.
pub(super) fn client(sdk: &SdkConfig) -> Client {
    Client::from_conf(Builder::from(sdk).interceptor(Counting).build())
}

/// Counts refused calls. It sees each try of a call.
#[derive(Debug)]
struct Counting;

impl Intercept for Counting {
    fn name(&self) -> &'static str {
        "Counting"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        let status = answer.status().as_u16();
        if let Some((metric, code)) = refusal(status, answer.body().bytes().unwrap_or_default()) {
            warn!(target: COUNTED, metric = metric.as_str(), status, code, "DynamoDB refused a call");
        }
        Ok(())
    }
}

/// How this response is counted, and DynamoDB's name for the error. The body of an error may hold a row, so nothing else of it is
/// logged.
fn refusal(status: u16, body: &[u8]) -> Option<(MetricName, String)> {
    if status < 400 {
        return None;
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = body["__type"].as_str().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let reasons = body["CancellationReasons"].as_array().into_iter().flatten().filter_map(|it| it["Code"].as_str());
    let throttled = std::iter::once(code).chain(reasons).find(|code| THROTTLED.iter().any(|part| code.contains(part)));
    match throttled {
        Some(code) => Some((MetricName::DatabaseThrottled, code.to_owned())),
        None if status >= 500 => Some((MetricName::DatabaseErrors, code.to_owned())),
        // What the store expects, such as a failed condition.
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Counted, ReplayClient, Reply};

    #[tokio::test]
    async fn each_refused_try_is_counted_even_if_the_call_succeeds_in_the_end() {
        let wire = ReplayClient::replaying([
            Reply::error(400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "slower"),
            Reply::error(500, "InternalServerError", "oops"),
            Reply::ok(json!({ "TableNames": [] })),
        ]);
        let counted = Counted::begin();
        client(&wire.sdk_config()).list_tables().send().await.unwrap();
        assert_eq!(counted.names(), ["DatabaseThrottled", "DatabaseErrors"]);
        assert_eq!(counted.lines()[0]["code"], "ProvisionedThroughputExceededException");
    }

    #[test]
    fn a_transaction_may_be_cancelled_by_throttling_or_by_a_condition() {
        let cancelled = |reasons: Value| {
            let body = json!({ "__type": "TransactionCanceledException", "CancellationReasons": reasons }).to_string();
            refusal(400, body.as_bytes())
        };
        assert_eq!(cancelled(json!([{ "Code": "None" }, { "Code": "ConditionalCheckFailed" }])), None);
        let throttled = Some((MetricName::DatabaseThrottled, "ThrottlingError".to_owned()));
        assert_eq!(cancelled(json!([{ "Code": "None" }, { "Code": "ThrottlingError" }])), throttled);
    }

    #[test]
    fn an_answer_that_is_no_json_is_counted_by_its_status() {
        assert_eq!(refusal(503, b"<html>"), Some((MetricName::DatabaseErrors, String::new())));
        assert_eq!(refusal(400, b"<html>"), None);
        assert_eq!(refusal(200, br#"{"__type":"ThrottlingException"}"#), None);
    }
}
