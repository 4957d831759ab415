//! Which URL a signature must be for (contract §7): the one that the client used, according to a source that can be
//! trusted.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{Method, Request};
use tasklane_http::{ClientUri, Hosts, HttpConfig};
use tasklane_model::PermissionMode;
use tasklane_service::FunctionOptions;

use super::{kit::Kit, signer::Signer};

/// Sends a request with a signature for `signed`, and returns the status and the code of the error.
async fn ask(kit: &Kit, signer: &Signer, signed: &str, request: http::request::Builder) -> (u16, u64) {
    let request = request.header("authorization", signer.get(signed, kit.world.now()));
    let answered = kit.send(request.body(Body::empty()).unwrap()).await;
    (answered.status.as_u16(), answered.code())
}

const FITS: (u16, u64) = (200, 0);
const DOES_NOT_FIT: (u16, u64) = (401, 109);

async fn kit(public_url: Option<&str>) -> (Kit, Signer) {
    let kit =
        Kit::with(HttpConfig { public_url: public_url.map(|url| url.parse().unwrap()), ..HttpConfig::default() }).await;
    let signer = Signer::of(&kit.credential(&["VIEW_TASKS"], None).await);
    (kit, signer)
}

#[tokio::test]
async fn forwarding_headers_change_nothing() {
    let (kit, signer) = kit(None).await;
    let forwarded = || {
        Request::get("/tasks/v1?limit(1)")
            .header("host", "localhost:4000")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "api.example.com")
            .header("x-forwarded-port", "443")
            .header("x-original-url", "/other")
            .header("forwarded", "proto=https;host=api.example.com")
    };
    assert_eq!(ask(&kit, &signer, "http://localhost:4000/tasks/v1?limit(1)", forwarded()).await, FITS);
    for other in [
        "https://localhost:4000/tasks/v1?limit(1)",
        "https://api.example.com/tasks/v1?limit(1)",
        "http://api.example.com/tasks/v1?limit(1)",
        "http://localhost/tasks/v1?limit(1)",
        "http://localhost:4000/other?limit(1)",
    ] {
        assert_eq!(ask(&kit, &signer, other, forwarded()).await, DOES_NOT_FIT, "{other}");
    }
}

#[tokio::test]
async fn a_public_url_replaces_the_host_of_the_request() {
    let (kit, signer) = kit(Some("https://api.example.com")).await;
    let behind = || Request::get("/tasks/v1/?limit(1)").header("host", "10.0.0.7:4000");
    assert_eq!(ask(&kit, &signer, "https://api.example.com/tasks/v1/?limit(1)", behind()).await, FITS);
    assert_eq!(ask(&kit, &signer, "https://api.example.com:443/tasks/v1/?limit(1)", behind()).await, FITS);
    for other in ["http://10.0.0.7:4000/tasks/v1/?limit(1)", "http://api.example.com/tasks/v1/?limit(1)"] {
        assert_eq!(ask(&kit, &signer, other, behind()).await, DOES_NOT_FIT, "{other}");
    }
    // A request that was signed for another deployment is refused, whatever its Host is.
    let replayed = || Request::get("/tasks/v1/").header("host", "staging.example.com");
    assert_eq!(ask(&kit, &signer, "http://staging.example.com/tasks/v1/", replayed()).await, DOES_NOT_FIT);
}

#[tokio::test]
async fn the_signature_covers_a_stage_that_was_removed_from_the_path() {
    let whole = "https://a.execute-api.eu-west-1.amazonaws.com/prod/tasks/v1/?limit(1)";
    let bare = whole.replace("/prod", "");
    let staged = || Request::get(&bare).extension(ClientUri(whole.parse().unwrap()));
    let (direct, signer) = kit(None).await;
    assert_eq!(ask(&direct, &signer, whole, staged()).await, FITS);
    assert_eq!(ask(&direct, &signer, &bare, staged()).await, DOES_NOT_FIT);
    assert_eq!(ask(&direct, &signer, &bare, Request::get(&bare)).await, FITS);
}

const FORM: &str = "application/x-www-form-urlencoded";
const CALL: &str = "http://localhost:4000/tasks/v1/api/web/x";

/// Posts this body with a signature for this URL to a Function that users may call, and returns the response. A form
/// adds the same to a signature as a query with the same text.
async fn post(signed: &str, target: &str, kind: &str, body: impl Into<Body>) -> u64 {
    let (kit, signer) = kit(None).await;
    let options = FunctionOptions { permission_mode: Some(PermissionMode::AllUsers), ..FunctionOptions::default() };
    kit.world.function("web", options).await;
    let request = Request::post(target).header("host", "localhost:4000").header("content-type", kind);
    let request = request.header("authorization", signer.sign(&Method::POST, signed, kit.world.now()));
    let answered = kit.send(request.body(body.into()).unwrap()).await;
    // If it is called, the Function returns something invalid.
    if answered.code() == 1409 { 0 } else { answered.code() }
}

