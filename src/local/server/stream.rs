//! A connection as the HTTP library sees it: complete, valid heads only, and time limits for slow clients.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    activity::Activity,
    head::{Following, HeadReader, MAX_HEAD_BYTES},
    patience::{Patience, Timer},
};

/// A connection that can be reset, which discards unsent data.
pub trait Reset {
    /// Makes the connection reset when it is dropped.
    fn reset_on_drop(&self);
}

impl Reset for tokio::net::TcpStream {
    fn reset_on_drop(&self) {
        // Otherwise the kernel keeps the response, and offers it for minutes to a client that does not read.
        let _ = self.set_zero_linger();
    }
}

pub struct Stream<S: Reset> {
    inner: S,
    activity: Arc<Activity>,
    patience: Patience,
    state: State,
    reader: HeadReader,
    /// Bytes received and not passed on yet.
    input: BytesMut,
    /// Limits the time for the client to send, while the server waits for it.
    reading: Timer,
    writing: Timer,
    served: bool,
    /// Whether the next request has let other connections go first.
    has_waited: bool,
    lingering: bool,
}

/// What the next bytes are.
enum State {
    Head,
    /// A complete head, and what follows it.
    Passing(Bytes, Following),
    /// This many bytes of a body.
    Body(u64),
    /// Anything: it belongs to the last request.
    Rest,
    /// Bytes to be ignored.
    Over,
}

