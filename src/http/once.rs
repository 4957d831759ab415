//! Calls that can be repeated without a second effect: their key, and their response.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tasklane_model::{BodyDigest, Error, ErrorKind, IdempotencyKey, Made, Once, Result, once::IDEMPOTENCY_KEY};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        HeaderBuilder, Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBody,
        response::Response as ResponseDoc,
        schema::{ObjectBuilder, Type},
    },
};

use axum::response::Response;
use serde::Serialize;

use super::{
    answer::{Answer, Json},
    body::{Fields, encoding},
    config::BodyLimits,
    head::Head,
    input::{FromFields, Input, JsonBody, OptionalJsonBody, json_body},
    openapi::Schemas,
};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of a response that describes what an earlier call created.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A body that may hold an idempotency key.
pub trait HasKey: FromFields {
    fn key(&self) -> Option<&IdempotencyKey>;
}

/// A JSON object whose call may have an idempotency key, in the body or in a header.
#[derive(Debug)]
pub struct OnceBody<T> {
    pub body: T,
    pub once: Option<Once>,
}

impl<T: HasKey> Input for OnceBody<T> {
    fn limit(limits: &BodyLimits) -> Option<usize> {
        Some(T::limit(limits))
    }

    fn check(head: &Head) -> Result<()> {
        encoding::check(&head.headers)
    }

    fn read(head: &Head, body: Bytes) -> Result<Self> {
        let text = encoding::text_of(&head.headers, &body)?;
        let body = T::from_fields(&Fields::parse(text)?)?;
        let once = once_of(head, body.key(), text)?;
        Ok(Self { body, once })
    }

    fn request_body(schemas: &mut Schemas) -> Option<RequestBody> {
        Some(json_body::<T>(schemas, Required::True))
    }

    fn headers() -> Vec<Parameter> {
        vec![key_parameter()]
    }

    fn errors() -> Vec<ErrorKind> {
        [<JsonBody<T> as Input>::errors(), vec![ErrorKind::IllegalArgument, ErrorKind::IdempotencyKeyReused]].concat()
    }
}

/// The same, for a body that may be absent, which is like an empty object.
#[derive(Debug)]
pub struct OptionalOnceBody<T> {
    pub body: Option<T>,
    pub once: Option<Once>,
}

impl<T: HasKey> Input for OptionalOnceBody<T> {
    fn limit(limits: &BodyLimits) -> Option<usize> {
        Some(T::limit(limits))
    }

    fn check(head: &Head) -> Result<()> {
        encoding::check(&head.headers)
    }

    fn read(head: &Head, body: Bytes) -> Result<Self> {
        let text = encoding::text_of(&head.headers, &body)?;
        let body = Fields::parse_optional(text)?.map(|fields| T::from_fields(&fields)).transpose()?;
        let once = match &body {
            Some(body) => once_of(head, body.key(), text)?,
            None => once_of(head, None, "{}")?,
        };
        Ok(Self { body, once })
    }

    fn request_body(schemas: &mut Schemas) -> Option<RequestBody> {
        Some(json_body::<T>(schemas, Required::False))
    }

    fn headers() -> Vec<Parameter> {
        vec![key_parameter()]
    }

    fn errors() -> Vec<ErrorKind> {
        [<OptionalJsonBody<T> as Input>::errors(), vec![ErrorKind::IllegalArgument, ErrorKind::IdempotencyKeyReused]]
            .concat()
    }
}

/// The call's key and body: `None` without a key, 15 when the header is not a key, 26 when header and body disagree.
fn once_of(head: &Head, in_body: Option<&IdempotencyKey>, body: &str) -> Result<Option<Once>> {
    let mut headers = head.headers.get_all(HEADER).iter();
    let in_header = headers.next().map(key_in).transpose()?;
    if headers.next().is_some() {
        return Err(Error::new(ErrorKind::FieldFormat, "The header 'Idempotency-Key' must be sent only once."));
    }
    let key = match (in_header, in_body) {
        (Some(header), Some(body)) if header != *body => {
            let message =
                format!("The header 'Idempotency-Key' and the field '{IDEMPOTENCY_KEY}' differ: send one of them.");
            return Err(Error::new(ErrorKind::IllegalArgument, message));
        }
        (Some(key), _) => key,
        (None, Some(key)) => key.clone(),
        (None, None) => return Ok(None),
    };
    Ok(Some(Once { key, body: BodyDigest::of(body.trim_ascii_start()) }))
}

fn key_in(header: &HeaderValue) -> Result<IdempotencyKey> {
    let text = std::str::from_utf8(header.as_bytes()).ok();
    text.and_then(|text| IdempotencyKey::parse(text).ok()).ok_or_else(|| {
        Error::new(ErrorKind::FieldFormat, "The header 'Idempotency-Key' must be 1 to 255 characters of UTF-8.")
    })
}

fn key_parameter() -> Parameter {
    let about = "The name of this call, by which it can be repeated without a second effect: within 24 hours, the same key \
                 with the same body is answered with the same record.";
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(IdempotencyKey::schema()))
        .build()
}

/// A response which says whether it describes what an earlier call created.
#[derive(Debug)]
pub struct Replayable<A> {
    answer: A,
    is_replay: bool,
}

impl<T, D> Replayable<Json<T, D>> {
    /// Responds with the record.
    pub fn of(made: Made<T>) -> Self {
        Self { answer: Json::of(made.record), is_replay: made.is_replay }
    }
}

impl<T: Serialize + Send + 'static, D: ToSchema + 'static> Answer for Replayable<Json<T, D>> {
    fn into_response(self) -> Result<Response> {
        let mut response = self.answer.into_response()?;
        if self.is_replay {
            response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        Ok(response)
    }

    fn response(schemas: &mut Schemas) -> ResponseDoc {
        let mut response = <Json<T, D> as Answer>::response(schemas);
        let header = HeaderBuilder::new()
            .description(Some("`true` if an earlier call with the same idempotency key had created it."))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]))));
        response.headers.insert("Idempotent-Replayed".to_owned(), header.build().into());
        response
    }
}
