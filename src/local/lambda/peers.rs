//! Identifies the process at the other end of a loopback connection.
//!
//! Jails share the machine's network, so every Function can connect to every Runtime API's port, and can find it in
//! `/proc/net/tcp`. A process that asked for another Function's next invocation would get its data and could answer in
//! its place.
//!
//! Any process on the machine can make the server check by connecting. So the server checks one connection at a time,
//! asks the kernel only about that one, refuses other users first, and pauses after each refused connection.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tasklane_runtime::lock::Lock;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::SetOnce,
    task::spawn_blocking,
};

use super::{platform::sockets, process_tree::ProcessTree};

/// How many open files of a Function are searched for its end of the connection. A Function that opens more only harms
/// itself.
const MOST_FILES: usize = 4096;

/// How long no connection is accepted after a refused one.
const PAUSE: Duration = Duration::from_millis(5);

/// Held during a check, so that at most one thread is busy with checks, however many processes connect.
static LOOKING: Lock<()> = Lock::new(());

/// The Function's process that a Runtime API belongs to.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) tree: Arc<ProcessTree>,
    /// The user that its processes run as, seen from outside of their jail.
    pub(super) user: u32,
}

/// A listener that accepts connections from these processes only, and closes all others.
pub(super) struct OwnProcesses {
    pub(super) listener: TcpListener,
    /// Set when the processes have started. Before that, nobody has a reason to connect.
    pub(super) owner: Arc<SetOnce<Owner>>,
}

impl axum::serve::Listener for OwnProcesses {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let (stream, client) = axum::serve::Listener::accept(&mut self.listener).await;
            let Ok(server) = stream.local_addr() else { continue };
            let owner = self.owner.wait().await.clone();
            if spawn_blocking(move || owner.is_at(client, server)).await.unwrap_or(false) {
                // Responses are small and awaited. If this fails, the connection is only slower.
                let _ = stream.set_nodelay(true);
                return (stream, client);
            }
            drop(stream);
            // Not a warning, because other processes could fill the server's log with it.
            tracing::debug!("a process that is not the Function's tried to use its Runtime API");
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Owner {
    /// Whether one of its processes has the client's end of a connection.
    fn is_at(&self, client: SocketAddr, server: SocketAddr) -> bool {
        let _one_at_a_time = LOOKING.lock();
        sockets::client(client, server)
            .is_some_and(|socket| socket.user == self.user && self.tree.holds_socket(socket.inode, MOST_FILES))
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::mpsc};

    use super::{super::platform::Platform, *};

    fn owner(pid: u32, user: u32) -> Owner {
        Owner { tree: Arc::new(ProcessTree::new(i32::try_from(pid).unwrap(), Platform::OF_THIS_MACHINE)), user }
    }

    fn me() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    #[tokio::test]
    async fn a_connection_belongs_to_its_process_for_both_versions_of_ip() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap();
        let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), here.port());
        for to in [here, mapped] {
            let client = TcpStream::connect(to).await.unwrap();
            let (accepted, peer) = listener.accept().await.unwrap();
            let here = accepted.local_addr().unwrap();
            assert!(owner(std::process::id(), me()).is_at(peer, here), "{to}");
            assert!(!owner(std::process::id(), me() + 1).is_at(peer, here), "another user's: {to}");
            drop(client);
        }
    }

    #[tokio::test]
    async fn a_socket_of_another_process_is_not_accepted() {
        let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap();
        let _client = TcpStream::connect(here).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert!(!owner(sleeper.id(), me()).is_at(peer, here));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }

    /// On a single thread, which a blocking check would block.
    #[tokio::test]
    async fn a_check_does_not_block_other_connections() {
        use axum::serve::Listener as _;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap();
        let mut guarded = OwnProcesses { listener, owner: Arc::default() };
        guarded.owner.set(owner(std::process::id(), me())).unwrap();
        let client = TcpStream::connect(here).await.unwrap();
        let ((tell, is_held), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
        let looks = std::thread::spawn(move || {
            let _looking = LOOKING.lock();
            tell.send(()).unwrap();
            // Blocks until the other end is dropped.
            let _ = released.recv();
        });
        is_held.recv().unwrap();
        let mut accepting = std::pin::pin!(guarded.accept());
        let waited = tokio::time::timeout(Duration::from_millis(50), accepting.as_mut()).await;
        assert!(waited.is_err(), "not checked yet");
        drop(release);
        let (_, peer) = accepting.await;
        looks.join().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
}
