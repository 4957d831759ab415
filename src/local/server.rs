//! The HTTP server of one machine.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::{Router, serve::ListenerExt as _};
use futures::future;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Sockets that are bound and not served yet: what connects meanwhile waits.
pub struct Server {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
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
        Ok(Self { listeners, address })
    }

    /// The base URL for clients on this machine. It says `localhost`, because the official clients take no other host
    /// as it is (contract §7).
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// Serves until `stop`, then lets the requests in progress come to their end.
    pub async fn serve(self, router: Router, stop: CancellationToken) -> io::Result<()> {
        let servers = self.listeners.into_iter().map(|listener| {
            let stopped = stop.clone().cancelled_owned();
            let listener = listener.tap_io(|stream| {
                // Answers are waited for. A socket that cannot do it is only slower.
                let _ = stream.set_nodelay(true);
            });
            axum::serve(listener, router.clone()).with_graceful_shutdown(stopped).into_future()
        });
        future::try_join_all(servers).await.map(|_| ())
    }
}
