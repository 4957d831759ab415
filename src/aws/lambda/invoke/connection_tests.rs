//! What becomes of a run when its connection to Lambda breaks, or cannot be made.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_sdk_lambda::config::{Credentials, Region, SharedCredentialsProvider};
use tasklane_ports::Clock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    tests::{run_on, settings},
    *,
};
use crate::{config::behavior_version, http_client, testing::SleeplessClock};

/// The adapter for a Lambda at this port of the machine.
fn adapter(port: u16, clock: &Arc<SleeplessClock>) -> AwsLambda {
    let credentials = Credentials::new("id", "key", None, None, "test");
    let sdk = aws_config::SdkConfig::builder()
        .behavior_version(behavior_version())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .http_client(http_client::for_invocations(Arc::clone(clock) as Arc<dyn Clock>))
        .build();
    AwsLambda::new(&sdk, http_client::downloads(), settings(), Arc::clone(clock) as Arc<dyn Clock>)
}

async fn run(lambda: &AwsLambda) -> Result<Invocation, InvokeError> {
    run_on(lambda, "{}").await
}

/// Answers the first request of a connection, and closes it without an answer to the second one, as a connection
/// does that broke while its client was frozen.
async fn answer_once(mut stream: TcpStream) {
    let mut request = Vec::new();
    let is_whole = |request: &[u8]| request.windows(4).any(|end| end == b"\r\n\r\n") && request.ends_with(b"{}");
    while !is_whole(&request) {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull").await.unwrap();
    let _ = stream.read(&mut [0; 1]).await;
}

/// A Lambda whose connections work once. Returns its port and the number of its connections.
async fn fragile_lambda() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer_once(stream));
        }
    });
    (port, connections)
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_not_used_again() {
    let (port, connections) = fragile_lambda().await;
    let clock = SleeplessClock::at("2026-01-31T08:00:00Z");
    let lambda = adapter(port, &clock);
    for round in 1..=3 {
        run(&lambda).await.unwrap();
        assert_eq!(connections.load(Ordering::SeqCst), round);
        // The handler is frozen between two invocations.
        clock.sleep(Duration::from_secs(6)).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_in_use_is_used_again() {
    let (port, connections) = fragile_lambda().await;
    let clock = SleeplessClock::at("2026-01-31T08:00:00Z");
    let lambda = adapter(port, &clock);
    run(&lambda).await.unwrap();
    assert!(matches!(run(&lambda).await, Err(InvokeError::OutcomeUnknown(_))), "the request was sent");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_run_that_finds_no_connection_did_not_take_place() {
    let clock = SleeplessClock::at("2026-01-31T08:00:00Z");
    let began = clock.now();
    // Nobody listens there any more.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = run(&adapter(port, &clock)).await;
    assert!(matches!(refused, Err(InvokeError::Throttled(_))), "{refused:?}");
    assert!(clock.now().since(began) > Duration::from_secs(5), "it was tried again");
}
