//! The listener and its connections.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tasklane_client::Client;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    app::App,
    door::{Door, ROOT, Refused},
    pages,
    reply::{Body, Reply},
    request::Fields,
    routes::{self, Asked},
};

/// How many connections are open at once. Others wait for one to close.
const MOST_CONNECTIONS: usize = 512;
/// How long a browser may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long it may take to send a form, and how large that may be: a Task's data, each byte of it encoded.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);
const MOST_BYTES: usize = 1 << 20;

/// A console that listens on this machine.
pub struct Console {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    key: String,
}

/// Why a console does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The port cannot be used.
    #[error("the console cannot listen on 127.0.0.1:{port}: {cause}")]
    Listen {
        /// The port.
        port: u16,
        /// The reason.
        cause: io::Error,
    },
    /// There are no random numbers.
    #[error("the console's link cannot be made: {0}")]
    NoRandomNumbers(getrandom::Error),
}

impl Console {
    /// Listens on this machine's port, or on a free one if it is 0. Pages show what this client's caller may see.
    ///
    /// # Errors
    /// When the port is in use.
    pub async fn bind(port: u16, client: Client) -> Result<Self, ConsoleError> {
        let failed = |cause| ConsoleError::Listen { port, cause };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (door, key) = Door::new(address.port()).map_err(ConsoleError::NoRandomNumbers)?;
        Ok(Self { listener, address, app: Arc::new(App::new(client, door)), key })
    }

    /// The link that lets one browser in, once.
    pub fn link(&self) -> String {
        format!("http://{}{ROOT}open?key={}", self.address, self.key)
    }

    /// Answers until it is stopped.
    pub async fn serve(self, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                place = Arc::clone(&places).acquire_owned() => match place {
                    Ok(place) => tokio::select! {
                        () = stop.cancelled() => break,
                        accepted = self.listener.accept() => accepted.map(|(stream, _)| (stream, place)),
                    },
                    Err(_) => break,
                },
            };
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Such as too many open files: it passes.
                    debug!(%error, "no connection was accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let app = Arc::clone(&self.app);
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let app = Arc::clone(&app);
                    async move { Ok::<_, Infallible>(answer(app, request).await) }
                });
                let served = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .max_buf_size(64 * 1024)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                if let Err(error) = served {
                    debug!(%error, "a connection of the console broke");
                }
                drop(place);
            });
        }
        connections.shutdown().await;
    }
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let reply = match app.door.check(&head.method, &head.headers) {
        Err(refused) => refusal(refused),
        Ok(()) => match routes::open(&app, &head) {
            Some(reply) => reply,
            None => match app.door.enter(&head.headers, App::now()) {
                Err(refused) => refusal(refused),
                Ok(session) => match form(&head, body).await {
                    Ok(form) => {
                        let query = Fields::parse(head.uri.query().unwrap_or_default());
                        routes::answer(Asked { app, method: head.method, path: head.uri.path(), query, form, session })
                            .await
                    }
                    Err(reply) => reply,
                },
            },
        },
    };
    reply.into_response(&head.headers)
}

/// The fields of a form; none if the request has no body.
async fn form(head: &http::request::Parts, body: Incoming) -> Result<Fields, Reply> {
    let refuse = |status, what| Reply::Page(status, pages::plain("This cannot be done like that", what));
    let is_form = head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if head.method == http::Method::GET || head.method == http::Method::HEAD {
        return Ok(Fields::default());
    }
    if !is_form {
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Only the console's own forms can be sent."));
    }
    let read = tokio::time::timeout(FORM_TIMEOUT, Limited::new(body, MOST_BYTES).collect()).await;
    let bytes: Bytes = match read {
        Ok(Ok(read)) => read.to_bytes(),
        Ok(Err(_)) => return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "What was sent is too large, or broke off.")),
        Err(_) => return Err(refuse(StatusCode::REQUEST_TIMEOUT, "What was sent did not arrive in time.")),
    };
    Ok(Fields::parse(&String::from_utf8_lossy(&bytes)))
}

fn refusal(refused: Refused) -> Reply {
    let status = match refused {
        Refused::Host => StatusCode::MISDIRECTED_REQUEST,
        Refused::Origin | Refused::Link | Refused::Session => StatusCode::FORBIDDEN,
    };
    let advice = match refused {
        Refused::Host => "Open http://127.0.0.1 with the console's port.",
        Refused::Origin => "Open the page that you came from again, and try once more.",
        Refused::Link => {
            "If you used it in this browser, go to the console. If nobody you know used it, stop the console. \
             `tasklane console` prints a new link."
        }
        Refused::Session => {
            "Open the link that the console printed. If it was used before, `tasklane console` prints a new one."
        }
    };
    Reply::Page(status, pages::plain(&refused.to_string(), advice))
}
