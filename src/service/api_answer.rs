//! Reads the answer of an API Function: `{statusCode 200–499, headers?, body?, isBase64Encoded?}` (contract §5, §22),
//! with API Gateway's rules, or the same object as the head of a stream.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::value::RawValue;
use tasklane_model::{Json, shorten};

use super::{
    ApiAnswer,
    answer_headers::{is_for_the_whole_origin, without_domain},
    answer_json::{Fields, Kind, Scalar, decode, kind_of, scalar_of},
};

/// Headers of the connection: only the server sets them, never a Function (RFC 9110 §7.6.1).
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

/// The bytes that Lambda writes between the head and the body of a stream with a prelude.
/// <https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html>
const END_OF_HEAD: [u8; 8] = [0; 8];

/// Reads the value that a Function returned; the error says what is wrong with it (1409).
pub(super) fn answer_of(result: &[u8]) -> Result<ApiAnswer, String> {
    // JSON never contains a zero byte, so a result with eight of them is a stream.
    let streamed = result.windows(END_OF_HEAD.len()).position(|bytes| bytes == END_OF_HEAD);
    let (json, stream) = match streamed {
        Some(end) => (&result[..end], Some(Bytes::copy_from_slice(&result[end + END_OF_HEAD.len()..]))),
        None => (result, None),
    };
    let json = std::str::from_utf8(json).map_err(|_| "the result is not valid UTF-8".to_owned())?;
    let json = match serde_json::from_str::<&RawValue>(json) {
        Ok(json) => Cow::Borrowed(json),
        // Python writes numbers that JSON cannot express.
        Err(_) => Cow::Owned(
            Json::returned(json.as_bytes()).map_err(|error| format!("the result is not valid JSON: {error}"))?.into(),
        ),
    };
    let json = &*json;
    if kind_of(json) != Kind::Object {
        return Err(format!("the result must be an object with a statusCode, but it is {}", kind_of(json)));
    }
    let result: Fields<'_> =
        serde_json::from_str(json.get()).map_err(|error| format!("the result is not valid JSON: {error}"))?;
    let status = match (result.get("statusCode"), &stream) {
        (None, Some(_)) => StatusCode::OK,
        (value, _) => status_of(value)?,
    };
    let Headers { mut headers, length } = headers_of(&result)?;
    add_cookies(&mut headers, result.get("cookies"))?;
    let body = match stream {
        Some(body) => body,
        None => body_of(&result)?,
    };
    if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED || status == StatusCode::RESET_CONTENT {
        return Ok(ApiAnswer { status, headers, body: Bytes::new(), length: None });
    }
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    Ok(ApiAnswer { status, headers, body, length })
}

fn status_of(value: Option<&RawValue>) -> Result<StatusCode, String> {
    let rule = "statusCode must be a whole number from 200 to 499";
    let value = value.ok_or_else(|| format!("{rule}, but it is missing"))?;
    let number = match scalar_of(value) {
        Some(Scalar::Text(text)) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok()
        }
        // 200.0 is the same JSON number as 200: a Function in a language without integers may write either.
        Some(Scalar::Number(text)) => text.parse().ok(),
        _ => None,
    };
    match number {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(number) if (200.0..=499.0_f64).contains(&number) && number.fract() == 0.0 => {
            StatusCode::from_u16(number as u16).map_err(|_| rule.to_owned())
        }
        _ => Err(format!("{rule}, but it is {}", shorten(value.get()))),
    }
}

/// The headers of an answer, and its declared length, which is used only for HEAD.
#[derive(Default)]
struct Headers {
    headers: HeaderMap,
    length: Option<u64>,
}

/// If a name occurs in several cases, the last one wins, as in any object. Cookies are the exception: in an object with
/// unique names, this is how to set several. `multiValueHeaders` wins over `headers`.
fn headers_of(result: &Fields<'_>) -> Result<Headers, String> {
    let mut read = Headers::default();
    for field in ["headers", "multiValueHeaders"] {
        let Some(value) = result.get(field).filter(|value| kind_of(value) != Kind::Null) else { continue };
        if kind_of(value) != Kind::Object {
            return Err(format!("{field} must be an object, but it is {}", kind_of(value)));
        }
        let fields: Fields<'_> =
            serde_json::from_str(value.get()).map_err(|error| format!("{field} cannot be read: {error}"))?;
        for (name, value) in fields.iter() {
            read.add(name, value)?;
        }
    }
    Ok(read)
}

