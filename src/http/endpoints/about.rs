//! The service about itself: the API document, the page made of it, and whether it is up.

use http::Method;
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        OpenApi, RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use crate::{
    http::{
        access::Anybody,
        answer::{Html, Json},
        endpoint::Endpoint,
        openapi,
    },
    model::Result,
    service::Service,
};

/// The API document, which stands among the paths of the Task Service.
pub fn document_endpoints() -> Vec<Endpoint> {
    let document = Endpoint::new(Method::GET, "/tasks/v1/openapi.json", "getApiDocument", document)
        .summary("Read this document, as OpenAPI 3.1");
    vec![document.tag("Service")]
}

/// What else this file serves.
pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, "/docs", "getApiPage", page).summary("Read this document, as a page"),
        Endpoint::new(Method::GET, "/healthz", "getHealth", health)
            .summary("Ask whether the service is up")
            .about("For load balancers: it answers as soon as the process takes requests, and asks nothing behind it."),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Service")).collect()
}

async fn document(_: Service, _: Anybody) -> Result<Json<&'static OpenApi, Document>> {
    Ok(Json::of(openapi::document()))
}

async fn page(_: Service, _: Anybody) -> Result<Html> {
    Ok(Html(openapi::html()))
}

async fn health(_: Service, _: Anybody) -> Result<Json<Health>> {
    Ok(Json::of(Health { status: "up", version: env!("CARGO_PKG_VERSION") }))
}

/// That the service is up.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `up`.
    status: &'static str,
    /// The service's version.
    version: &'static str,
}

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document;

impl PartialSchema for Document {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Object).description(Some("An OpenAPI 3.1 document.")).into()
    }
}

impl ToSchema for Document {}
