//! The Runtime API, used by a process that breaks the rules.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::mpsc,
};

use crate::runtime_api::{Answer, Delivery, Event, RuntimeApi};

fn delivery() -> Delivery {
    let text = || "text".to_owned();
    let (request_id, payload) = ("id".into(), Bytes::from_static(b"{}"));
    Delivery { request_id, deadline_millis: 0, function_arn: text(), trace_id: text(), payload }
}

const NEXT: &str = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: x\r\n\r\n";
const DONE: &str = "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";

/// The next bytes that arrive in one piece.
async fn said_to(process: &mut UnixStream) -> String {
    let mut bytes = [0; 4096];
    let count = tokio::time::timeout(std::time::Duration::from_secs(10), process.read(&mut bytes)).await;
    String::from_utf8_lossy(&bytes[..count.unwrap().unwrap()]).into_owned()
}

/// A Runtime API on a socket.
struct Served {
    socket: PathBuf,
    api: RuntimeApi,
    told: mpsc::UnboundedReceiver<Event>,
    _folder: tempfile::TempDir,
}

impl Served {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api");
        let (api, told) = RuntimeApi::listen(Some(&socket)).await.unwrap();
        Self { socket, api, told, _folder: folder }
    }
}

/// A connection on which the process has asked for its next invocation and received it.
async fn invoked(served: &mut Served) -> UnixStream {
    let mut process = UnixStream::connect(&served.socket).await.unwrap();
    process.write_all(NEXT.as_bytes()).await.unwrap();
    assert!(matches!(served.told.recv().await, Some(Event::Ready)));
    served.api.deliver(delivery()).await;
    assert!(said_to(&mut process).await.starts_with("HTTP/1.1 200"));
    process
}

/// On one thread, so that everything that is not held back is written before the test goes on.
#[tokio::test]
async fn a_process_that_waits_for_its_next_invocation_is_woken_once() {
    let mut served = Served::new().await;
    let mut process = invoked(&mut served).await;
    let Served { api, mut told, .. } = served;

    process.write_all(format!("{DONE}{NEXT}").as_bytes()).await.unwrap();
    assert!(matches!(told.recv().await, Some(Event::Answered(_))));
    assert!(matches!(told.recv().await, Some(Event::Ready)));
    let nothing = process.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    api.deliver(delivery()).await;
    let said = said_to(&mut process).await;
    assert!(said.starts_with("HTTP/1.1 202"), "{said}");
    assert!(said.contains("HTTP/1.1 200") && said.ends_with("{}"), "{said}");

    // A process that asks for the next invocation only after its answer was accepted gets that reply immediately.
    process.write_all(DONE.as_bytes()).await.unwrap();
    assert!(said_to(&mut process).await.starts_with("HTTP/1.1 202"));
}

/// On one thread, so that nothing is read before everything is written.
#[tokio::test]
async fn a_request_right_before_the_end_of_a_connection_is_handled() {
    let Served { socket, api, mut told, _folder } = Served::new().await;
    for (route, body) in [("response", "\"done\""), ("error", "{\"errorType\":\"E\",\"errorMessage\":\"m\"}")] {
        let mut asking = UnixStream::connect(&socket).await.unwrap();
        asking.write_all(NEXT.as_bytes()).await.unwrap();
        assert!(matches!(told.recv().await, Some(Event::Ready)));
        api.deliver(delivery()).await;
        assert!(asking.read(&mut [0; 1024]).await.unwrap() > 0);
        let mut saying = asking.into_std().unwrap();
        saying.set_nonblocking(false).unwrap();
        let head = format!("POST /2018-06-01/runtime/invocation/id/{route} HTTP/1.1\r\nhost: x\r\n");
        saying.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        drop(saying);
        let heard = tokio::time::timeout(std::time::Duration::from_secs(10), told.recv()).await;
        assert!(matches!(heard, Ok(Some(Event::Answered(_)))), "{route}: {heard:?}");
    }
}

/// How many of these connections the other side has closed.
fn closed(connections: &[UnixStream]) -> usize {
    let is_closed = |connection: &&UnixStream| match connection.try_read(&mut [0; 512]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    };
    connections.iter().filter(is_closed).count()
}

async fn until(condition: impl Fn() -> bool) {
    let eventually = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), eventually).await.unwrap();
}

#[tokio::test]
async fn connections_are_limited_and_only_one_outlives_the_run() {
    let mut served = Served::new().await;
    let mut process = invoked(&mut served).await;
    let Served { socket, api, mut told, _folder } = served;

    let mut others = Vec::new();
    for said in
        ["", "GET", "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1"]
    {
        for _ in 0..12 {
            let mut other = UnixStream::connect(&socket).await.unwrap();
            // Fails on a connection that was closed immediately.
            let _ = other.write_all(said.as_bytes()).await;
            others.push(other);
        }
    }
    // One of the 16 is taken.
    until(|| closed(&others) == 36 - 15).await;
    others.retain(|other| closed(std::slice::from_ref(other)) == 0);

    process.write_all(format!("{DONE}{NEXT}").as_bytes()).await.unwrap();
    assert!(matches!(told.recv().await, Some(Event::Answered(_))));
    assert!(matches!(told.recv().await, Some(Event::Ready)));
    api.close_but_waiting();
    until(|| closed(&others) == others.len()).await;
    api.deliver(delivery()).await;
    let said = said_to(&mut process).await;
    assert!(said.starts_with("HTTP/1.1 202") && said.contains("HTTP/1.1 200"), "{said}");
    let _ = UnixStream::connect(&socket).await.unwrap();
}

/// Of a body that must not be read, only as much is kept as fits into the buffers of the two sockets, a few hundred
/// kilobytes.
#[tokio::test]
async fn a_body_is_read_only_for_the_current_invocation_and_one_at_a_time() {
    const HEAD: &str = "HTTP/1.1\r\nhost: x\r\ncontent-length: 6000000\r\n\r\n";
    let mut served = Served::new().await;
    let _process = invoked(&mut served).await;
    let Served { socket, api: _api, mut told, _folder } = served;

    // A body for no invocation is read to its end and discarded.
    let mut wrong = UnixStream::connect(&socket).await.unwrap();
    wrong.write_all(format!("POST /2018-06-01/runtime/invocation/x/response {HEAD}").as_bytes()).await.unwrap();
    wrong.write_all(&vec![b'x'; 6_000_000]).await.unwrap();
    assert!(said_to(&mut wrong).await.starts_with("HTTP/1.1 400"));

    // The first body for this invocation is being read; the second one waits until that is finished.
    let mut first = UnixStream::connect(&socket).await.unwrap();
    first.write_all(format!("POST /2018-06-01/runtime/invocation/id/response {HEAD}").as_bytes()).await.unwrap();
    first.write_all(&vec![b'x'; 5_999_999]).await.unwrap();
    let mut second = UnixStream::connect(&socket).await.unwrap();
    second.write_all(format!("POST /2018-06-01/runtime/invocation/id/response {HEAD}").as_bytes()).await.unwrap();
    let body = vec![b'y'; 6_000_000];
    let writing = second.write_all(&body);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), writing).await.is_err(), "it was read");
    first.write_all(b"x").await.unwrap();
    assert!(said_to(&mut first).await.starts_with("HTTP/1.1 202"));
    match told.recv().await {
        Some(Event::Answered(Answer::Returned(bytes))) => assert_eq!(bytes.len(), 6_000_000),
        other => panic!("{other:?}"),
    }
}
