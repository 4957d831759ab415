//! A proxy between the handlers and the emulator. When it is told to, it throttles requests, fails them, breaks connections and
//! loses answers, as AWS does on bad days.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    client,
    header::{CONNECTION, CONTENT_TYPE, TRANSFER_ENCODING},
    server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

type Whole = Full<Bytes>;

/// The proxy, on a free port of this machine.
pub struct Faults {
    inner: Arc<Inner>,
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

struct Inner {
    emulator: Mutex<SocketAddr>,
    is_on: AtomicBool,
    /// Numbers that look random and are the same each time.
    state: Mutex<u64>,
    done: Mutex<Done>,
}

/// How many requests met which fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub passed: usize,
    pub throttled: usize,
    pub failed: usize,
    pub broken: usize,
    pub lost: usize,
}

/// The services whose calls meet faults.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    DynamoDb,
    Sqs,
    /// The run of a Function. Only calls that Lambda refuses are safe to repeat, so it is throttled and nothing else.
    Invoke,
}

#[derive(Clone, Copy)]
enum Fault {
    Throttled,
    Failed,
    /// The connection breaks before the request arrives.
    Broken,
    /// It breaks after the request has been carried out.
    Lost,
}

impl Faults {
    /// A proxy that passes everything on to nobody yet.
    pub fn open() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let inner = Arc::new(Inner {
            emulator: Mutex::new(SocketAddr::from(([127, 0, 0, 1], 0))),
            is_on: AtomicBool::new(false),
            state: Mutex::new(1),
            done: Mutex::default(),
        });
        let of_all = Arc::clone(&inner);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Arc::clone(&of_all);
                tokio::spawn(async move {
                    let service = service_fn(|request| inner.answer(request));
                    // An error of the service is a connection that breaks.
                    let _ = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { inner, port, _runtime: runtime }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Passes requests on to this port of this machine from now on.
    pub fn lead_to(&self, port: u16) {
        self.inner.emulator.lock().expect("the address").set_port(port);
    }

    /// Does `work` while a fifth of the calls meet a fault, and returns what happened to them.
    pub fn during(&self, work: impl FnOnce()) -> Done {
        *self.inner.done.lock().expect("the counts") = Done::default();
        self.inner.is_on.store(true, Ordering::SeqCst);
        work();
        self.inner.is_on.store(false, Ordering::SeqCst);
        *self.inner.done.lock().expect("the counts")
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Whole>, anyhow::Error> {
        let service = service_of(&request).filter(|_| self.is_on.load(Ordering::SeqCst));
        let fault = service.and_then(|service| self.fault(service).map(|fault| (service, fault)));
        match fault {
            None => self.pass(request).await,
            Some((service, fault @ (Fault::Throttled | Fault::Failed))) => {
                // Read first, or the client would see a broken connection.
                request.into_body().collect().await?;
                refusal(service, fault)
            }
            Some((_, Fault::Broken)) => anyhow::bail!("the connection breaks"),
            Some((_, Fault::Lost)) => {
                self.pass(request).await?;
                anyhow::bail!("the answer is lost")
            }
        }
    }

    fn fault(&self, service: Service) -> Option<Fault> {
        let chosen = self.draw() % 100;
        let fault = match (service, chosen) {
            (Service::Invoke, 0..10) | (Service::DynamoDb | Service::Sqs, 0..6) => Fault::Throttled,
            (Service::DynamoDb | Service::Sqs, 6..10) => Fault::Failed,
            (Service::DynamoDb | Service::Sqs, 10..14) => Fault::Broken,
            (Service::DynamoDb | Service::Sqs, 14..20) => Fault::Lost,
            _ => {
                self.done.lock().expect("the counts").passed += 1;
                return None;
            }
        };
        let mut done = self.done.lock().expect("the counts");
        match fault {
            Fault::Throttled => done.throttled += 1,
            Fault::Failed => done.failed += 1,
            Fault::Broken => done.broken += 1,
            Fault::Lost => done.lost += 1,
        }
        Some(fault)
    }

    fn draw(&self) -> u64 {
        let mut state = self.state.lock().expect("the state");
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Whole>, anyhow::Error> {
        let address = *self.emulator.lock().expect("the address");
        let (mut head, body) = request.into_parts();
        head.headers.remove(CONNECTION);
        let body = body.collect().await?.to_bytes();
        let (mut sender, connection) =
            client::conn::http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
        tokio::spawn(connection);
        let (mut head, body) = sender.send_request(Request::from_parts(head, Whole::new(body))).await?.into_parts();
        head.headers.remove(CONNECTION);
        head.headers.remove(TRANSFER_ENCODING);
        Ok(Response::from_parts(head, Whole::new(body.collect().await?.to_bytes())))
    }
}

fn service_of(request: &Request<Incoming>) -> Option<Service> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    match target.split_once('.').map_or(target, |(service, _)| service) {
        "DynamoDB_20120810" => Some(Service::DynamoDb),
        "AmazonSQS" => Some(Service::Sqs),
        _ if request.uri().path().ends_with("/invocations") => Some(Service::Invoke),
        _ => None,
    }
}

/// How the service says that it did not do it.
fn refusal(service: Service, fault: Fault) -> Result<Response<Whole>, anyhow::Error> {
    let (status, name) = match (service, fault) {
        (Service::DynamoDb, Fault::Throttled) => (400, "com.amazonaws.dynamodb.v20120810#ThrottlingException"),
        (Service::Sqs, Fault::Throttled) => (400, "com.amazonaws.sqs#RequestThrottled"),
        (Service::Invoke, _) => (429, "TooManyRequestsException"),
        (Service::DynamoDb, _) => (500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
        (Service::Sqs, _) => (500, "InternalFailure"),
    };
    let kind = if service == Service::Invoke { "application/json" } else { "application/x-amz-json-1.0" };
    let body =
        serde_json::json!({ "__type": name, "message": "a fault of the test", "Reason": "CallerRateLimitExceeded" });
    let response = Response::builder().status(status).header(CONTENT_TYPE, kind).header("x-amzn-errortype", name);
    Ok(response.body(Whole::from(body.to_string()))?)
}
