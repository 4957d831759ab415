//! Hostile requests, over a real connection where it makes a difference.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tasklane_local::server::{Limits, Patience, Server};
use tasklane_model::PermissionMode;
use tasklane_service::FunctionOptions;
use tasklane_testing::TestLambda;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::kit::Kit;

/// How long a head may take in these tests.
const HEAD_PATIENCE: Duration = Duration::from_millis(700);

const PATIENCE: Patience = Patience {
    head: HEAD_PATIENCE,
    idle: Duration::from_secs(120),
    write: Duration::from_secs(60),
    linger: Duration::from_secs(2),
};

/// A server with a public Function `web`, and the paths that it was called with.
struct House {
    address: SocketAddr,
    called: Arc<Mutex<Vec<String>>>,
    _kit: Kit,
    stop: DropGuard,
    serving: JoinHandle<io::Result<()>>,
}

impl House {
    async fn open(answer: &'static str) -> Self {
        Self::with_room_for(answer, Limits { total: 400, per_address: 400 }).await
    }

    async fn with_room_for(answer: &'static str, limits: Limits) -> Self {
        Self::with(answer, limits, PATIENCE).await
    }

    /// Boxed, because it is large, and a test's thread has two megabytes of stack.
    fn with(answer: &'static str, limits: Limits, patience: Patience) -> Pin<Box<dyn Future<Output = Self>>> {
        Box::pin(Self::with_all(answer, limits, patience))
    }

    async fn with_all(answer: &'static str, limits: Limits, patience: Patience) -> Self {
        let kit = Box::pin(Kit::new()).await;
        let options = FunctionOptions { permission_mode: Some(PermissionMode::Public), ..FunctionOptions::default() };
        kit.world.function("web", options).await;
        let called = Arc::new(Mutex::new(Vec::new()));
        let paths = called.clone();
        kit.world.lambda.behave("web", move |call| {
            paths.lock().unwrap().push(call.event["rawPath"].as_str().unwrap_or_default().to_owned());
            async move { Ok(TestLambda::returned(answer)) }
        });
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap().patience(patience).limits(limits);
        let (address, stop) = (server.address(), CancellationToken::new());
        let serving = tokio::spawn(server.serve(kit.router.clone(), stop.clone()));
        Self { address, called, _kit: kit, stop: stop.drop_guard(), serving }
    }

    /// Sends these bytes, and returns what comes back until the connection ends or stays silent for a while.
    async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        while let Ok(Ok(read @ 1..)) = tokio::time::timeout(Duration::from_secs(2), client.read(&mut part)).await {
            answer.extend_from_slice(&part[..read]);
        }
        String::from_utf8(answer).unwrap()
    }

    fn called(&self) -> Vec<String> {
        self.called.lock().unwrap().clone()
    }
}

const FINE: &str = r#"{"statusCode":200,"body":"fine"}"#;

/// Each is one request for a server that reads its length one way, and two for a server that reads it the other way.
#[tokio::test]
async fn a_request_with_an_ambiguous_length_does_not_smuggle_a_second_one() {
    let house = House::open(FINE).await;
    let hidden = "GET /tasks/v1/api/web/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let (short, long) = ("content-length: 0", format!("content-length: {}", hidden.len()));
    let chunked_end = format!("0\r\n\r\n{hidden}");
    let covering = format!("content-length: {}", chunked_end.len());
    let cases = [
        (format!("{short}\r\n{long}"), hidden),
        (format!("{long}\r\n{short}"), hidden),
        ("content-length: 0, 60".to_owned(), hidden),
        ("content-length: +0".to_owned(), hidden),
        ("content-length: 0x0".to_owned(), hidden),
        ("content-length : 0".to_owned(), hidden),
        (format!("x: y\r\n content-length: 0\r\n{long}"), hidden),
        (format!("{covering}\r\ntransfer-encoding: chunked"), &chunked_end),
        (format!("transfer-encoding: chunked\r\n{covering}"), &chunked_end),
        (format!("{covering}\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity"), &chunked_end),
        (format!("{covering}\r\ntransfer-encoding: xchunked"), &chunked_end),
        (format!("{covering}\r\ntransfer-encoding : chunked"), &chunked_end),
        (format!("{covering}\r\ntransfer-encoding: \x0bchunked"), &chunked_end),
    ];
    for (headers, body) in cases {
        let head = format!("POST /tasks/v1/api/web/first HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n");
        let answer = house.raw(format!("{head}{body}")).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{headers}\n{answer}");
        assert!(!house.called().contains(&"/smuggled".to_owned()), "{headers}\n{answer}");
    }
    // The hidden request is valid: sent by itself, it is answered.
    assert!(house.raw(hidden).await.ends_with("fine"));
}

