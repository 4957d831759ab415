//! Values that handlers read from a request's body.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tasklane_model::{ErrorKind, Result};
use tasklane_ports::ByteStream;
use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder, Required,
        path::Parameter,
        request_body::{RequestBody, RequestBodyBuilder},
        schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type},
    },
};

use super::{
    body::{Fields, Incoming, encoding},
    config::{BodyLimits, HttpConfig},
    head::Head,
    openapi::{Schemas, reference},
};

/// A value that is read from a request's body.
pub trait Input: Sized + Send + 'static {
    /// The largest body that is accepted, in bytes; `None` leaves the body unread.
    fn limit(limits: &BodyLimits) -> Option<usize>;

    /// Refuses a body by its headers, before it is read.
    fn check(_: &Head) -> Result<()> {
        Ok(())
    }

    fn read(head: &Head, body: Bytes) -> Result<Self>;

    /// Reads the whole body, and then the value.
    fn receive(
        head: &Head,
        body: Incoming,
        config: &HttpConfig,
        is_anonymous: bool,
    ) -> impl Future<Output = Result<Self>> + Send {
        async move {
            let body = match Self::limit(&config.limits) {
                Some(limit) => {
                    Self::check(head)?;
                    read_whole(body, limit, config, is_anonymous).await?
                }
                None => Bytes::new(),
            };
            Self::read(head, body)
        }
    }

    /// Its description in the API document.
    fn request_body(schemas: &mut Schemas) -> Option<RequestBody>;

    /// The headers that it is read from, for the API document.
    fn headers() -> Vec<Parameter> {
        vec![]
    }

    /// The errors of reading it.
    fn errors() -> Vec<ErrorKind>;
}

/// Reads a body. This is the same for every input, so the program has it once.
async fn read_whole(body: Incoming, limit: usize, config: &HttpConfig, is_anonymous: bool) -> Result<Bytes> {
    body.read(limit, config.body_patience, config.bodies.account(is_anonymous)).await
}

/// A type that is read from the JSON object of a body. It also describes the body in the API document.
pub trait FromFields: ToSchema + Sized + Send + 'static {
    /// Reads it: 14 when fields are missing, 15 when a field breaks its rule.
    fn from_fields(fields: &Fields<'_>) -> Result<Self>;

    /// The largest body that is accepted, in bytes.
    fn limit(limits: &BodyLimits) -> usize {
        limits.default
    }

    /// The errors of reading it, besides 14 and 15.
    fn errors() -> Vec<ErrorKind> {
        vec![]
    }
}

/// A body that must be a JSON object (13, 22).
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

/// A body that may be absent. If present, it must be a JSON object (22).
#[derive(Debug)]
pub struct OptionalJsonBody<T>(pub Option<T>);

/// A zip that is passed on as it arrives.
pub struct StreamedZip(pub ByteStream);

impl Input for StreamedZip {
    fn limit(_: &BodyLimits) -> Option<usize> {
        None
    }

    fn read(_: &Head, body: Bytes) -> Result<Self> {
        Ok(Self(stream::once(async move { Ok(body) }).boxed()))
    }

    async fn receive(_: &Head, body: Incoming, config: &HttpConfig, _: bool) -> Result<Self> {
        Ok(Self(body.into_stream(config.body_patience)))
    }

    fn request_body(_: &mut Schemas) -> Option<RequestBody> {
        let zip =
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        let content = ContentBuilder::new().schema(Some(zip)).build();
        Some(
            RequestBodyBuilder::new()
                .content("application/octet-stream", content)
                .required(Some(Required::True))
                .build(),
        )
    }

    fn errors() -> Vec<ErrorKind> {
        vec![]
    }
}

/// A body that is ignored: clients send `{}` or nothing.
impl Input for () {
    fn limit(_: &BodyLimits) -> Option<usize> {
        None
    }

    fn read(_: &Head, _: Bytes) -> Result<Self> {
        Ok(())
    }

    fn request_body(_: &mut Schemas) -> Option<RequestBody> {
        None
    }

    fn errors() -> Vec<ErrorKind> {
        vec![]
    }
}

impl<T: FromFields> Input for JsonBody<T> {
    fn limit(limits: &BodyLimits) -> Option<usize> {
        Some(T::limit(limits))
    }

    fn check(head: &Head) -> Result<()> {
        encoding::check(&head.headers)
    }

    fn read(head: &Head, body: Bytes) -> Result<Self> {
        let text = encoding::text_of(&head.headers, &body)?;
        T::from_fields(&Fields::parse(text)?).map(Self)
    }

    fn request_body(schemas: &mut Schemas) -> Option<RequestBody> {
        Some(json_body::<T>(schemas, Required::True))
    }

    fn errors() -> Vec<ErrorKind> {
        let mut errors = <OptionalJsonBody<T> as Input>::errors();
        errors.push(ErrorKind::EmptyBody);
        errors
    }
}

impl<T: FromFields> Input for OptionalJsonBody<T> {
    fn limit(limits: &BodyLimits) -> Option<usize> {
        Some(T::limit(limits))
    }

    fn check(head: &Head) -> Result<()> {
        encoding::check(&head.headers)
    }

    fn read(head: &Head, body: Bytes) -> Result<Self> {
        let text = encoding::text_of(&head.headers, &body)?;
        Fields::parse_optional(text)?.map(|fields| T::from_fields(&fields)).transpose().map(Self)
    }

    fn request_body(schemas: &mut Schemas) -> Option<RequestBody> {
        Some(json_body::<T>(schemas, Required::False))
    }

    fn errors() -> Vec<ErrorKind> {
        let mut errors = vec![
            ErrorKind::BodyFormat,
            ErrorKind::MissingRequiredFields,
            ErrorKind::FieldFormat,
            ErrorKind::PayloadTooLarge,
            ErrorKind::UnsupportedMediaType,
            ErrorKind::TooManyRequests,
        ];
        errors.extend(T::errors());
        errors
    }
}

pub(super) fn json_body<T: ToSchema>(schemas: &mut Schemas, required: Required) -> RequestBody {
    let content = ContentBuilder::new().schema(Some(reference::<T>(schemas))).build();
    RequestBodyBuilder::new().content("application/json", content).required(Some(required)).build()
}
