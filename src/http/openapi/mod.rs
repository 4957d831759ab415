//! The API document: OpenAPI 3.1, made from the descriptions of the endpoints.

mod examples;
mod operation;
pub mod page;
mod parts;

use serde::Serialize;
use tasklane_model::{ErrorKind, ObjectId};
use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Tag,
        path::{HttpMethod, PathItem},
        security::{Http, HttpAuthScheme, SecurityScheme},
        tag::TagBuilder,
    },
};

pub use operation::{Description, Types};
use parts::{BEARER, OAUTH1};
pub use parts::{Schemas, reference};

/// The groups of endpoints, in the order that the document shows them.
pub const TAGS: [(&str, &str); 11] = [
    ("Functions", "Code plus configuration. Each one is a real AWS Lambda function."),
    (
        "Tasks",
        "Executions of Functions, planned, running or ended, with their input. They stay when the Function is deleted.",
    ),
    ("Bulk operations", "One act on many Tasks, which the service carries out itself."),
    ("Overview", "The whole service at a glance: what it is doing now, and how runs ended over time."),
    ("API Functions", "Functions called as HTTP endpoints, and the record of each call."),
    ("Schedules", "Create Tasks at a fixed interval, or when a clock shows certain times."),
    ("Credentials", "Who may call the service, and with which permissions."),
    (
        "Users",
        "Users who log in with an email address and a password, and the roles that say what they may do: as much of the \
         upstream's user service as the official CLI needs.",
    ),
    ("Callers", "What the service knows about the caller."),
    ("Service", "The service itself."),
    ("Tests", "The clock and the failures of a service that was started for tests."),
];

/// The JSON of a [`tasklane_model::Error`].
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error, description = "An error: what went wrong, where, and what to do about it.")]
#[serde(rename_all = "camelCase")]
pub struct ErrorDescription {
    /// The code of the error, for programs. Some errors have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    /// The name of the error.
    name: &'static str,
    /// What went wrong, where, and what to do about it.
    message: &'static str,
    /// The error that the Function's code threw (1406).
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_error: Option<RuntimeErrorDescription>,
    /// The Task whose run failed (1406 of a direct execution).
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<ObjectId>,
}

/// The error that a Function's code threw.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RuntimeError)]
pub struct RuntimeErrorDescription {
    /// The class or `name` of the thrown error, or Lambda's own name for how the run ended.
    name: &'static str,
    /// The message of the error.
    message: &'static str,
}

/// The document of these operations, each with its path, method and description.
pub fn document_of<'a>(operations: impl Iterator<Item = (&'static str, HttpMethod, &'a Description)>) -> OpenApi {
    let mut schemas = Schemas::new();
    reference::<ErrorDescription>(&mut schemas);
    let mut paths = PathsBuilder::new();
    for (path, method, description) in operations {
        paths = paths.path(path, PathItem::new(method, description.operation(&mut schemas)));
    }
    let info = InfoBuilder::new()
        .title("tasklane")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("about.md").trim()))
        .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build()))
        .build();
    let oauth1 = Http::builder().scheme(HttpAuthScheme::OAuth).description(Some(
        "OAuth 1.0a with HMAC-SHA1 in the Authorization header. The signature covers the query, RQL included; \
         scheme, host, port and path are those of the URL that the client uses.",
    ));
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).description(Some(
        "An access token in the Authorization header: one of this service's own, or a JWT of the OIDC issuer that \
             this deployment trusts.",
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
