//! Which URL a signature must be for (contract §7): the one that the client saw, as somebody says who can be believed.

use axum::body::Body;
use http::Request;

use super::{kit::Kit, signer::Signer};
use crate::http::{ClientUri, HttpConfig};

/// Asks with a signature for `signed`; answers the status and the error's code.
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
async fn a_public_url_stands_for_whatever_host_the_request_names() {
    let (kit, signer) = kit(Some("https://api.example.com")).await;
    let behind = || Request::get("/tasks/v1/?limit(1)").header("host", "10.0.0.7:4000");
    assert_eq!(ask(&kit, &signer, "https://api.example.com/tasks/v1/?limit(1)", behind()).await, FITS);
    assert_eq!(ask(&kit, &signer, "https://api.example.com:443/tasks/v1/?limit(1)", behind()).await, FITS);
    for other in ["http://10.0.0.7:4000/tasks/v1/?limit(1)", "http://api.example.com/tasks/v1/?limit(1)"] {
        assert_eq!(ask(&kit, &signer, other, behind()).await, DOES_NOT_FIT, "{other}");
    }
    // Nor does a request that was signed for another deployment count, whatever Host it comes with.
    let replayed = || Request::get("/tasks/v1/").header("host", "staging.example.com");
    assert_eq!(ask(&kit, &signer, "http://staging.example.com/tasks/v1/", replayed()).await, DOES_NOT_FIT);
}

#[tokio::test]
async fn a_stage_that_was_taken_off_the_path_was_signed() {
    let whole = "https://a.execute-api.eu-west-1.amazonaws.com/prod/tasks/v1/?limit(1)";
    let bare = whole.replace("/prod", "");
    let staged = || Request::get(&bare).extension(ClientUri(whole.parse().unwrap()));
    let (direct, signer) = kit(None).await;
    assert_eq!(ask(&direct, &signer, whole, staged()).await, FITS);
    assert_eq!(ask(&direct, &signer, &bare, staged()).await, DOES_NOT_FIT);
    assert_eq!(ask(&direct, &signer, &bare, Request::get(&bare)).await, FITS);
}