#[tokio::test]
async fn a_chunked_body_is_accepted() {
    let house = House::open(FINE).await;
    let head = "POST /tasks/v1/api/web/chunks HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = house.raw(format!("{head}3\r\nabc\r\n0\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("fine"), "{answer}");
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_arrives() {
    let house = House::open(FINE).await;
    for length in ["6291457", "1099511627776", "18446744073709551615"] {
        let head = format!("POST /tasks/v1/api/web HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
        let answer = house.raw(head).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{length}: {answer}");
        assert_eq!(error_of(&answer), "PAYLOAD_TOO_LARGE_EXCEPTION", "{length}: {answer}");
    }
    assert_eq!(house.called(), Vec::<String>::new());
}

#[tokio::test]
async fn clients_that_send_their_heads_byte_by_byte_block_no_others_and_are_disconnected() {
    let house = House::open(FINE).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        client.write_all(b"GET /healthz HTTP/1.1\r\nhost: local").await.unwrap();
        slow.push(client);
    }
    let answer = house.raw("GET /tasks/v1/api/web HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for client in &mut slow {
        let _ = client.write_all(b"h").await;
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(HEAD_PATIENCE * 20, client.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the connection is still open");
        assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));
    }
}

/// The name of the error in a response.
fn error_of(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {answer:?}"));
    assert!(head.contains("content-type: application/json"), "{answer}");
    let error: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {answer}"));
    assert!(!error["message"].as_str().unwrap().is_empty(), "{answer}");
    error["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn requests_that_are_refused_before_routing_get_json() {
    let house = House::open(FINE).await;
    let many: String = (0..110).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(2 << 20));
    let get = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    for (request, status, name) in [
        (get("/healthz", &many), 431, "REQUEST_HEADER_FIELDS_TOO_LARGE_EXCEPTION"),
        (get("/healthz", &long), 431, "REQUEST_HEADER_FIELDS_TOO_LARGE_EXCEPTION"),
        (get(&format!("/healthz?{}", "x".repeat(100_000)), ""), 414, "URI_TOO_LONG_EXCEPTION"),
        (get("/health\u{1}z", ""), 400, "BAD_REQUEST_EXCEPTION"),
        (get("healthz/x", ""), 400, "BAD_REQUEST_EXCEPTION"),
        (get("/healthz", "content-length: x\r\n"), 400, "BAD_REQUEST_EXCEPTION"),
        (get("/healthz", "host: other\r\n"), 400, "BAD_REQUEST_EXCEPTION"),
        (get("/healthz", "a b: c\r\n"), 400, "BAD_REQUEST_EXCEPTION"),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), 400, "BAD_REQUEST_EXCEPTION"),
        ("\x16\x03\x01\x02".to_owned(), 400, "BAD_REQUEST_EXCEPTION"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400, "BAD_REQUEST_EXCEPTION"),
        (get("*", ""), 404, "ENDPOINT_EXCEPTION"),
        ("CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 404, "ENDPOINT_EXCEPTION"),
        ("BREW / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 404, "ENDPOINT_EXCEPTION"),
    ] {
        let answer = house.raw(&request).await;
        let asked: String = request.chars().take(60).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{asked:?}: {answer}");
        assert_eq!(error_of(&answer), name, "{asked:?}");
    }
}

