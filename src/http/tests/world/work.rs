//! The work of a request when it panics, when its client hangs up and when it takes too long.

use std::{future, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use tasklane_http::{
    HttpConfig,
    access::Anybody,
    answer::Json,
    endpoint::{Endpoint, PathValues},
    serve,
};
use tasklane_model::Result;
use tasklane_service::Service;
use tasklane_testing::World;
use tokio::sync::Notify;

use super::kit::shared;

async fn answer_of(endpoint: Endpoint, config: HttpConfig) -> (u16, Value) {
    let request = Request::builder().uri(endpoint.path).body(Body::empty()).unwrap();
    let response =
        serve::answer(Arc::new(shared(&World::at_rest(5).await, config)), &endpoint, request, PathValues::default())
            .await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_panic_is_a_server_error_that_reveals_nothing() {
    async fn panics(_: Service, _: Anybody) -> Result<Json<bool>> {
        panic!("the secret is 42")
    }
    let endpoint = Endpoint::new(Method::GET, "/panics", "panics", panics);
    let (status, body) = answer_of(endpoint, HttpConfig::default()).await;
    assert_eq!((status, body["code"].as_u64()), (500, Some(1)));
    assert!(!body.to_string().contains("42"));
}

#[tokio::test]
async fn a_response_that_takes_too_long_is_a_server_error() {
    async fn hangs(_: Service, _: Anybody) -> Result<Json<bool>> {
        future::pending().await
    }
    let endpoint = Endpoint::new(Method::GET, "/hangs", "hangs", hangs);
    let config = HttpConfig { answer_patience: Duration::ZERO, ..HttpConfig::default() };
    let (status, body) = answer_of(endpoint, config).await;
    assert_eq!((status, body["code"].as_u64()), (500, Some(1)));
}

#[tokio::test]
async fn work_continues_when_its_client_hangs_up_and_can_be_awaited() {
    let (began, may_end, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (began, may_end, ended) = (began.clone(), may_end.clone(), ended.clone());
        move |_: Service, _: Anybody| {
            let (began, may_end, ended) = (began.clone(), may_end.clone(), ended.clone());
            async move {
                began.notify_one();
                may_end.notified().await;
                ended.notify_one();
                Ok(Json::<bool>::of(true))
            }
        }
    };
    let endpoint = Endpoint::new(Method::GET, "/works", "works", handler);
    let shared = Arc::new(shared(&World::at_rest(5).await, HttpConfig::default()));
    let in_flight = shared.in_flight.clone();
    let request = Request::builder().uri("/works").body(Body::empty()).unwrap();
    let client = serve::answer(shared, &endpoint, request, PathValues::default());
    tokio::select! {
        _ = client => unreachable!("the handler is still waiting"),
        () = began.notified() => {}
    }
    in_flight.close();
    assert_eq!(in_flight.len(), 1);
    may_end.notify_one();
    in_flight.wait().await;
    ended.notified().await;
}
