//! Converts the events of API Gateway to requests, and responses to its format.
//!
//! This is payload format 2.0 of an HTTP API. The conversion of `lambda_http` is not used: it resolves dot segments and
//! panics on paths that are not valid in a URL, and an HTTP API passes on both, because it decodes the path. Here, the
//! path is encoded again and otherwise unchanged, except that a decoded `%2F` remains a `/`.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use axum::body::Body;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tasklane_http::{ClientAddress, ClientUri, Router};
use tasklane_model::{Error, ErrorKind, ObjectId};
use tower::ServiceExt;

/// The largest response that Lambda passes on, as JSON: 6 MB, minus a safety margin.
const MAX_ANSWER_BYTES: usize = 6 * 1024 * 1024 - 16 * 1024;

/// The characters that a decoded path may contain and the path of a URL may not.
const NOT_IN_A_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A request as an HTTP API passes it on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayEvent {
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    headers: HashMap<String, String>,
    request_context: RequestContext,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    domain_name: Option<String>,
    #[serde(default)]
    stage: String,
    http: HttpContext,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext {
    method: String,
    /// The address of the connection to the gateway. No header can change it.
    source_ip: Option<String>,
}

/// A response in the format of an HTTP API.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayAnswer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    body: String,
    is_base64_encoded: bool,
}

/// Answers an event with the router.
pub async fn answer(router: Router, event: GatewayEvent) -> Result<GatewayAnswer, NoRequest> {
    let request = match event.into_request() {
        Ok(request) => request,
        // The client caused it: the gateway passes on what it receives.
        Err(no_request) => return Ok(GatewayAnswer::error(&Error::new(ErrorKind::BadRequest, no_request.to_string()))),
    };
    let path = request.uri().path().to_owned();
    let (parts, body) = match router.oneshot(request.map(Body::from)).await {
        Ok(response) => response.into_parts(),
        Err(never) => match never {},
    };
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| NoRequest(error.to_string()))?;
    Ok(GatewayAnswer::of(&path, Response::from_parts(parts, body)))
}

/// Why an event is not a request.
#[derive(Debug, thiserror::Error)]
#[error("API Gateway sent an event that is not an HTTP request: {0}")]
pub struct NoRequest(String);

impl GatewayEvent {
    /// The request that the client made. Its URI is the absolute URL that the client wrote, without the stage. If the
    /// client's URL contains the stage, a [`ClientUri`] has the original, because OAuth 1.0a signs it.
    pub fn into_request(self) -> Result<Request<Bytes>, NoRequest> {
        let no_request = |error: &dyn std::fmt::Display| NoRequest(error.to_string());
        let method = Method::from_bytes(self.request_context.http.method.as_bytes()).map_err(|e| no_request(&e))?;
        let host = self.headers.get("host").or(self.request_context.domain_name.as_ref());
        let host = host.ok_or_else(|| no_request(&"it names no host"))?;
        let query =
            if self.raw_query_string.is_empty() { String::new() } else { format!("?{}", self.raw_query_string) };
        let uri = |path: &str| {
            let path = encode_path(path);
            Uri::try_from(format!("{}://{host}{path}{query}", scheme(&self.headers, host))).map_err(|e| no_request(&e))
        };
        let path = without_stage(&self.raw_path, &self.request_context.stage);
        let (inner, whole) = (uri(path)?, uri(&self.raw_path)?);
        let body = match self.body {
            Some(body) if self.is_base64_encoded => BASE64_STANDARD.decode(body).map_err(|e| no_request(&e))?.into(),
            Some(body) => Bytes::from(body),
            None => Bytes::new(),
        };
        let mut request = Request::builder().method(method).uri(inner);
        // Behind a custom domain, the gateway puts the stage in front of the path, although the client did not.
        let domain = self.request_context.domain_name.as_deref().unwrap_or(host);
        if path != self.raw_path && domain.contains(".execute-api.") {
            request = request.extension(ClientUri(whole));
        }
        if let Some(address) = self.request_context.http.source_ip.and_then(|text| text.parse::<IpAddr>().ok()) {
            request = request.extension(ClientAddress(address));
        }
        for (name, value) in &self.headers {
            request = request.header(name, HeaderValue::from_bytes(value.as_bytes()).map_err(|e| no_request(&e))?);
        }
        if !self.cookies.is_empty() {
            request = request.header(header::COOKIE, self.cookies.join("; "));
        }
        request.body(body).map_err(|e| no_request(&e))
    }
}

