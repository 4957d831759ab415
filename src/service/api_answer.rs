//! What an API Function may answer: `{statusCode 200–499, headers?, body?, isBase64Encoded?}` (contract §5).

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::ApiAnswer;

/// Headers that speak of the connection: they are the server's, whatever a Function says (RFC 9110 §7.6.1).
pub(super) const OURS: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Reads what a Function returned; the error says what was wrong with it (1409).
pub(super) fn answer_of(result: &str) -> Result<ApiAnswer, String> {
    let result: Value = serde_json::from_str(result).map_err(|error| format!("the result is no JSON: {error}"))?;
    let Value::Object(mut result) = result else {
        return Err(format!("the result must be an object with a statusCode, and it is {}", kind_of(&result)));
    };
    let status = status_of(result.get("statusCode"))?;
    let mut headers = headers_of(result.get("headers"))?;
    add_cookies(&mut headers, result.get("cookies"))?;
    let body = body_of(&mut result)?;
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    Ok(ApiAnswer { status, headers, body })
}

fn status_of(value: Option<&Value>) -> Result<StatusCode, String> {
    let rule = "statusCode must be a whole number from 200 to 499";
    let value = value.ok_or_else(|| format!("{rule}, and it is missing"))?;
    match value.as_f64() {
        // 200.0 is the same JSON number as 200: a Function in a language without integers may write either.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(number) if (200.0..=499.0).contains(&number) && number.fract() == 0.0 => {
            StatusCode::from_u16(number as u16).map_err(|_| rule.to_owned())
        }
        _ => Err(format!("{rule}, and it is {}", excerpt(value))),
    }
}

fn headers_of(value: Option<&Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let fields = match value {
        None | Some(Value::Null) => return Ok(headers),
        Some(Value::Object(fields)) => fields,
        Some(other) => return Err(format!("headers must be an object, and it is {}", kind_of(other))),
    };
    for (name, value) in fields {
        let Value::String(text) = value else {
            return Err(format!("the header '{}' must be a text, and it is {}", excerpt_text(name), kind_of(value)));
        };
        let header_name = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("'{}' is not a header name", excerpt_text(name)))?;
        let header_value = HeaderValue::try_from(text.as_str())
            .map_err(|_| format!("the header '{header_name}' has a value with characters that no header may hold"))?;
        if !OURS.contains(&header_name) {
            headers.append(header_name, header_value);
        }
    }
    Ok(headers)
}

/// Payload 2.0 has a field of its own for cookies, since a name can stand only once in `headers`.
fn add_cookies(headers: &mut HeaderMap, value: Option<&Value>) -> Result<(), String> {
    let cookies = match value {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(cookies)) => cookies,
        Some(other) => return Err(format!("cookies must be a list of texts, and it is {}", kind_of(other))),
    };
    for cookie in cookies {
        let value = cookie.as_str().and_then(|text| HeaderValue::try_from(text).ok());
        let value = value.ok_or_else(|| "cookies must be a list of texts that a header may hold".to_owned())?;
        headers.append(header::SET_COOKIE, value);
    }
    Ok(())
}

fn body_of(result: &mut Map<String, Value>) -> Result<Bytes, String> {
    let is_base64 = match result.get("isBase64Encoded") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(other) => return Err(format!("isBase64Encoded must be true or false, and it is {}", kind_of(other))),
    };
    match (result.remove("body"), is_base64) {
        (None | Some(Value::Null), _) => Ok(Bytes::new()),
        (Some(Value::String(text)), false) => Ok(Bytes::from(text)),
        (Some(Value::String(text)), true) => BASE64_STANDARD
            .decode(text.as_bytes())
            .map(Bytes::from)
            .map_err(|error| format!("isBase64Encoded is true, and the body is not base64: {error}")),
        (Some(other), true) => {
            Err(format!("isBase64Encoded is true, so the body must be a text, and it is {}", kind_of(&other)))
        }
        (Some(json), false) => Ok(Bytes::from(json.to_string())),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn excerpt(value: &Value) -> String {
    excerpt_text(&value.to_string())
}

fn excerpt_text(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_answer_is_taken_as_it_is() {
        let answer = answer_of(
            &json!({
                "statusCode": 201,
                "headers": { "Content-Type": "text/plain", "X-A": "b", "Content-Length": "9", "Connection": "close" },
                "cookies": ["a=1", "b=2"],
                "body": "aGk=",
                "isBase64Encoded": true
            })
            .to_string(),
        )
        .unwrap();
        assert_eq!(answer.status, 201);
        assert_eq!(answer.body, "hi");
        assert_eq!(answer.headers["content-type"], "text/plain");
        assert_eq!(answer.headers["x-a"], "b");
        assert!(!answer.headers.contains_key("content-length") && !answer.headers.contains_key("connection"));
        let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }

    #[test]
    fn json_bodies_are_serialised_and_their_type_is_json() {
        for (body, sent) in [(json!({ "a": 1 }), r#"{"a":1}"#), (json!([1]), "[1]"), (json!(5), "5"), (json!("t"), "t")]
        {
            let answer = answer_of(&json!({ "statusCode": 200, "body": body }).to_string()).unwrap();
            assert_eq!(answer.body, sent);
            assert_eq!(answer.headers["content-type"], "application/json");
        }
        assert!(answer_of(r#"{"statusCode":204}"#).unwrap().body.is_empty());
    }

    #[test]
    fn anything_else_is_refused_and_named() {
        for (result, named) in [
            ("null", "object"),
            ("\"text\"", "object"),
            ("{}", "statusCode"),
            (r#"{"statusCode":199}"#, "statusCode"),
            (r#"{"statusCode":500}"#, "statusCode"),
            (r#"{"statusCode":200.5}"#, "statusCode"),
            (r#"{"statusCode":"200"}"#, "statusCode"),
            (r#"{"statusCode":200,"headers":[]}"#, "headers"),
            (r#"{"statusCode":200,"headers":{"a":1}}"#, "'a'"),
            (r#"{"statusCode":200,"headers":{"a b":"c"}}"#, "'a b'"),
            (r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#, "'a'"),
            (r#"{"statusCode":200,"isBase64Encoded":"yes"}"#, "isBase64Encoded"),
            (r#"{"statusCode":200,"isBase64Encoded":true,"body":"?"}"#, "base64"),
            (r#"{"statusCode":200,"isBase64Encoded":true,"body":{}}"#, "text"),
        ] {
            let why = answer_of(result).unwrap_err();
            assert!(why.contains(named), "{result}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_result_makes_it_panic(result in "\\PC*", status in any::<i64>(), name in "\\PC*", value in "\\PC*") {
            let _ = answer_of(&result);
            let _ = answer_of(&json!({ "statusCode": status, "headers": { name: value } }).to_string());
        }
    }
}
