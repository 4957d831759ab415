//! Endpoints about the service itself: the API document, the page made from it, and a health check. They are not in the
//! list of endpoints, because the document describes all of them, these included.

use std::sync::LazyLock;

use http::Method;
use serde::Serialize;
use tasklane_model::Result;
use tasklane_service::Service;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        OpenApi, RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::{
    access::Anybody,
    answer::{Html, Json},
    endpoint::Endpoint,
    endpoints::{GROUPS, Group},
    openapi::{self, page::Page},
};

/// The groups of this file. The document has a group of its own because its path lies among those of Tasks.
static ABOUT: [Group; 2] =
    [Group { below: "/tasks/v1/openapi.json", endpoints: document_endpoints }, Group { below: "", endpoints }];

pub fn groups() -> impl Iterator<Item = &'static Group> {
    GROUPS.iter().chain(&ABOUT)
}

pub fn all() -> Vec<Endpoint> {
    groups().flat_map(|group| (group.endpoints)()).collect()
}

/// The API document.
pub fn document() -> &'static OpenApi {
    static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| {
        let endpoints = all();
        openapi::document_of(
            endpoints.iter().map(|endpoint| (endpoint.path, endpoint.openapi_method(), &endpoint.description)),
        )
    });
    &DOCUMENT
}

/// The API document as a page for people.
pub fn api_page() -> &'static Page {
    static PAGE: LazyLock<Page> = LazyLock::new(|| openapi::page::render(&serde_json::json!(document())));
    &PAGE
}

fn document_endpoints() -> Vec<Endpoint> {
    let document = Endpoint::new(Method::GET, "/tasks/v1/openapi.json", "getApiDocument", get_document)
        .summary("Read this document, as OpenAPI 3.1");
    vec![document.tag("Service")]
}

fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, "/docs", "getApiPage", get_page).summary("Read this document, as a page"),
        Endpoint::new(Method::GET, "/healthz", "getHealth", get_health)
            .summary("Check whether the service is up")
            .about("For load balancers. It answers as soon as the process accepts requests, and calls nothing else."),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Service")).collect()
}

async fn get_document(_: Service, _: Anybody) -> Result<Json<&'static OpenApi, Document>> {
    Ok(Json::of(document()))
}

async fn get_page(_: Service, _: Anybody) -> Result<Html> {
    Ok(Html(api_page()))
}

async fn get_health(_: Service, _: Anybody) -> Result<Json<Health>> {
    Ok(Json::of(Health { status: "up", version: env!("CARGO_PKG_VERSION") }))
}

/// The service is up.
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