/// Given to the library in place of a refused request. It is never handled.
const STANDS_FOR_REFUSED: Bytes = Bytes::from_static(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");

/// The least that is read at once.
const PIECE: usize = 8 * 1024;

impl<S: Reset> Stream<S> {
    pub fn new(inner: S, activity: Arc<Activity>, patience: Patience) -> Self {
        Self {
            inner,
            activity,
            patience,
            state: State::Head,
            reader: HeadReader::default(),
            input: BytesMut::new(),
            reading: Timer::default(),
            writing: Timer::default(),
            served: false,
            has_waited: false,
            lingering: false,
        }
    }

    /// Whether the next request may be read: after the client has read the previous response, and after other
    /// connections had their turn, so that many requests at once on one connection cost others no more than one request
    /// does.
    fn has_its_turn(&mut self, context: &mut Context<'_>) -> bool {
        if !self.activity.rests(context.waker()) || self.writing.is_running() {
            return false;
        }
        if self.served && !self.input.is_empty() && !self.has_waited {
            self.has_waited = true;
            context.waker().wake_by_ref();
            return false;
        }
        true
    }

    /// Reads the next head from the buffer, as far as it has arrived.
    fn look_for_head(&mut self) {
        let next = match self.reader.take(&mut self.input) {
            Ok(None) => return,
            Ok(Some(head)) => {
                self.activity.head(None);
                State::Passing(head.bytes, head.body)
            }
            Err(refused) => {
                self.activity.head(Some(refused));
                self.input.clear();
                self.lingering = true;
                State::Passing(STANDS_FOR_REFUSED, Following::Chunks)
            }
        };
        self.state = next;
        self.served = true;
        self.has_waited = false;
        self.reading.stop();
    }

    /// Passes on the part of a body that is in the buffer, as far as there is room.
    fn pass_on(&mut self, buffer: &mut ReadBuf<'_>, most: u64) -> usize {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let length = self.input.len().min(buffer.remaining()).min(most);
        buffer.put_slice(&self.input[..length]);
        self.input.advance(length);
        length
    }
}

impl<S: AsyncRead + Reset + Unpin> Stream<S> {
    /// Reads into this connection's buffer. `Ready(0)` if the client sends no more, or its time is over.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(PIECE);
        let length = self.input.len();
        // `resize` makes the bytes valid memory; only the bytes that were read are kept.
        self.input.resize(length + PIECE, 0);
        let mut buffer = ReadBuf::new(&mut self.input[length..]);
        let read = Pin::new(&mut self.inner).poll_read(context, &mut buffer);
        let filled = buffer.filled().len();
        self.input.truncate(length + filled);
        match read {
            Poll::Ready(Ok(())) => {
                self.activity.moved();
                Poll::Ready(Ok(filled))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits for more of a head, but not while a request is in progress, because its client may take its time.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let began = self.input.is_empty();
        if let Poll::Ready(read) = self.poll_input(context) {
            if began && self.served {
                // No longer idle: the time limit for the rest of the head starts with its first byte.
                self.reading.stop();
            }
            return Poll::Ready(read);
        }
        if self.activity.rests(context.waker()) {
            let patience = if began && self.served { self.patience.idle } else { self.patience.head };
            if self.reading.poll(context, patience).is_ready() {
                return Poll::Ready(Ok(0));
            }
        }
        Poll::Pending
    }

    /// Reads up to `most` bytes of a body, without this connection's buffer.
    fn poll_body(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>, most: u64) -> Poll<io::Result<usize>> {
        let room = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let read = Pin::new(&mut self.inner).poll_read(context, &mut part);
        self.activity.waits_for_client(read.is_pending());
        ready!(read)?;
        let filled = part.filled().len();
        buffer.advance(filled);
        self.activity.moved();
        Poll::Ready(Ok(filled))
    }
}

impl<S: AsyncRead + Reset + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match &mut this.state {
                State::Head => {
                    if !this.has_its_turn(context) {
                        // Meanwhile the only question is whether the client is still there.
                        if this.input.is_empty() && ready!(this.poll_input(context))? == 0 {
                            this.state = State::Over;
                            continue;
                        }
                        return Poll::Pending;
                    }
                    this.look_for_head();
                    if matches!(this.state, State::Head) && ready!(this.poll_head(context))? == 0 {
                        this.state = State::Over;
                    }
                }
                State::Passing(head, following) => {
                    let length = head.len().min(buffer.remaining());
                    buffer.put_slice(&head.split_to(length));
                    if head.is_empty() {
                        this.state = match following {
                            Following::Bytes(0) => State::Head,
                            Following::Bytes(length) => State::Body(*length),
                            Following::Chunks if this.lingering => State::Over,
                            Following::Chunks => State::Rest,
                        };
                    }
                    return Poll::Ready(Ok(()));
                }
                State::Body(left) => {
                    let left = *left;
                    let length = match this.pass_on(buffer, left) {
                        0 => ready!(this.poll_body(context, buffer, left))?,
                        length => length,
                    };
                    let left = left - u64::try_from(length).unwrap_or(left);
                    this.state = if left == 0 { State::Head } else { State::Body(left) };
                    return Poll::Ready(Ok(()));
                }
                State::Rest => {
                    if this.pass_on(buffer, u64::MAX) == 0 {
                        ready!(this.poll_body(context, buffer, u64::MAX))?;
                    }
                    return Poll::Ready(Ok(()));
                }
                // The library learns of the end when there is one, but not while a response is on its way.
                State::Over if this.lingering && !this.activity.rests(context.waker()) => return Poll::Pending,
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncWrite + Reset + Unpin> Stream<S> {
    /// Gives up on a client that reads nothing.
    fn written(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(result) => {
                if self.writing.stop() {
                    self.activity.waits_for_client(false);
                    // The next request was waiting for this response to be read.
                    context.waker().wake_by_ref();
                }
                self.activity.moved();
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.activity.waits_for_client(true);
                ready!(self.writing.poll(context, self.patience.write));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its response")))
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.written(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(context, bytes);
        this.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    /// After a refusal, reads and discards the rest of the client's data for a while: closing a connection with unread
    /// data resets it, and the client would see that instead of the response.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        const MOST: usize = 4 * 1024 * 1024;
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
        let mut thrown_away = 0;
        while this.lingering && thrown_away < MOST {
            this.input.clear();
            match this.poll_input(context) {
                Poll::Ready(Ok(length @ 1..)) => thrown_away += length,
                Poll::Ready(_) => this.lingering = false,
                Poll::Pending => {
                    let patience = this.patience.linger;
                    ready!(this.reading.poll(context, patience));
                    this.lingering = false;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Reset> Drop for Stream<S> {
    fn drop(&mut self) {
        if self.writing.is_running() {
            self.inner.reset_on_drop();
        }
    }
}

/// A head that exceeds the limit is refused before more of it is read.
const _: () = assert!(MAX_HEAD_BYTES > PIECE);

#[cfg(test)]
mod tests;
