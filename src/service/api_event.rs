//! The event that an API Function receives: API Gateway's payload 2.0 (contract §5).
//!
//! Two things differ from AWS, as they do upstream: `rawQueryString` keeps its leading `?`, and
//! `headers` still has the `cookie` that `cookies` lists.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tasklane_model::{Caller, Method, ObjectId, Timestamp};

use super::{ApiCall, passed_headers::is_passed_on};

/// The only route and the only stage.
const DEFAULT: &str = "$default";
/// A placeholder, because there is no account and no API.
const ACCOUNT: &str = "000000000000";
const API: &str = "tasklane";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'static str,
    raw_path: &'a str,
    raw_query_string: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<Cow<'a, str>>,
    headers: BTreeMap<&'a str, Cow<'a, str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'static str,
    api_id: &'static str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: HttpContext<'a>,
    request_id: ObjectId,
    route_key: &'static str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext<'a> {
    method: Method,
    path: &'a str,
    protocol: String,
    source_ip: IpAddr,
    user_agent: Cow<'a, str>,
}

/// The event of this call as JSON. `id` is the id of its API Request.
pub(super) fn event_of(
    call: &ApiCall,
    caller: &Caller,
    id: ObjectId,
    now: Timestamp,
) -> Result<Bytes, serde_json::Error> {
    let (body, is_base64_encoded) = match std::str::from_utf8(&call.body) {
        Ok("") => (None, false),
        Ok(text) => (Some(Cow::Borrowed(text)), false),
        Err(_) => (Some(Cow::Owned(BASE64_STANDARD.encode(&call.body))), true),
    };
    let domain_name = domain_of(&call.headers);
    let event = Event {
        version: "2.0",
        route_key: DEFAULT,
        raw_path: &call.raw_path,
        raw_query_string: call.raw_query.as_ref().map(|query| format!("?{query}")).unwrap_or_default(),
        cookies: cookies_of(&call.headers),
        headers: headers_of(&call.headers, caller),
        query_string_parameters: parameters_of(call.raw_query.as_deref().unwrap_or_default()),
        request_context: RequestContext {
            account_id: ACCOUNT,
            api_id: API,
            domain_name,
            domain_prefix: domain_name.split('.').next().unwrap_or_default(),
            http: HttpContext {
                method: call.method,
                path: &call.raw_path,
                protocol: format!("{:?}", call.protocol),
                source_ip: call.address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.to_canonical()),
                user_agent: call.headers.get(header::USER_AGENT).map(text_of).unwrap_or_default(),
            },
            request_id: id,
            route_key: DEFAULT,
            stage: DEFAULT,
            time: log_time(now),
            time_epoch: now.as_millis(),
        },
        body,
        is_base64_encoded,
    };
    serde_json::to_vec(&event).map(Bytes::from)
}

/// Header names are already in lower case. Several values of one name are joined as API Gateway does.
fn headers_of<'a>(headers: &'a HeaderMap, caller: &'a Caller) -> BTreeMap<&'a str, Cow<'a, str>> {
    let mut event_headers = BTreeMap::new();
    for name in headers.keys().filter(|name| is_passed_on(name, headers)) {
        let separator = if name == header::COOKIE { "; " } else { "," };
        let mut values = headers.get_all(name).iter().map(text_of);
        let first = values.next().unwrap_or_default();
        let joined = values.fold(first, |joined, value| Cow::Owned(format!("{joined}{separator}{value}")));
        event_headers.insert(name.as_str(), joined);
    }
    if let Some(user) = caller.user_id() {
        event_headers.insert("x-exh-requesting-user-id", Cow::Borrowed(user.as_str()));
    }
    if let Some(application) = caller.application_id() {
        event_headers.insert("x-exh-requesting-application-id", Cow::Borrowed(application.as_str()));
    }
    event_headers
}

fn cookies_of(headers: &HeaderMap) -> Vec<Cow<'_, str>> {
    let mut cookies = Vec::new();
    for field in headers.get_all(header::COOKIE).iter().map(text_of) {
        let pairs = field.split(';').map(str::trim).filter(|pair| !pair.is_empty());
        cookies.extend(pairs.map(|pair| Cow::Owned(pair.to_owned())));
    }
    cookies
}

/// The decoded query; values of one name are joined with commas, as API Gateway does.
fn parameters_of(query: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), decoded(value));
        parameters.entry(name).and_modify(|values| *values = format!("{values},{value}")).or_insert(value);
    }
    parameters
}