#[tokio::test]
async fn a_request_line_reaches_the_function_with_the_clients_meaning() {
    let house = House::open(FINE).await;
    for (path, called) in [
        (&b"/a<b>c"[..], "/a%3Cb%3Ec"),
        (b"/caf\xe9", "/caf%C3%A9"),
        ("/café".as_bytes(), "/caf%C3%A9"),
        (b"/a b", "/a%20b"),
        (b"/\"^|{}%2f", "/\"^|{}%2f"),
    ] {
        let head =
            [b"GET /tasks/v1/api/web", path, b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"].concat();
        let answer = house.raw(head).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(house.called().last().unwrap(), called);
    }
}

#[tokio::test]
async fn responses_without_a_body_leave_the_connection_usable() {
    for answer in [r#"{"statusCode":204,"body":"nope"}"#, r#"{"statusCode":304,"body":"nope"}"#] {
        let house = House::open(answer).await;
        let get = "GET /tasks/v1/api/web HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let last = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let answers = house.raw(format!("{get}{get}{last}")).await;
        let heads: Vec<_> = answers.split("\r\n\r\n").collect();
        assert!(heads[0].starts_with("HTTP/1.1 ") && !heads[0].contains("content-length"), "{answers}");
        assert_eq!(heads[0].lines().next(), heads[1].lines().next(), "{answers}");
        assert!(heads[2].starts_with("HTTP/1.1 200 "), "{answers}");
    }
}

#[tokio::test]
async fn a_refused_client_is_not_asked_for_the_body() {
    let house = House::open(FINE).await;
    let expecting = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
    };
    let answer = house.raw(expecting("/tasks/v1/api/missing/x")).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(expecting("/tasks/v1/api/web/x").as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    client.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked[..], b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hello").await.unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).await.unwrap();
    assert_eq!(&status[..], b"HTTP/1.1 200");
}

/// The client sees the end without reading, because the unsent rest of the response is dropped.
/// A server whose response is too large for the buffers in between, and a client that has asked for it.
async fn unread(patience: Patience) -> (House, TcpStream) {
    let large = format!(r#"{{"statusCode":200,"body":"{}"}}"#, "x".repeat(5 << 20));
    let limits = Limits { total: 400, per_address: 400 };
    let house = House::with(Box::leak(large.into_boxed_str()), limits, patience).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(house.address).await.unwrap();
    client.write_all(b"GET /tasks/v1/api/web HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    (house, client)
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_keep_the_server_from_stopping() {
    let (house, mut client) = unread(PATIENCE).await;
    // Once the response has begun, all of it is there.
    client.read_exact(&mut [0; 12]).await.unwrap();
    drop(house.stop);
    let stopped = tokio::time::timeout(Duration::from_secs(30), house.serving).await;
    stopped.expect("the server waits for its client").unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_the_response_is_disconnected() {
    let (_house, client) = unread(Patience { write: Duration::from_millis(300), ..PATIENCE }).await;
    let disconnected = async {
        while client.take_error().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), disconnected).await.expect("the connection is still open");
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out() {
    let house = House::with_room_for(FINE, Limits { total: 8, per_address: 6 }).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(house.address).await.unwrap());
    }
    let answer = house.raw("GET /tasks/v1/api/web HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let mut ended = 0;
    for client in &mut silent {
        let read = tokio::time::timeout(Duration::from_millis(20), client.read(&mut [0; 1])).await;
        ended += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
    }
    assert!(ended >= silent.len() - 6, "{ended} of {} were ended to make room", silent.len());
}

#[tokio::test]
async fn a_function_cannot_add_headers_by_line_breaks_or_steer_the_connection() {
    for (answer, status) in [
        (r#"{"statusCode":200,"headers":{"x":"a\r\nset-cookie: injected=1"}}"#, "400"),
        (r#"{"statusCode":200,"headers":{"x\r\nset-cookie":"injected=1"}}"#, "400"),
        (r#"{"statusCode":200,"headers":{"x":"a\nset-cookie: injected=1"}}"#, "400"),
        (r#"{"statusCode":200,"headers":{"x":"a\u0000set-cookie: injected=1"}}"#, "400"),
        (r#"{"statusCode":200,"cookies":["a=1\r\nset-cookie: injected=1"]}"#, "400"),
        (
            r#"{"statusCode":200,"body":"hello","headers":{"Connection":"upgrade","Upgrade":"h2c","Keep-Alive":"timeout=999",
            "Proxy-Connection":"keep-alive","TE":"trailers","Trailer":"x","Transfer-Encoding":"chunked","Content-Length":"1"}}"#,
            "200",
        ),
    ] {
        let house = House::open(answer).await;
        let text = house.raw("GET /tasks/v1/api/web HTTP/1.1\r\nhost: localhost\r\n\r\n").await.to_lowercase();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{answer}\n{text}");
        let injected = head.lines().any(|line| line.starts_with("set-cookie"));
        assert!(!injected, "{answer}\n{text}");
        for ours in ["upgrade", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"] {
            assert!(!head.lines().any(|line| line.starts_with(&format!("{ours}:"))), "{ours}: {text}");
        }
        if status == "200" {
            assert!(head.contains("content-length: 5") && body == "hello", "{text}");
        }
    }
}

#[tokio::test]
async fn deep_json_is_an_error_and_not_a_crash() {
    let kit = Kit::new().await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [1_000, 100_000] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for (target, who, body) in [
                ("POST /tasks/v1", "may CREATE_TASKS", format!("{{\"functionName\":\"web\",\"data\":{deep}}}")),
                ("POST /tasks/v1", "may CREATE_TASKS", deep.clone()),
                ("POST /tasks/v1/functions", "may CREATE_TASK_FUNCTION", format!("{{\"name\":{deep}}}")),
                ("POST /tasks/v1/schedules", "may CREATE_TASK_SCHEDULE", format!("{{\"interval\":{deep}}}")),
            ] {
                let answered = kit.ask(target, who, body).await;
                assert!((400..500).contains(&answered.status.as_u16()), "{target} {depth}: {}", answered.text);
            }
        }
    }
}

#[tokio::test]
async fn deep_or_expensive_queries_are_refused_or_answered_quickly() {
    let kit = Kit::new().await;
    let deep = |depth: usize, name: &str| format!("{}eq(id,1){}", format!("{name}(").repeat(depth), ")".repeat(depth));
    for query in [
        deep(5_000, "and"),
        deep(5_000, "not"),
        deep(5_000, "contains"),
        "(".repeat(20_000),
        format!("in(functionName,{})", vec!["a"; 20_000].join(",")),
        vec!["eq(functionName,a)"; 3_000].join("&"),
        format!("like(functionName,{})", "*a".repeat(10_000)),
        format!("sort({})", vec!["+id"; 10_000].join(",")),
        format!("select({})", vec!["data.a"; 8_000].join(",")),
        format!("eq(data.{},1)", vec!["a"; 20_000].join(".")),
        "limit(99999999999999999999999)".to_owned(),
        "limit(50,18446744073709551615)".to_owned(),
    ] {
        let target = format!("GET /tasks/v1?{query}");
        let answered = tokio::time::timeout(Duration::from_secs(20), kit.ask(&target, "may VIEW_TASKS", "")).await;
        let shown: String = query.chars().take(60).collect();
        let answered = answered.unwrap_or_else(|_| panic!("no response to {shown}"));
        let status = answered.status.as_u16();
        assert!(status == 200 || (400..500).contains(&status), "{shown}: {status} {}", answered.text);
    }
}

#[tokio::test]
async fn names_and_ids_are_not_used_as_paths() {
    let kit = Kit::new().await;
    let every = "may VIEW_TASK_FUNCTION_DETAILS,VIEW_TASK_FUNCTION_LOGS,VIEW_TASK_LOGS,CANCEL_TASKS,DELETE_TASK_FUNCTION,\
                 EXECUTE_TASK_FUNCTION,EXECUTE_API_FUNCTION,DELETE_TASK_SCHEDULE,VIEW_API_FUNCTION_REQUEST_LOGS,DELETE_CREDENTIALS";
    let long = "a".repeat(5_000);
    let tricks = [
        "..",
        ".",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "a%00b",
        "%00",
        "a%2fb",
        "a%5cb",
        "%ff%fe",
        "%",
        "%zz",
        "a%0d%0ab",
        "a;b",
        "..;",
        "%252e%252e%252f",
        "C:%5c",
        "~root",
        "$(id)",
        "'%20or%201=1",
        "%F0%9F%92%A9",
        &long,
    ];
    for trick in tricks {
        for target in [
            format!("GET /tasks/v1/functions/{trick}"),
            format!("GET /tasks/v1/functions/{trick}/logs"),
            format!("DELETE /tasks/v1/functions/{trick}"),
            format!("POST /tasks/v1/functions/{trick}/execute"),
            format!("GET /tasks/v1/api/{trick}/x"),
            format!("GET /tasks/v1/{trick}/logs"),
            format!("POST /tasks/v1/{trick}/cancel"),
            format!("GET /tasks/v1/apiRequests/{trick}/logs"),
            format!("DELETE /tasks/v1/schedules/{trick}"),
            format!("DELETE /tasklane/v1/credentials/{trick}"),
        ] {
            if target.split_once(' ').unwrap().1.parse::<http::Uri>().is_err() {
                continue;
            }
            let answered = kit.ask(&target, every, "").await;
            assert!((400..500).contains(&answered.status.as_u16()), "{target}: {} {}", answered.status, answered.text);
        }
    }
}
