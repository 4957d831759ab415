//! The connections that processes open to their Runtime API.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::serve::Listener;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::AbortHandle,
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// Serves whoever connects. `open` counts the connections; the handler is told which of them a request came on.
pub(super) fn serve<L, H, F>(listener: L, open: &TaskTracker, handler: H) -> AbortHandle
where
    L: Listener,
    H: Fn(Request<Incoming>, Waits) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut connections = Connections { listener, open: open.clone() };
    let mut http = http1::Builder::new();
    // What came together with an answer, a request for the next invocation, is heard before the reply to the answer leaves.
    http.pipeline_flush(true);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = connections.accept().await;
            let (handler, waits) = (handler.clone(), stream.waits.clone());
            let service = service_fn(move |request| {
                let answer = handler(request, waits.clone());
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // A process that breaks off says no more.
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    server.abort_handle()
}

/// Whether the process waits for its next invocation on a connection. Whatever else it is told there meanwhile, that its
/// last answer was accepted, it reads when that invocation comes: so it is sent with it, in one write that wakes it once.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits(Arc<AtomicBool>);

impl Waits {
    pub(super) fn set(&self, waits: bool) {
        // One task serves a connection, and it is that one which asks.
        self.0.store(waits, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A listener, and what it lets in, counted.
struct Connections<L> {
    listener: L,
    open: TaskTracker,
}

struct Connection<S> {
    stream: S,
    /// Whether it has come to its end, and that is yet to be told.
    ended: bool,
    waits: Waits,
    /// What is sent with the next invocation.
    held: BytesMut,
    _open: TaskTrackerToken,
}

impl<L: Listener> Listener for Connections<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = self.listener.accept().await;
        let (waits, held) = (Waits::default(), BytesMut::new());
        (Connection { stream, ended: false, waits, held, _open: self.open.token() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (into.filled().len(), into.remaining());
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        let is_end = read.is_ready() && into.filled().len() == before && room > 0;
        if is_end && !self.ended {
            // Not at once: hyper drops a request that it has just read when it finds the end right behind it, and whoever
            // exits as soon as it has answered would not have answered. Meanwhile it hands the request on.
            self.ended = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Writes what is held, with what comes behind it; answers how much of that went out.
    fn poll_release(&mut self, cx: &mut Context<'_>, behind: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while !self.held.is_empty() {
            // More pieces than this are seldom, and go out with the next write.
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
