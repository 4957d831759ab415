//! Responses of handlers.

use std::marker::PhantomData;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tasklane_model::{Error, ErrorKind, Result};
use tasklane_service::{ApiAnswer, TaskResult};
use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder,
        response::{Response as ResponseDoc, ResponseBuilder},
        schema::{ObjectBuilder, Type},
    },
};

use super::{
    once::IDEMPOTENT_REPLAYED,
    openapi::{Schemas, page::Page, reference},
};

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// A value that a handler responds with.
pub trait Answer: Send + 'static {
    /// The response; an error when it cannot be serialised.
    fn into_response(self) -> Result<Response>;

    /// Its description in the API document.
    fn response(schemas: &mut Schemas) -> ResponseDoc;
}

/// `T` as JSON. `D` describes it in the API document, where another type says more than `T`.
#[derive(Debug)]
pub struct Json<T, D = T>(T, PhantomData<fn() -> D>);

impl<T, D> Json<T, D> {
    /// Responds with `value`.
    pub fn of(value: T) -> Self {
        Self(value, PhantomData)
    }
}

/// A response with secrets, which no cache may store.
#[derive(Debug)]
pub struct Unstored<A>(pub A);

/// The length that an API Function announced for a body that is not sent.
#[derive(Clone, Copy, Debug)]
pub struct AnnouncedLength(pub u64);

/// A page for people.
#[derive(Debug)]
pub struct Html(pub &'static Page);

impl<T: Serialize + Send + 'static, D: ToSchema + 'static> Answer for Json<T, D> {
    fn into_response(self) -> Result<Response> {
        let body = serde_json::to_vec(&self.0).map_err(Error::internal)?;
        let mut response = Response::new(Body::from(body));
        mark_as_json(response.headers_mut());
        Ok(response)
    }

    fn response(schemas: &mut Schemas) -> ResponseDoc {
        let content = ContentBuilder::new().schema(Some(reference::<D>(schemas))).build();
        ResponseBuilder::new().description("OK.").content("application/json", content).build()
    }
}

impl<A: Answer> Answer for Unstored<A> {
    fn into_response(self) -> Result<Response> {
        let mut response = self.0.into_response()?;
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    fn response(schemas: &mut Schemas) -> ResponseDoc {
        A::response(schemas)
    }
}

impl Answer for Html {
    fn into_response(self) -> Result<Response> {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, self.0.policy.as_str()),
            // People write a token into the page, and API Functions have pages of the same origin: a window that one of them
            // opened is cut off from it, so that it cannot read along.
            (OPENER_POLICY, "noopener-allow-popups"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ];
        Ok((headers, self.0.html.as_str()).into_response())
    }

    fn response(_: &mut Schemas) -> ResponseDoc {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let content = ContentBuilder::new().schema(Some(text)).build();
        ResponseBuilder::new().description("The page.").content("text/html", content).build()
    }
}

impl Answer for TaskResult {
    fn into_response(self) -> Result<Response> {
        match self {
            Self::Json(json) => Json::<_>::of(json).into_response(),
            Self::At(url) => elsewhere(url),
        }
    }

    fn response(schemas: &mut Schemas) -> ResponseDoc {
        <Json<tasklane_model::Json> as Answer>::response(schemas)
    }
}

impl Answer for ApiAnswer {
    fn into_response(self) -> Result<Response> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        // The server decides how the bytes travel (contract §5), not the Function.
        for name in [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            response.headers_mut().remove(name);
        }
        if let Some(length) = self.length {
            response.extensions_mut().insert(AnnouncedLength(length));
        }
        Ok(response)
    }

    fn response(_: &mut Schemas) -> ResponseDoc {
        ResponseBuilder::new()
            .description("The Function's own response: status (200–499), headers and body.")
            .content("*/*", ContentBuilder::new().build())
            .build()
    }
}

/// The response for what a client reads at this URL, which needs no credential.
pub fn elsewhere(url: String) -> Result<Response> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let url = HeaderValue::try_from(url).map_err(Error::internal)?;
    response.headers_mut().insert(header::LOCATION, url);
    // The URL expires, and lets anybody read what is there until then.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The response for an error: its status, and `{code, name, message, …}`.
pub fn error_response(error: &Error) -> Response {
    let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&error.to_body()).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    mark_as_json(response.headers_mut());
    if error.is_replay() {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    if error.kind() == ErrorKind::TooManyRequests {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Responses contain what callers wrote, so a browser must not guess that one is something other than JSON.
fn mark_as_json(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
