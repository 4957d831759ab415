//! Who is at the other end of a connection on loopback.
//!
//! Jails share the machine's network, so every Function can reach every Runtime API's port and find it in
//! `/proc/net/tcp`. Whoever asks for another Function's next invocation would get its data and could answer for it.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::SetOnce,
};

use super::process_tree::ProcessTree;

/// A listener that accepts connections of these processes only, and closes all others.
pub(super) struct OwnProcesses {
    pub(super) listener: TcpListener,
    /// Set once the processes are started: before that nobody has a reason to connect.
    pub(super) owner: Arc<SetOnce<Arc<ProcessTree>>>,
}

impl axum::serve::Listener for OwnProcesses {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
            let Ok(here) = stream.local_addr() else { continue };
            let owner = self.owner.wait().await;
            if client_socket(peer, here).is_some_and(|inode| owner.holds_socket(inode)) {
                // Answers are small and waited for. A socket that cannot do it is only slower.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            tracing::warn!("a process that is not the Function's tried to use its Runtime API");
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The number of the client's socket, where the client is on this machine and has not hung up.
fn client_socket(client: SocketAddr, server: SocketAddr) -> Option<u64> {
    let (IpAddr::V4(client_ip), IpAddr::V4(server_ip)) = (client.ip(), server.ip()) else { return None };
    let ends = |shown: fn(Ipv4Addr) -> String| {
        let end = |ip, port: u16| format!("{}:{port:04X}", shown(ip));
        (end(client_ip, client.port()), end(server_ip, server.port()))
    };
    // Programs that speak both versions of IP with one socket are in the second table, under a longer form.
    find(&fs::read_to_string("/proc/net/tcp").ok()?, &ends(in_table))
        .or_else(|| find(&fs::read_to_string("/proc/net/tcp6").ok()?, &ends(in_table_of_both)))
}

fn find(table: &str, (client, server): &(String, String)) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let is_it = fields.nth(1) == Some(client) && fields.next() == Some(server);
        is_it.then(|| fields.nth(6)?.parse().ok())?
    })
}

/// The kernel prints the four bytes as one number of this machine's byte order.
fn in_table(ip: Ipv4Addr) -> String {
    format!("{:08X}", u32::from_ne_bytes(ip.octets()))
}

fn in_table_of_both(ip: Ipv4Addr) -> String {
    let prefix = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    format!("{:08X}{:08X}{prefix:08X}{}", 0, 0, in_table(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_client_of_a_connection_is_found_whichever_ip_its_socket_speaks() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap();
        let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), here.port());
        for to in [here, mapped] {
            let client = TcpStream::connect(to).await.unwrap();
            let (accepted, peer) = listener.accept().await.unwrap();
            let inode = client_socket(peer, accepted.local_addr().unwrap()).expect("it is in a table");
            let me = ProcessTree::new(i32::try_from(std::process::id()).unwrap());
            assert!(me.holds_socket(inode), "{to}");
            drop(client);
        }
    }

    #[tokio::test]
    async fn a_socket_of_somebody_else_is_not_ones_own() {
        let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap();
        let _client = TcpStream::connect(here).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        let inode = client_socket(peer, here).unwrap();
        assert!(!ProcessTree::new(i32::try_from(sleeper.id()).unwrap()).holds_socket(inode));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