#[tokio::test]
async fn a_form_is_signed_with_the_request_or_not_at_all() {
    let with = |query: &str| format!("{CALL}?{query}");
    let form = "a=1&b=x+y%26z&a=2";
    let with_charset = format!("{FORM}; charset=UTF-8");
    // In a loop, because without optimization each call that is written out takes a tenth of a thread's stack.
    for (signed, target, kind, body, code) in [
        (with("a=1&b=x%20y%26z&a=2"), CALL.to_owned(), FORM, form.to_owned(), 0),
        (with("a=1&q=3&b=x%20y%26z&a=2"), with("q=3"), &with_charset, form.to_owned(), 0),
        (with("a=1&b=x%20y%26z&a=2"), CALL.to_owned(), FORM, format!("{form}3"), 109),
        (with("a=1&b=x%20y%26z&a=2"), CALL.to_owned(), FORM, String::new(), 109),
        // Text is not read as a form.
        (with("a=1&b=x%20y%26z&a=2"), CALL.to_owned(), "text/plain", form.to_owned(), 109),
        // The official clients sign like this.
        (CALL.to_owned(), CALL.to_owned(), FORM, form.to_owned(), 0),
        (with("oauth_x=1"), CALL.to_owned(), FORM, "oauth_x=1".to_owned(), 109),
    ] {
        let shown = format!("{signed} to {target} with {kind}: {body}");
        assert_eq!(post(&signed, &target, kind, body).await, code, "{shown}");
    }
}

#[tokio::test]
async fn only_a_known_consumers_form_is_awaited() {
    let (kit, signer) = kit(None).await;
    let never = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let now = kit.world.now();
    let right = signer.sign(&Method::POST, &format!("{CALL}?a=1"), now);
    let old = signer.sign(&Method::POST, &format!("{CALL}?a=1"), now.saturating_sub(Duration::from_secs(3600)));
    let stranger = right.replace("oauth_consumer_key=\"", "oauth_consumer_key=\"x");
    let other_token = right.replace("oauth_token=\"", "oauth_token=\"x");
    for (authorization, code) in [(stranger, 107), (other_token, 108), (old, 109)] {
        let request = Request::post(CALL).header("host", "localhost:4000").header("content-type", FORM);
        let request = request.header("authorization", authorization).body(never()).unwrap();
        assert_eq!(kit.send(request).await.code(), code);
    }
}

#[tokio::test]
async fn unsigned_parts_are_refused() {
    let (kit, signer) = kit(None).await;
    let asked = |query: &str| Request::get(format!("/tasks/v1/{query}")).header("host", "localhost:4000");
    for query in ["?toString=1", "?constructor=x&hasOwnProperty=1", "?oauth_nonce=limit", "?=1"] {
        assert_eq!(ask(&kit, &signer, "http://localhost:4000/tasks/v1/", asked(query)).await, DOES_NOT_FIT, "{query}");
    }
}

#[tokio::test]
async fn a_local_server_refuses_other_hosts() {
    let kit = Kit::with(HttpConfig { hosts: Hosts::of_this_machine(), ..HttpConfig::default() }).await;
    let signer = Signer::of(&kit.credential(&["VIEW_TASKS"], None).await);
    let asked = |host: &str| Request::get("/tasks/v1/").header("host", host);
    assert_eq!(ask(&kit, &signer, "http://localhost:4000/tasks/v1/", asked("localhost:4000")).await, FITS);
    assert_eq!(ask(&kit, &signer, "http://evil.example/tasks/v1/", asked("evil.example")).await, (421, 0));
    let open = kit.send(Request::get("/healthz").header("host", "evil.example").body(Body::empty()).unwrap()).await;
    assert_eq!((open.status.as_u16(), open.name().as_str()), (421, "MISDIRECTED_REQUEST_EXCEPTION"));
}

#[tokio::test]
async fn a_server_on_a_network_refuses_signatures_for_unknown_hosts() {
    let hosts = Hosts::of_a_network().and(["tasklane".to_owned()]);
    let kit = Kit::with(HttpConfig { hosts, ..HttpConfig::default() }).await;
    let signer = Signer::of(&kit.credential(&["VIEW_TASKS"], None).await);
    let asked = |host: &str| Request::get("/tasks/v1/").header("host", host);
    assert_eq!(ask(&kit, &signer, "http://evil.example/tasks/v1/", asked("evil.example")).await, DOES_NOT_FIT);
    assert_eq!(ask(&kit, &signer, "http://tasklane:4000/tasks/v1/", asked("tasklane:4000")).await, FITS);
    let open = kit.send(Request::get("/healthz").header("host", "evil.example").body(Body::empty()).unwrap()).await;
    assert_eq!(open.status.as_u16(), 200);
}
