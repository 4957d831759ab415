//! The HTTP server of one machine.

mod activity;
mod crowd;
mod head;
mod stream;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::{HeaderValue, header};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tasklane_http::{ClientAddress, LocalAddress, Router, refusal};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use self::{
    activity::Activity,
    crowd::{Crowd, Place},
    stream::Stream,
};

pub use self::{crowd::Limits, stream::Patience};

/// How long to wait when the machine can accept nothing, because it has no more files to open for instance.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection is told that there is no room for.
const NO_ROOM: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n\
retry-after: 1\r\nconnection: close\r\ncontent-length: 144\r\n\r\n\
{\"code\":1505,\"name\":\"TOO_MANY_REQUESTS_EXCEPTION\",\"message\":\"There are as many connections as there may be at once. Connect again in a moment.\"}";

/// Sockets that are bound and not served yet: what connects meanwhile waits.
pub struct Server {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    patience: Patience,
    limits: Limits,
}

impl Server {
    /// Binds the address; port 0 picks a free one. The loopback address is bound for both versions of IP where the
    /// machine has both: `localhost` means either.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let mut listeners = vec![listener];
        let other = match address.ip() {
            IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        if let Some(other) = other {
            // A machine without it does without it.
            listeners.extend(TcpListener::bind(SocketAddr::new(other, address.port())).await.ok());
        }
        Ok(Self { listeners, address, patience: Patience::default(), limits: Limits::of_this_process() })
    }

    /// With another patience for its clients than the usual.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// With room for other numbers of connections than the process can bear.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for clients on this machine. It says `localhost`, because the official clients take no other host
    /// as it is (contract §7).
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// Serves until `stop`, then lets the requests in progress come to their end.
    pub async fn serve(self, router: Router, stop: CancellationToken) -> io::Result<()> {
        let connections = TaskTracker::new();
        let crowd = Crowd::new(self.limits);
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            let door = Door {
                router: router.clone(),
                patience: self.patience,
                crowd: Arc::clone(&crowd),
                stop: stop.clone(),
                connections: connections.clone(),
            };
            accepting.spawn(door.accept(listener));
        }
        while let Some(ended) = accepting.join_next().await {
            ended.map_err(io::Error::other)?;
        }
        connections.close();
        connections.wait().await;
        Ok(())
    }
}

/// What one listener does with those who connect.
struct Door {
    router: Router,
    patience: Patience,
    crowd: Arc<Crowd>,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => match self.crowd.enter(peer.ip()).await {
                    Some(place) => {
                        let (router, stop) = (self.router.clone(), self.stop.clone());
                        self.connections.spawn(serve_connection(stream, peer, router, self.patience, place, stop));
                    }
                    None => {
                        tracing::debug!("there is no room for a connection");
                        let _ = stream.try_write(NO_ROOM);
                    }
                },
                Err(error) => {
                    tracing::debug!("a connection was not accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    patience: Patience,
    place: Place,
    stop: CancellationToken,
) {
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok().map(|local| LocalAddress(local.ip()));
    let activity = Arc::clone(&place.activity);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ClientAddress(peer.ip()));
        if let Some(local) = local {
            request.extensions_mut().insert(local);
        }
        let (refused, in_flight) = (activity.served(), InFlight(Arc::clone(&activity)));
        let in_chunks = request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut router = router.clone();
        async move {
            let last = in_chunks || refused.is_some();
            let mut response = match refused {
                Some(error) => refusal(error),
                None => router.call(request).await?,
            };
            if last {
                end_after(&mut response);
            }
            Ok::<_, Infallible>(response.map(|body| Counted { body, _in_flight: in_flight }))
        }
    });
    let stream = Stream::new(stream, Arc::clone(&place.activity), patience);
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.leave.cancelled() => {
            tracing::debug!("a connection made room for another");
            return;
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The client's doing: it hung up, was too slow, or does not read.
        tracing::debug!("a connection ended early: {error}");
    }
}

/// A request that comes in chunks is the last of its connection. Where it says its length as well, a proxy before this
/// server may have taken that length for the true one, and what follows for a part of the request: it must not be taken
/// for a request of its own (RFC 9112 §6.1).
fn end_after(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// A request, until its answer was handed over.
struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// The body of an answer, which is handed over when nothing of it is left.
struct Counted {
    body: Body,
    _in_flight: InFlight,
}

impl http_body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_room_is_told_so_in_json() {
        let text = std::str::from_utf8(NO_ROOM).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().any(|line| line == format!("content-length: {}", body.len())), "{}", body.len());
        let error: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&error["code"], &error["name"]), (&1505.into(), &"TOO_MANY_REQUESTS_EXCEPTION".into()));
    }
}
