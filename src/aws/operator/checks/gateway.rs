//! The gateway, as callers reach it: whether it answers, its version, its certificate, and this machine's clock.

use std::time::Duration;

use aws_smithy_runtime_api::client::{
    http::HttpConnector,
    orchestrator::{HttpRequest, HttpResponse},
};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tasklane_model::Timestamp;
use tasklane_ports::Clock;

use super::{Finding, certificate};
use crate::{Stack, fault::unconnected, http_client};

/// OAuth 1.0a allows five minutes, but a clock that is off by this much is not synchronised.
const MOST_SKEW: Duration = Duration::from_secs(30);

/// The version of this command. The crates of a source tree have one version.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What matters here of the OpenAPI document.
#[derive(Deserialize)]
struct Document {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    version: String,
}

pub(super) async fn look(stack: &Stack) -> Vec<Finding> {
    let clock = &*stack.ports.clock;
    let mut findings = gateway_and_clock(stack.settings.url(), clock).await;
    // The names of API Gateway have certificates that AWS takes care of.
    if let Some(url) = stack.settings.public_url.as_ref().filter(|url| url.scheme() == "https") {
        findings.push(certificate::look(url.authority(), clock.now()).await);
    }
    findings
}

/// The gateway answers everybody at `/tasks/v1/openapi.json`, and its response contains its time and its version.
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
            let mut findings =
                vec![Finding::of(format!("the gateway {url}"), wrong), Finding::of("this machine's clock", off)];
            let theirs = if status == 200 { version_in(answer).await } else { None };
            findings.extend(theirs.map(|theirs| Finding::noted("the version of the handlers", other_version(&theirs))));
            findings
        }
    }
}

/// The version in the service's OpenAPI document.
async fn version_in(answer: HttpResponse) -> Option<String> {
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    serde_json::from_slice::<Document>(&body).ok().map(|document| document.info.version)
}

/// What to know if the handlers have another version than this command.
fn other_version(theirs: &str) -> Option<String> {
    (theirs != OWN_VERSION).then(|| {
        format!(
            "it is {theirs}, and this command is {OWN_VERSION}, so it may judge by other rules. Install {theirs}, or deploy \
             {OWN_VERSION}"
        )
    })
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

    #[test]
    fn another_version_of_the_handlers_is_noted() {
        assert_eq!(other_version(OWN_VERSION), None);
        assert!(other_version("99.0.0").unwrap().contains("99.0.0"));
    }
}
