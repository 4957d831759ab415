//! The HTTP server of one machine.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    time::Duration,
};

use axum::{Router, response::Response};
use http::{HeaderValue, header};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::http::ClientAddress;

/// How long a request's head may take to arrive, and how long a connection may be idle. A client that sends a byte now
/// and then would hold it for ever.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait when the machine can accept nothing, because it has no more files to open for instance.
const PAUSE: Duration = Duration::from_millis(100);

/// Sockets that are bound and not served yet: what connects meanwhile waits.
pub struct Server {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    head_patience: Duration,
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
        Ok(Self { listeners, address, head_patience: HEAD_PATIENCE })
    }

    /// With another patience for heads than half a minute.
    pub fn head_patience(mut self, patience: Duration) -> Self {
        self.head_patience = patience;
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
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            let (router, stop, connections) = (router.clone(), stop.clone(), connections.clone());
            accepting.spawn(accept(listener, router, self.head_patience, stop, connections));
        }
        while let Some(ended) = accepting.join_next().await {
            ended.map_err(io::Error::other)?;
        }
        connections.close();
        connections.wait().await;
        Ok(())
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    head_patience: Duration,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(serve_connection(stream, peer, router.clone(), head_patience, stop.clone()));
            }
            Err(error) => {
                tracing::debug!("a connection was not accepted: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head_patience: Duration,
    stop: CancellationToken,
) {
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_patience);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ClientAddress(peer.ip()));
        let in_chunks = request.headers().contains_key(header::TRANSFER_ENCODING);
        let answer = router.call(request);
        async move {
            let mut response = answer.await?;
            if in_chunks {
                end_after(&mut response);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The client's doing: it hung up, was too slow, or does not speak HTTP.
        tracing::debug!("a connection ended early: {error}");
    }
}

/// A request that comes in chunks is the last of its connection. Where it says its length as well, a proxy before this
/// server may have taken that length for the true one, and what follows for a part of the request: it must not be taken
/// for a request of its own (RFC 9112 §6.1).
fn end_after(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}