impl GatewayAnswer {
    /// The response, or an error if it is too large for Lambda to pass on.
    pub fn of(path: &str, response: Response<Bytes>) -> Self {
        let answer = Self::unchecked(response);
        match answer.is_too_large().then(|| too_large(path, &answer.body)) {
            None => answer,
            Some(error) => Self::error(&error),
        }
    }

    /// The response for an error.
    pub fn error(error: &Error) -> Self {
        let body = serde_json::to_string(&error.to_body()).unwrap_or_default();
        let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        Self { status_code: error.kind().status(), headers, cookies: Vec::new(), body, is_base64_encoded: false }
    }

    fn unchecked(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        let mut cookies = Vec::new();
        for (name, value) in &parts.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            if name == header::SET_COOKIE {
                cookies.push(value);
            } else {
                append(&mut headers, name, value);
            }
        }
        let (body, is_base64_encoded) = match String::from_utf8(body.into()) {
            Ok(text) => (text, false),
            Err(binary) => (BASE64_STANDARD.encode(binary.as_bytes()), true),
        };
        Self { status_code: parts.status.as_u16(), headers, cookies, body, is_base64_encoded }
    }

    fn is_too_large(&self) -> bool {
        // A byte of text becomes at most six bytes of JSON, so most responses need no second look.
        self.body.len() > MAX_ANSWER_BYTES / 6
            && serde_json::to_vec(self).is_ok_and(|written| written.len() > MAX_ANSWER_BYTES)
    }
}

/// Joins fields of the same name with commas (RFC 9110 §5.3). Cookies cannot be joined and are passed on separately.
fn append(headers: &mut BTreeMap<String, String>, name: &HeaderName, value: String) {
    headers
        .entry(name.as_str().to_owned())
        .and_modify(|before| {
            before.push_str(", ");
            before.push_str(&value);
        })
        .or_insert(value);
}

fn too_large(path: &str, body: &str) -> Error {
    const HOW_MUCH: &str = "is larger than the 6 MB that AWS Lambda passes on";
    if path.starts_with("/tasks/v1/api/") {
        return Error::new(
            ErrorKind::InvalidApiFunctionResult,
            format!("The function's response, written as JSON, {HOW_MUCH}."),
        );
    }
    #[derive(Deserialize)]
    struct WithId {
        id: ObjectId,
    }
    match serde_json::from_str::<WithId>(body) {
        // A direct execution: the Task is complete, and only its result cannot be returned.
        Ok(WithId { id }) => {
            Error::new(ErrorKind::LambdaInvocation, format!("The function ran, but its result {HOW_MUCH}."))
                .with("taskId", serde_json::Value::String(id.to_string()))
        }
        Err(_) => {
            Error::new(ErrorKind::IllegalArgument, format!("The page {HOW_MUCH}: request fewer records with limit()."))
        }
    }
}

/// API Gateway names the scheme that the client used. Only emulators, on this machine, do not.
fn scheme(headers: &HashMap<String, String>, host: &str) -> &'static str {
    match headers.get("x-forwarded-proto").map(|scheme| scheme.to_ascii_lowercase()).as_deref() {
        Some("http") => "http",
        Some("https") => "https",
        _ if host.contains("localhost") || host.starts_with("127.0.0.1") => "http",
        _ => "https",
    }
}

fn without_stage<'a>(path: &'a str, stage: &str) -> &'a str {
    if stage.is_empty() || stage == "$default" {
        return path;
    }
    match path.strip_prefix('/').and_then(|rest| rest.strip_prefix(stage)) {
        Some(rest) if rest.starts_with('/') => rest,
        Some("") => "/",
        _ => path,
    }
}

/// An HTTP API decodes every escape except `%25`. So the client wrote each `%25`, and any other `%` is not an escape.
fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for (index, part) in path.split('%').enumerate() {
        if index > 0 {
            encoded.push_str(if part.starts_with("25") { "%" } else { "%25" });
        }
        encoded.extend(utf8_percent_encode(part, NOT_IN_A_PATH));
    }
    if encoded.starts_with('/') { encoded } else { format!("/{encoded}") }
}

#[cfg(test)]
mod tests;
