//! A real web server, and what it may do to a client that fetches from it.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tasklane_auth::oidc::{
    Issuer, IssuerDocuments, OidcConfig,
    testing::{claims_with, noon, recorded, token},
};
use tasklane_ports::{Clock, SystemClock};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::HttpDocuments;

/// A server that answers every request with these bytes and closes, or hangs when there are none.
async fn server(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                // A client that has read enough disconnects.
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    url
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_token_is_checked_with_the_keys_that_its_issuer_serves() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (issuer, keys) = (url.clone(), recorded().jwks());
    let described = axum::Json(json!({ "issuer": issuer, "jwks_uri": format!("{url}/keys") }));
    let app = axum::Router::new()
        .route("/.well-known/openid-configuration", axum::routing::get(|| async { described }))
        .route("/keys", axum::routing::get(|| async { axum::Json(keys) }));
    tokio::spawn(axum::serve(listener, app).into_future());

    let config = OidcConfig::new(issuer.parse().unwrap(), ["tasklane"]).unwrap();
    let clock = Arc::new(SystemClock);
    let trusted = Issuer::new(config, Arc::new(HttpDocuments::over_tls()), clock.clone());
    let good = token(&claims_with(json!({ "iss": issuer, "exp": clock.now().as_secs() + 60 })));
    assert_eq!(trusted.identify(&good).await.unwrap().user_id.as_str(), "ada");
    let expired = token(&claims_with(json!({ "iss": issuer, "exp": noon().as_secs() })));
    assert!(trusted.identify(&expired).await.is_err());
}

#[tokio::test]
async fn an_invalid_response_is_an_error_with_the_url() {
    let large = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(300 * 1024)).into_bytes();
    for (answer, why) in [
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec(), "HTTP 503"),
        (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), "HTTP 204"),
        // Redirects are not followed: the issuer itself names the URL of its keys.
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec(), "HTTP 302"),
        (large, "length limit exceeded"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec(), ""),
        (b"nonsense\r\n\r\n".to_vec(), ""),
    ] {
        let url = server(answer).await;
        let error = HttpDocuments::over_tls().fetch(&url).await.unwrap_err().to_string();
        assert!(error.contains(&url) && error.contains(why), "{error}");
    }
    let error = HttpDocuments::over_tls().fetch("http://127.0.0.1:1/").await.unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.1:1/") && error.contains("Connection refused"), "{error}");
    let url = server(ok("{}")).await;
    assert_eq!(&HttpDocuments::over_tls().fetch(&url).await.unwrap()[..], b"{}");
}

#[tokio::test]
async fn an_unresponsive_server_is_an_error() {
    let url = server(Vec::new()).await;
    let documents = HttpDocuments::over_tls().with_patience(Duration::from_millis(50));
    let error = documents.fetch(&url).await.unwrap_err().to_string();
    assert!(error.contains("did not arrive within"), "{error}");
}
