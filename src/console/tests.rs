//! The console of a service that is slow, has no streams and keeps no statistics, as on AWS.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tasklane_client::testing::{Seen, Server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::Console;

const ID: &str = "0123456789abcdef01234567";

/// What such a service answers.
fn answer(seen: &Seen) -> (u16, Value) {
    let page = |data: Value| json!({ "query": "", "page": { "offset": 0, "limit": 50 }, "data": data });
    let none = json!({ "name": "ENDPOINT_EXCEPTION", "message": "There is no such endpoint." });
    match seen.target.split('?').next().unwrap_or_default() {
        "/users/v1/me" => (200, json!({ "id": "ada", "permissions": ["VIEW_TASKS", "CANCEL_TASKS"] })),
        "/tasklane/v1/overview" => {
            std::thread::sleep(Duration::from_millis(300));
            let slots = json!({ "used": 3, "limit": 1000 });
            let counts = json!({
                "running": 3, "runningIsExact": true, "ready": 1000, "readyIsExact": false, "waiting": 0, "waitingIsExact": true,
                "held": 0, "heldIsExact": true, "slots": slots, "directSlots": slots, "dispatchers": 0, "functions": [],
            });
            (200, counts)
        }
        "/tasklane/v1/bulk" => (200, page(json!([]))),
        "/tasks/v1/" => {
            let task = json!({
                "id": ID, "functionName": "hello", "status": "new", "statusChangedTimestamp": "2026-01-31T08:15:30.123Z", "tags": [],
                "startTimestamp": "2026-01-31T08:15:30.123Z", "priority": 0, "creationTimestamp": "2026-01-31T08:15:30.123Z",
                "updateTimestamp": "2026-01-31T08:15:30.123Z", "somethingNew": true,
            });
            (200, page(json!([task])))
        }
        "/tasks/v1/functions" => (401, json!({ "code": 10, "name": "NO_PERMISSION_EXCEPTION", "message": "No." })),
        _ => (404, none),
    }
}

/// A console of such a service, and a browser that was let in.
struct Visit {
    _service: Server,
    host: String,
    cookie: String,
    stop: CancellationToken,
}

impl Visit {
    async fn new() -> Self {
        let service = Server::start(answer).await;
        let console = Console::bind(0, service.client()).await.unwrap();
        let link = console.link();
        let (host, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(console.serve(stop.clone()));
        let let_in = ask(host, &format!("/{path}"), "").await.1;
        let cookie = let_in.split_once("set-cookie: ").unwrap().1.split(';').next().unwrap().to_owned();
        Self { _service: service, host: host.to_owned(), cookie, stop }
    }

    /// The page at this path, and how long its first byte took.
    async fn page(&self, path: &str) -> (Duration, String) {
        ask(&self.host, &format!("/console/{path}"), &self.cookie).await
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn ask(host: &str, path: &str, cookie: &str) -> (Duration, String) {
    let mut socket = TcpStream::connect(host).await.unwrap();
    let began = Instant::now();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = vec![0];
    socket.read_exact(&mut bytes).await.unwrap();
    let first = began.elapsed();
    socket.read_to_end(&mut bytes).await.unwrap();
    (first, String::from_utf8(bytes).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_service_delays_a_page_but_not_its_beginning() {
    let visit = Visit::new().await;
    let (first, page) = visit.page("").await;
    assert!(first < Duration::from_millis(250), "{first:?}");
    assert!(
        page.contains("aria-current=\"page\">Overview</a>")
            && page.contains("1,000+")
            && page.ends_with("</html>\r\n0\r\n\r\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_does_not_have_is_said() {
    let visit = Visit::new().await;
    let (_, page) = visit.page("").await;
    assert!(page.contains("keeps no history") && page.contains("No dispatcher is at work"), "{page}");
    let (_, page) = visit.page("nowhere").await;
    assert!(page.starts_with("HTTP/1.1 404") && page.contains("There is no such page"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_acts_depend_on_the_callers_permissions() {
    let visit = Visit::new().await;
    let (_, page) = visit.page("tasks").await;
    assert!(page.contains(ID) && page.contains("Cancel…") && !page.contains("Replay…"), "{page}");
    let (_, page) = visit.page("tasks").await;
    assert!(!page.contains(">Credentials</a>") && page.contains(">Failures</a>"), "{page}");
    let (_, page) = visit.page("schedules").await;
    assert!(page.starts_with("HTTP/1.1 403") && page.contains("VIEW_TASK_SCHEDULES"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_streams_the_console_looks_from_time_to_time() {
    let visit = Visit::new().await;
    let mut socket = TcpStream::connect(&visit.host).await.unwrap();
    let head = format!(
        "GET /console/changes?page=/console/live HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\n\r\n",
        visit.host, visit.cookie
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut seen, mut some) = (String::new(), vec![0; 4096]);
    while !seen.contains("every few seconds") || !seen.contains(ID) {
        let count = socket.read(&mut some).await.unwrap();
        assert!(count > 0, "the stream goes on: {seen}");
        seen.push_str(&String::from_utf8_lossy(&some[..count]));
    }
}
