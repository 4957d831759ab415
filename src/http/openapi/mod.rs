//! The API document: OpenAPI 3.1, made of the endpoints themselves.

mod operation;
mod page;

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr, Tag,
        path::PathItem,
        schema::Schema,
        security::{Http, HttpAuthScheme, SecurityScheme},
        tag::TagBuilder,
    },
};

pub use operation::{Description, Types};

use super::{endpoint::Endpoint, endpoints};
use crate::model::{ErrorKind, ObjectId};

/// The schemas that descriptions refer to, by name.
pub type Schemas = BTreeMap<String, RefOr<Schema>>;

/// The security scheme of OAuth 1.0a, by its name in the document.
pub const OAUTH1: &str = "oauth1";
/// The security scheme of bearer tokens, by its name in the document.
pub const BEARER: &str = "bearer";

/// What groups endpoints, in the order in which people meet them.
pub const TAGS: [(&str, &str); 7] = [
    ("Functions", "Code plus configuration: one real AWS Lambda function each."),
    ("Tasks", "Planned or running executions of Functions, with their input. Records outlive the Function."),
    ("API Functions", "Functions called as HTTP endpoints, and the records that such calls leave."),
    ("Schedules", "Create a Task every so many seconds."),
    ("Credentials", "Who may call, with which permissions."),
    ("Callers", "What the service knows of whoever calls."),
    ("Service", "The service itself."),
];

/// Notes what `T` is, and refers to it.
pub fn reference<T: ToSchema>(schemas: &mut Schemas) -> Ref {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    schemas.extend(found);
    Ref::from_schema_name(T::name())
}

/// The API document.
pub fn document() -> &'static OpenApi {
    static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| document_of(&endpoints::all()));
    &DOCUMENT
}

/// The page that people read it on.
pub fn html() -> &'static str {
    static PAGE: LazyLock<String> = LazyLock::new(|| page::render(&serde_json::json!(document())));
    &PAGE
}

/// What [`crate::model::Error`] writes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error, description = "An error: what went wrong, where, and what to do.")]
#[serde(rename_all = "camelCase")]
pub struct ErrorDescription {
    /// What clients tell errors apart by; ENDPOINT_EXCEPTION and PAYLOAD_TOO_LARGE_EXCEPTION have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    /// Its name.
    name: &'static str,
    /// What was wrong, where, and what to do.
    message: &'static str,
    /// What the Function's code threw (1406).
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_error: Option<RuntimeErrorDescription>,
    /// The Task whose run failed (1406 of a direct execution).
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<ObjectId>,
}

/// What a Function's code threw.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RuntimeError)]
pub struct RuntimeErrorDescription {
    /// The class or `name` of what was thrown, or Lambda's own name for how the run ended.
    name: &'static str,
    /// Its message.
    message: &'static str,
}

fn document_of(endpoints: &[Endpoint]) -> OpenApi {
    let mut schemas = Schemas::new();
    reference::<ErrorDescription>(&mut schemas);
    let mut paths = PathsBuilder::new();
    for endpoint in endpoints {
        let operation = endpoint.description.operation(&mut schemas);
        paths = paths.path(endpoint.path, PathItem::new(endpoint.openapi_method(), operation));
    }
    let info = InfoBuilder::new()
        .title("tasklane")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("about.md").trim()))
        .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build()))
        .build();
    let oauth1 = Http::builder().scheme(HttpAuthScheme::OAuth).description(Some(
        "OAuth 1.0a with HMAC-SHA1 in the Authorization header. The query takes part in the signature, RQL too; \
         scheme, host, port and path are those that the client sees.",
    ));
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(
        "An access token in the Authorization header: one of this service, or a JWT of the OIDC issuer that this \
             deployment trusts.",
    ));
    let errors = ErrorKind::ALL.iter().fold(ComponentsBuilder::new(), |components, kind| {
        components.example(kind.name(), operation::error_example(*kind))
    });
    let components = errors
        .schemas_from_iter(schemas)
        .security_scheme(OAUTH1, SecurityScheme::Http(oauth1.build()))
        .security_scheme(BEARER, SecurityScheme::Http(bearer.build()))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .tags(Some(TAGS.map(|(name, about)| -> Tag { TagBuilder::new().name(name).description(Some(about)).build() })))
        .build()
}
