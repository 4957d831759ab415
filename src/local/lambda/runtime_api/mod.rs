//! The Lambda Runtime API (2018-06-01) for one process. Each process has a listener on loopback, whose address only
//! this process is told. <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
//!
//! With jails there is also a socket in the process's own jail, which our bootstraps use. The listener on loopback,
//! which all jails can reach, then serves only the Function's own processes ([`super::peers`]).

mod body;
mod messages;
mod requests;

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path,
    sync::Arc,
};

use axum::serve::ListenerExt as _;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{SetOnce, mpsc},
    task::AbortHandle,
};

pub(super) use self::messages::{Answer, Delivery, Event};

use self::requests::{Shared, answer};
use super::{
    connections::Doors,
    peers::{OwnProcesses, Owner},
};

/// The listeners of one process, which close when this is dropped.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    deliveries: mpsc::Sender<Delivery>,
    owner: Arc<SetOnce<Owner>>,
    doors: Doors,
    servers: Vec<AbortHandle>,
}

impl RuntimeApi {
    /// Starts to listen. The receiver yields the process's messages in order. With a `socket` file it listens there
    /// too, and on loopback it then accepts only the processes of [`RuntimeApi::belongs_to`].
    pub(super) async fn listen(socket: Option<&path::Path>) -> io::Result<(Self, mpsc::UnboundedReceiver<Event>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (deliveries, queue) = mpsc::channel(1);
        let (events, told) = mpsc::unbounded_channel();
        let doors = Doors::new();
        let shared = Arc::new(Shared::new(queue, events, doors.open.clone()));
        let handler = move |request, waits| answer(Arc::clone(&shared), request, waits);
        let owner = Arc::new(SetOnce::new());
        let servers = match socket.map(bind).transpose()? {
            None => {
                // Responses are small and awaited. If this fails, the connection is only slower.
                let prompt = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
                vec![doors.serve(prompt, handler)]
            }
            Some(private) => {
                let guarded = OwnProcesses { listener, owner: owner.clone() };
                vec![doors.serve(private, handler.clone()), doors.serve(guarded, handler)]
            }
        };
        Ok((Self { address, deliveries, owner, doors, servers }, told))
    }

    /// Sets the processes that may use this API.
    pub(super) fn belongs_to(&self, owner: Owner) {
        // Called once; a second call would have no effect.
        let _ = self.owner.set(owner);
    }

    /// Closes all connections except the one on which the process waits for its next invocation.
    pub(super) fn close_but_waiting(&self) {
        self.doors.close_but_waiting();
    }

    /// Waits until no connection is open: then everything that an exited process sent has been read.
    pub(super) async fn silent(&self) {
        self.doors.open.wait().await;
    }

    /// Passes an invocation to the `next` call that waits for it.
    pub(super) async fn deliver(&self, delivery: Delivery) {
        // Fails only if the listener is gone; the run that waits for the answer notices the process's exit.
        let _ = self.deliveries.send(delivery).await;
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.servers.iter().for_each(AbortHandle::abort);
    }
}

/// Listens on a socket file. Any process that can see it may use it.
fn bind(socket: &path::Path) -> io::Result<UnixListener> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    // Via the open folder, because a socket's path must be short and the data folder's may be long.
    let folder = File::open(folder)?;
    let short = path::Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    let listener = UnixListener::bind(&short)?;
    fs::set_permissions(&short, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}