/// The host of the request, without its port.
fn domain_of(headers: &HeaderMap) -> &str {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The time in the format of access logs, which API Gateway uses too: `12/Mar/2026:19:03:58 +0000`.
fn log_time(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// A header's value as a string: UTF-8 if it is valid, otherwise byte by byte as Latin-1, so that nothing is lost.
fn text_of(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.as_bytes().iter().map(|byte| char::from(*byte)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Version};
    use serde_json::{Value, json};

    use super::*;
    use tasklane_model::{ApplicationId, Identity, Permissions, UserId};

    const ID: &str = "697db9a2c5f0a1b2c3d4e5f6";

    fn call(body: &[u8]) -> ApiCall {
        ApiCall {
            method: Method::Post,
            raw_path: "/a%2Fb//c/".to_owned(),
            raw_query: Some("x=1&x=%20+b&y".to_owned()),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body),
            protocol: Version::HTTP_11,
            address: Some("::ffff:192.0.2.7".parse().unwrap()),
        }
    }

    fn with(headers: &[(&str, &str)]) -> ApiCall {
        let mut call = call(b"");
        for (name, value) in headers {
            call.headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        call
    }

    fn event(call: &ApiCall, caller: &Caller) -> Value {
        let now: Timestamp = "2026-03-12T19:03:58.390Z".parse().unwrap();
        serde_json::from_slice(&event_of(call, caller, ID.parse().unwrap(), now).unwrap()).unwrap()
    }

    fn ada() -> Caller {
        let identity = Identity {
            user_id: UserId::parse("ada").unwrap(),
            application_id: Some(ApplicationId::parse("app").unwrap()),
            permissions: Permissions::none(),
        };
        Caller::User(identity.into())
    }

    #[test]
    fn an_event_has_the_fields_of_payload_2_0() {
        let mut call = call(b"hi");
        for (name, value) in [
            ("host", "api.example.com:8443"),
            ("user-agent", "curl/8"),
            ("cookie", "a=1; b=2"),
            ("cookie", "c=\"x, y\";"),
            ("x-other", "1"),
            ("x-other", "2"),
        ] {
            call.headers.append(name, value.parse().unwrap());
        }
        assert_eq!(
            event(&call, &Caller::Nobody),
            json!({
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": "/a%2Fb//c/",
                "rawQueryString": "?x=1&x=%20+b&y",
                "cookies": ["a=1", "b=2", "c=\"x, y\""],
                "headers": {
                    "cookie": "a=1; b=2; c=\"x, y\";", "host": "api.example.com:8443", "user-agent": "curl/8", "x-other": "1,2"
                },
                "queryStringParameters": { "x": "1,  b", "y": "" },
                "requestContext": {
                    "accountId": "000000000000",
                    "apiId": "tasklane",
                    "domainName": "api.example.com",
                    "domainPrefix": "api",
                    "http": {
                        "method": "POST", "path": "/a%2Fb//c/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7",
                        "userAgent": "curl/8"
                    },
                    "requestId": ID,
                    "routeKey": "$default",
                    "stage": "$default",
                    "time": "12/Mar/2026:19:03:58 +0000",
                    "timeEpoch": 1_773_342_238_390_i64
                },
                "body": "hi",
                "isBase64Encoded": false
            })
        );
    }

    #[test]
    fn an_event_has_no_fields_for_absent_parts_of_the_request() {
        let mut call = call(b"");
        call.raw_query = None;
        let event = event(&call, &Caller::Nobody);
        for absent in ["body", "cookies", "queryStringParameters"] {
            assert!(event.get(absent).is_none(), "{absent}: {event}");
        }
        assert_eq!((&event["rawQueryString"], &event["isBase64Encoded"]), (&json!(""), &json!(false)));
        assert_eq!(event["requestContext"]["domainName"], "localhost");
    }

    #[test]
    fn the_domain_is_the_host_without_its_port() {
        for (host, domain) in
            [("localhost:4000", "localhost"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a.b", "a.b")]
        {
            let event = event(&with(&[("host", host)]), &Caller::Nobody);
            assert_eq!(event["requestContext"]["domainName"], domain, "{host}");
        }
    }

    #[test]
    fn a_binary_body_is_sent_as_base64() {
        let event = event(&call(&[0xff, 0x00]), &Caller::Nobody);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    }

    /// Adapters for CGI, WSGI, Rack and PHP merge headers whose names differ only in case and in characters other than
    /// letters and digits. The merged variable must have the value that the service set.
    #[test]
    fn the_caller_cannot_be_spoofed_in_any_spelling() {
        let variable = |name: &str| {
            let folded = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
            format!("HTTP_{}", folded.collect::<String>())
        };
        let spoofed = with(&[
            ("X-Exh-Requesting-User-Id", "root"),
            ("X_Exh_Requesting_User_Id", "root"),
            ("x_exh_requesting_user_id", "root"),
            ("X-EXH-REQUESTING_USER-ID", "root"),
            ("x-exh-requesting_user_id", "root"),
            ("x.exh.requesting.user.id", "root"),
            ("x~exh-requesting-user-id", "root"),
            ("x-exh_requesting-application-id", "root"),
            ("x-exh-requesting-anything", "root"),
            ("X_Exh_Requesting_Anything", "root"),
            ("x_exh_requesting_", "root"),
        ]);
        for (caller, user, application) in [(Caller::Nobody, None, None), (ada(), Some("ada"), Some("app"))] {
            let event = event(&spoofed, &caller);
            let seen = event["headers"].as_object().unwrap();
            for (wanted, name) in [(user, "USER_ID"), (application, "APPLICATION_ID"), (None, "ANYTHING")] {
                let variable_of_it = format!("HTTP_X_EXH_REQUESTING_{name}");
                let values: Vec<_> =
                    seen.iter().filter(|(name, _)| variable(name) == variable_of_it).map(|(_, value)| value).collect();
                assert_eq!(
                    values,
                    wanted.into_iter().map(|value| json!(value)).collect::<Vec<_>>().iter().collect::<Vec<_>>()
                );
            }
            assert!(!event.to_string().contains("root"), "{event}");
        }
    }

    #[test]
    fn the_credential_is_not_passed_on() {
        let call = with(&[("Authorization", "Bearer tl_secret"), ("X-Other", "a")]);
        let event = event(&call, &Caller::Nobody);
        assert_eq!(event["headers"], json!({ "x-other": "a" }));
    }

    #[test]
    fn a_value_that_is_not_utf_8_is_read_as_latin_1() {
        let mut call = with(&[("x-other", "a")]);
        call.headers.append("x-other", HeaderValue::from_bytes(b"\xe9").unwrap());
        assert_eq!(event(&call, &Caller::Nobody)["headers"], json!({ "x-other": "a,\u{e9}" }));
    }
}
