//! The connections that processes open to their Runtime API.
//!
//! A process answers its invocation and asks for the next one in a single write. The reply to the answer is held until
//! that next invocation comes, so that one write wakes the process only once:
//!
//! ```text
//! process                        connection                     server
//!    │  POST …/response, GET …/next  │                             │
//!    │──────────────────────────────▶│  response ─────────────────▶│  the caller is answered
//!    │                               │  next ─────────────────────▶│  Waits::set(true)
//!    │                               │◀──────────── 202 (response) │  held, because it waits
//!    │                               │                             │  … the next call comes: Waits::set(false)
//!    │                               │◀──────────── 200 (next)     │
//!    │◀──── 202, 200 in one write ───│                             │
//! ```
//!
//! Replies are held only between `set(true)` and `set(false)`. A process that asks for its next invocation on another
//! connection, or only after it has received the 202, gets the 202 immediately.
//!
//! hyper is told one poll late that the client has closed the connection. hyper drops a request that it has just read
//! if it finds the end of the connection right behind it, so a process that exits right after its answer would seem not
//! to have answered:
//!
//! ```text
//! process                        connection                     hyper
//!    │  POST …/response, then FIN    │                             │
//!    │──────────────────────────────▶│  the request ──────────────▶│  hands it on
//!    │                               │  Pending, and a wake-up ───▶│
//!    │                               │  the end ──────────────────▶│  closes
//! ```
//!
//! Both depend on details of hyper: it polls a connection's reader until it is pending before it flushes, and it calls
//! the handlers of one connection in turn. If either changes, the tests in `tests/runtime_api.rs` fail.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Semaphore, watch},
    task::AbortHandle,
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// How many connections of one process are served at once. Runtimes open one or two.
const MAX_CONNECTIONS: usize = 16;

/// How long to accept no connections after one too many, so that a process that keeps trying does not use up the
/// server's time.
const PAUSE: Duration = Duration::from_millis(1);

/// The most bytes to buffer of a request head that is not complete, and of a body that is not being read.
const MAX_BUFFER: usize = 64 * 1024;

/// The connections of one process, on all of its listeners.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    /// The open connections, and the requests on them that are in progress.
    pub(super) open: TaskTracker,
    room: Arc<Semaphore>,
    /// Changes at the end of each run.
    runs: watch::Sender<u64>,
}

impl Doors {
    pub(super) fn new() -> Self {
        let open = TaskTracker::new();
        open.close();
        Self { open, room: Arc::new(Semaphore::new(MAX_CONNECTIONS)), runs: watch::Sender::default() }
    }

    /// Closes all connections except the one on which the process waits for its next invocation. Between two runs the
    /// process has nothing to send, and is soon frozen.
    pub(super) fn close_but_waiting(&self) {
        let is_alone = self.room.available_permits() + 1 >= MAX_CONNECTIONS;
        if !is_alone {
            self.runs.send_modify(|runs| *runs += 1);
        }
    }

    /// Serves a listener. The handler gets the [`Waits`] of the connection with each request.
    pub(super) fn serve<L, H, F>(&self, mut listener: L, handler: H) -> AbortHandle
    where
        L: Listener,
        H: Fn(Request<Incoming>, Waits) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let mut http = http1::Builder::new();
        // A request for the next invocation that came together with an answer is handled before the reply to the answer
        // is sent.
        http.pipeline_flush(true).max_buf_size(MAX_BUFFER);
        let doors = self.clone();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await;
                let Ok(place) = Arc::clone(&doors.room).try_acquire_owned() else {
                    drop(stream);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let waits = Waits::default();
                let (handler, told) = (handler.clone(), waits.clone());
                let service = service_fn(move |request| {
                    let answer = handler(request, told.clone());
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let (held, open) = (BytesMut::new(), doors.open.token());
                let stream = Connection { stream, ended: false, waits: waits.clone(), held, _open: open };
                let connection = http.serve_connection(TokioIo::new(stream), service);
                let runs = doors.runs.subscribe();
                tokio::spawn(async move {
                    let _place = place;
                    tokio::select! {
                        _ = connection => {}
                        () = end_of_run(runs, waits) => {}
                    }
                });
            }
        });
        server.abort_handle()
    }
}

/// Returns at the end of a run, unless the process waits for its next invocation on this connection.
async fn end_of_run(mut runs: watch::Receiver<u64>, waits: Waits) {
    // When the sender is gone, the process is too.
    while runs.changed().await.is_ok() {
        if !waits.get() {
            return;
        }
    }
}

/// Whether the process waits for its next invocation on a connection. Meanwhile other replies on it are held, and are
/// sent together with that invocation.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits(Arc<AtomicBool>);

impl Waits {
    pub(super) fn set(&self, waits: bool) {
        // A connection is served by one task, and only that task reads this.
        self.0.store(waits, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Connection<S> {
    stream: S,
    /// Whether the end was read; it is reported at the next poll.
    ended: bool,
    waits: Waits,
    /// Replies to send with the next invocation.
    held: BytesMut,
    _open: TaskTrackerToken,
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (into.filled().len(), into.remaining());
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        let is_end = read.is_ready() && into.filled().len() == before && room > 0;
        if is_end && !self.ended {
            // One poll late: see the module's documentation.
            self.ended = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Writes the held bytes, followed by `behind`. Returns how many bytes of `behind` were written.
    fn poll_release(&mut self, cx: &mut Context<'_>, behind: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while !self.held.is_empty() {
            // More pieces than this are rare, and are written next time.
            let mut pieces = [io::IoSlice::new(&[]); 8];
            let count = behind.len().min(pieces.len() - 1);
            pieces[1..=count].copy_from_slice(&behind[..count]);
            pieces[0] = io::IoSlice::new(&self.held);
            let written = std::task::ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &pieces[..=count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_held = written.min(self.held.len());
            self.held.advance(of_held);
            if written > of_held {
                return Poll::Ready(Ok(written - of_held));
            }
        }
        if behind.is_empty() { Poll::Ready(Ok(0)) } else { Pin::new(&mut self.stream).poll_write_vectored(cx, behind) }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.waits.get() {
            pieces.iter().for_each(|piece| self.held.extend_from_slice(piece));
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        self.poll_release(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.waits.get() {
            std::task::ready!(self.poll_release(cx, &[]))?;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_release(cx, &[]))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