impl Headers {
    fn add(&mut self, name: &str, value: &RawValue) -> Result<(), String> {
        let header_name =
            HeaderName::try_from(name).map_err(|_| format!("'{}' is not a header name", shorten(name)))?;
        let elements = match kind_of(value) {
            Kind::Array => serde_json::from_str::<Vec<&RawValue>>(value.get()).unwrap_or_default(),
            _ => vec![value],
        };
        let mut values = Vec::new();
        for element in elements {
            let text = match scalar_of(element) {
                Some(Scalar::Null) => continue,
                Some(Scalar::Text(text)) => text,
                Some(Scalar::Number(text) | Scalar::Bool(text)) => Cow::Borrowed(text),
                None => {
                    let kind = kind_of(element);
                    return Err(format!(
                        "the header '{header_name}' must be a string, a number or a boolean, but it is {kind}"
                    ));
                }
            };
            let value = HeaderValue::try_from(text.as_ref()).map_err(|_| {
                format!("the header '{header_name}' has a value with characters that are not allowed in headers")
            })?;
            values.push(value);
        }
        if header_name == header::CONTENT_LENGTH {
            self.length = values.first().and_then(|value| value.to_str().ok()?.parse().ok());
        }
        if OURS.contains(&header_name) || values.is_empty() {
            return Ok(());
        }
        if header_name != header::SET_COOKIE {
            self.headers.remove(&header_name);
        }
        for value in values {
            if header_name == header::SET_COOKIE {
                self.headers.append(header::SET_COOKIE, without_domain(value));
            } else if !is_for_the_whole_origin(&header_name, &value) {
                self.headers.append(&header_name, value);
            }
        }
        Ok(())
    }
}

/// Payload 2.0 has a separate field for cookies, because a name can occur only once in `headers`.
fn add_cookies(headers: &mut HeaderMap, value: Option<&RawValue>) -> Result<(), String> {
    let Some(value) = value.filter(|value| kind_of(value) != Kind::Null) else { return Ok(()) };
    if kind_of(value) != Kind::Array {
        return Err(format!("cookies must be a list of strings, but it is {}", kind_of(value)));
    }
    for cookie in serde_json::from_str::<Vec<&RawValue>>(value.get()).unwrap_or_default() {
        let text = match scalar_of(cookie) {
            Some(Scalar::Text(text)) => HeaderValue::try_from(text.as_ref()).ok(),
            _ => None,
        };
        let cookie = text.ok_or_else(|| "cookies must be a list of strings that are valid in a header".to_owned())?;
        headers.append(header::SET_COOKIE, without_domain(cookie));
    }
    Ok(())
}

fn body_of(result: &Fields<'_>) -> Result<Bytes, String> {
    let is_base64 = match result.get("isBase64Encoded").map(|flag| (flag.get(), kind_of(flag))) {
        None | Some((_, Kind::Null)) => false,
        Some((flag, Kind::Bool)) => flag == "true",
        Some((_, kind)) => return Err(format!("isBase64Encoded must be true or false, but it is {kind}")),
    };
    let Some(body) = result.get("body") else { return Ok(Bytes::new()) };
    match (kind_of(body), is_base64) {
        (Kind::Null, _) => Ok(Bytes::new()),
        (Kind::Text, false) => Ok(Bytes::from(decode(body).into_owned())),
        (Kind::Text, true) => BASE64_STANDARD
            .decode(decode(body).as_bytes())
            .map(Bytes::from)
            .map_err(|error| format!("isBase64Encoded is true, but the body is not valid base64: {error}")),
        (kind, true) => Err(format!("isBase64Encoded is true, so the body must be a string, but it is {kind}")),
        // As the Function wrote it, down to the digits of numbers.
        (_, false) => Ok(Bytes::copy_from_slice(body.get().as_bytes())),
    }
}

#[cfg(test)]
mod tests;
