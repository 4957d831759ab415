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
    body::encoding,
    config::BodyLimits,
    head::Head,
    input::{FromFields, Input, JsonBody, OptionalJsonBody},
    openapi::Schemas,
};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of a response that describes what an earlier call created.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A body that may hold an idempotency key.
pub trait HasKey: FromFields {
    fn key(&self) -> Option<&IdempotencyKey>;
}

/// A JSON body whose call may have an idempotency key.
pub trait KeyedBody: Input {
    /// The key in the body.
    fn key(&self) -> Option<&IdempotencyKey>;

    /// Whether there is no body, which is like an empty object.
    fn is_absent(&self) -> bool;
}

impl<T: HasKey> KeyedBody for JsonBody<T> {
    fn key(&self) -> Option<&IdempotencyKey> {
        self.0.key()
    }

    fn is_absent(&self) -> bool {
        false
    }
}

impl<T: HasKey> KeyedBody for OptionalJsonBody<T> {
    fn key(&self) -> Option<&IdempotencyKey> {
        self.0.as_ref().and_then(T::key)
    }

    fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}

/// A body, and the idempotency key that the call has in it or in a header.
#[derive(Debug)]
pub struct OnceBody<B> {
    pub body: B,
    pub once: Option<Once>,
}

impl<B: KeyedBody> Input for OnceBody<B> {
    fn limit(limits: &BodyLimits) -> Option<usize> {
        B::limit(limits)
    }

    fn check(head: &Head) -> Result<()> {
        B::check(head)
    }

    fn read(head: &Head, bytes: Bytes) -> Result<Self> {
        let body = B::read(head, bytes.clone())?;
        let once = match key_of(head, body.key())? {
            None => None,
            Some(key) => {
                let text = if body.is_absent() { "{}" } else { encoding::text_of(&head.headers, &bytes)? };
                Some(Once { key, body: BodyDigest::of(text.trim_ascii_start()) })
            }
        };
        Ok(Self { body, once })
    }

    fn request_body(schemas: &mut Schemas) -> Option<RequestBody> {
        B::request_body(schemas)
    }

    fn headers() -> Vec<Parameter> {
        vec![key_parameter()]
    }

    fn errors() -> Vec<ErrorKind> {
        [B::errors(), vec![ErrorKind::IllegalArgument, ErrorKind::IdempotencyKeyReused]].concat()
    }
}

/// The call's key: 15 when the header is not a key, 26 when header and body disagree.
fn key_of(head: &Head, in_body: Option<&IdempotencyKey>) -> Result<Option<IdempotencyKey>> {
    let mut headers = head.headers.get_all(HEADER).iter();
    let in_header = headers.next().map(key_in).transpose()?;
    if headers.next().is_some() {
        return Err(Error::new(ErrorKind::FieldFormat, "The header 'Idempotency-Key' must be sent only once."));
    }
    match (in_header, in_body) {
        (Some(header), Some(body)) if header != *body => {
            let message =
                format!("The header 'Idempotency-Key' and the field '{IDEMPOTENCY_KEY}' differ: send one of them.");
            Err(Error::new(ErrorKind::IllegalArgument, message))
        }
        (Some(key), _) => Ok(Some(key)),
        (None, key) => Ok(key.cloned()),
    }
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
