//! The HTTP server of one machine.

mod activity;
mod crowd;
mod head;
mod patience;
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

pub use self::{crowd::Limits, patience::Patience};

/// How long to wait when accepting a connection fails, for example because there are no free file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The response on a connection that exceeds the limits.
const NO_ROOM: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n\
retry-after: 1\r\nconnection: close\r\ncontent-length: 111\r\n\r\n\
{\"code\":1505,\"name\":\"TOO_MANY_REQUESTS_EXCEPTION\",\"message\":\"Too many connections. Connect again in a moment.\"}";

/// Bound sockets that are not served yet: clients that connect meanwhile wait.
pub struct Server {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    patience: Patience,
    limits: Limits,
}

impl Server {
    /// Binds the address; port 0 picks a free one. Of a loopback address both the IPv4 and the IPv6 form are bound, if
    /// the machine has both, because `localhost` can mean either.
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
            // The machine may have no IPv6, or no IPv4.
            listeners.extend(TcpListener::bind(SocketAddr::new(other, address.port())).await.ok());
        }
        Ok(Self { listeners, address, patience: Patience::default(), limits: Limits::of_this_process() })
    }

    /// Sets how long clients are waited for.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the limits on connections.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for clients on this machine. It says `localhost`, because the official clients rewrite any other
    /// host (contract §7).
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// Serves until `stop`, then lets the requests in progress finish, apart from those whose client has stopped reading or
    /// sending.
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

/// What a listener needs to serve its connections.
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
                        tracing::debug!("a connection was refused: too many connections");
                        let _ = stream.try_write(NO_ROOM);
                    }
                },
                Err(error) => {
                    tracing::debug!("could not accept a connection: {error}");
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
    // Responses are written in one piece; waiting for more would only delay them.
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
            tracing::debug!("a connection was closed for another one");
            return;
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = place.activity.hesitates() => {
                    tracing::debug!("a connection was closed, because its client kept the server from stopping");
                    return;
                }
            }
        }
    };
    if let Err(error) = ended {
        // The client hung up, was too slow, or does not read.
        tracing::debug!("a connection ended early: {error}");
    }
}

/// Closes the connection after a request with chunks. If the request has a Content-Length too, a proxy before this
/// server may have relied on that, and would take what follows as part of this request; it must not be read as a
/// request of its own (RFC 9112 §6.1).
fn end_after(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// A request whose response has not been passed on completely.
struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// A response's body. Its request ends when nothing of it is left.
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
    fn the_response_beyond_the_limits_is_json() {
        let text = std::str::from_utf8(NO_ROOM).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().any(|line| line == format!("content-length: {}", body.len())), "{}", body.len());
        let error: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&error["code"], &error["name"]), (&1505.into(), &"TOO_MANY_REQUESTS_EXCEPTION".into()));
    }
}
