//! What a client sees over a real connection.

use std::time::Duration;

use tasklane_local::server::Server;
use tasklane_model::PermissionMode;
use tasklane_service::FunctionOptions;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::kit::Kit;

/// Sends a request with a body of this many bytes, and reads the response only after that.
async fn post(target: &str, bytes: usize) -> String {
    let kit = Kit::new().await;
    let options = FunctionOptions { permission_mode: Some(PermissionMode::Public), ..FunctionOptions::default() };
    kit.world.function("open", options).await;
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    let server = tokio::spawn(server.serve(kit.router.clone(), CancellationToken::new()));
    let mut client = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let part = vec![b'x'; 1 << 16];
    for _ in 0..bytes / part.len() {
        client.write_all(&part).await.unwrap();
        // A client far away: the response is ready long before the body has arrived.
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    server.abort();
    answer
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let answer = post("/tasks/v1/api/hello/upload", 16 << 20).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let answer = post("/tasks/v1/api/open/upload", 16 << 20).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let answer = post("/tasks/v1/functions", 16 << 20).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("USER_NOT_AUTHENTICATED_EXCEPTION"), "{answer}");
    let answer = post("/nowhere", 16 << 20).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}
