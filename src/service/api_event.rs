//! The event that an API Function receives: API Gateway's payload 2.0, as far as the contract goes (§5).

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use super::ApiCall;
use crate::model::{Caller, Method};

/// Names that only the service may speak with: what a client sends under them is dropped.
const REQUESTING: &str = "x-exh-requesting-";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    raw_path: &'a str,
    raw_query_string: String,
    headers: BTreeMap<&'a str, Cow<'a, str>>,
    request_context: RequestContext,
    body: Cow<'a, str>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
struct RequestContext {
    http: HttpContext,
}

#[derive(Serialize)]
struct HttpContext {
    method: Method,
}

/// The event of this call, as JSON.
pub(super) fn event_of(call: &ApiCall, caller: &Caller) -> Result<Bytes, serde_json::Error> {
    let (body, is_base64_encoded) = match std::str::from_utf8(&call.body) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(BASE64_STANDARD.encode(&call.body)), true),
    };
    let event = Event {
        version: "2.0",
        raw_path: &call.raw_path,
        raw_query_string: call.raw_query.as_ref().map(|query| format!("?{query}")).unwrap_or_default(),
        headers: headers_of(&call.headers, caller),
        request_context: RequestContext { http: HttpContext { method: call.method } },
        body,
        is_base64_encoded,
    };
    serde_json::to_vec(&event).map(Bytes::from)
}

/// Header names are lower case already. Several values of one name are joined as API Gateway joins them. The caller's
/// credential stays here: it opens this service, and is none of the Function's business.
fn headers_of<'a>(headers: &'a HeaderMap, caller: &'a Caller) -> BTreeMap<&'a str, Cow<'a, str>> {
    let mut event_headers = BTreeMap::new();
    for name in headers.keys() {
        if name == header::AUTHORIZATION || name.as_str().starts_with(REQUESTING) {
            continue;
        }
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

/// A header's value as text: UTF-8 where it is, else byte by byte as Latin-1, so that nothing is lost.
fn text_of(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.as_bytes().iter().map(|byte| char::from(*byte)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::{ApplicationId, Identity, Permissions, UserId};

    fn call(body: &[u8]) -> ApiCall {
        ApiCall {
            method: Method::Post,
            raw_path: "/a%2Fb//c/".to_owned(),
            raw_query: Some("x=1&x=%20".to_owned()),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body),
        }
    }

    fn event(call: &ApiCall, caller: &Caller) -> Value {
        serde_json::from_slice(&event_of(call, caller).unwrap()).unwrap()
    }

    #[test]
    fn the_path_and_the_query_reach_the_function_untouched() {
        assert_eq!(
            event(&call(b"hi"), &Caller::Nobody),
            json!({
                "version": "2.0",
                "rawPath": "/a%2Fb//c/",
                "rawQueryString": "?x=1&x=%20",
                "headers": {},
                "requestContext": { "http": { "method": "POST" } },
                "body": "hi",
                "isBase64Encoded": false
            })
        );
    }

    #[test]
    fn a_binary_body_travels_as_base64() {
        let event = event(&call(&[0xff, 0x00]), &Caller::Nobody);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    }

    #[test]
    fn who_is_asking_cannot_be_spoofed_and_the_credential_stays_here() {
        let mut call = call(b"");
        for (name, value) in [
            ("X-Exh-Requesting-User-Id", "root"),
            ("x-exh-requesting-anything", "root"),
            ("Authorization", "Bearer tl_secret"),
            ("X-Other", "a"),
        ] {
            call.headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        call.headers.append("x-other", HeaderValue::from_bytes(b"\xe9").unwrap());
        assert_eq!(event(&call, &Caller::Nobody)["headers"], json!({ "x-other": "a,\u{e9}" }));
        let caller = Caller::User(Identity {
            user_id: UserId::parse("ada").unwrap(),
            application_id: Some(ApplicationId::parse("app").unwrap()),
            permissions: Permissions::none(),
        });
        assert_eq!(
            event(&call, &caller)["headers"],
            json!({
                "x-other": "a,\u{e9}",
                "x-exh-requesting-user-id": "ada",
                "x-exh-requesting-application-id": "app"
            })
        );
    }
}
