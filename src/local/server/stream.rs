//! A connection as the HTTP library sees it: whole heads that it will take, and no client that is waited for without end.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    activity::Activity,
    head::{Following, HeadReader, MAX_HEAD_BYTES},
};

/// How long clients are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a head may take to arrive, the first one from the moment that the connection was made.
    pub head: Duration,
    /// How long a connection may be idle between two requests. Longer than clients keep theirs: one who sends on a
    /// connection that is just being ended gets no answer, and cannot know whether the request was read.
    pub idle: Duration,
    /// How long a client may read nothing of its answers.
    pub write: Duration,
    /// How long a client that was refused is listened to, so that it reads why.
    pub linger: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            idle: Duration::from_secs(120),
            write: Duration::from_secs(60),
            linger: Duration::from_secs(2),
        }
    }
}

/// A connection that can be ended at once, with what was not sent.
pub trait Reset {
    /// Has the connection end so when it is dropped.
    fn reset_on_drop(&self);
}

impl Reset for tokio::net::TcpStream {
    fn reset_on_drop(&self) {
        // Otherwise the machine keeps the answer, and offers it for minutes to a client that does not read.
        let _ = self.set_zero_linger();
    }
}

/// A connection.
pub struct Stream<S: Reset> {
    inner: S,
    activity: Arc<Activity>,
    patience: Patience,
    state: State,
    reader: HeadReader,
    /// What came and was not passed on.
    input: BytesMut,
    /// When the client's time is over, while it is waited for.
    reading: Timer,
    writing: Timer,
    served: bool,
    /// Whether the next request has waited for those of others.
    has_waited: bool,
    lingering: bool,
}

/// What comes next.
enum State {
    /// A head.
    Head,
    /// A head that is here, and then what follows it.
    Passing(Bytes, Following),
    /// So many bytes of a body.
    Body(u64),
    /// Whatever it is, it belongs to the last request.
    Rest,
    /// Nothing that anybody wants.
    Over,
}

/// The request that stands for one that is refused: the library takes it, and nobody looks at it.
const STANDS_FOR_REFUSED: Bytes = Bytes::from_static(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");

/// How much is read at once, at least.
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

    /// Whether the next request may be taken: when the answer to the one before was read, and when other connections have had
    /// their turn, so that one that sends many requests at once costs others no more than one does.
    fn has_its_turn(&mut self, context: &mut Context<'_>) -> bool {
        if !self.activity.rests(context.waker()) || self.writing.runs {
            return false;
        }
        if self.served && !self.input.is_empty() && !self.has_waited {
            self.has_waited = true;
            context.waker().wake_by_ref();
            return false;
        }
        true
    }

    /// What is known of the next head, as far as it came.
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

    /// What has come of a body already, as much of it as there is room for.
    fn pass_on(&mut self, buffer: &mut ReadBuf<'_>, most: u64) -> usize {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let length = self.input.len().min(buffer.remaining()).min(most);
        buffer.put_slice(&self.input[..length]);
        self.input.advance(length);
        length
    }
}

impl<S: AsyncRead + Reset + Unpin> Stream<S> {
    /// Reads into the buffer of this connection. `Ready(0)`: the client sends no more, or its time is over.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(PIECE);
        let length = self.input.len();
        // Reads fill what was reserved; nothing is read out of it that was not filled.
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

    /// Waits for more of a head: never while a request is being worked on, whose client may take its time.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let began = self.input.is_empty();
        if let Poll::Ready(read) = self.poll_input(context) {
            if began && self.served {
                // Idleness is over: the time for the rest of the head begins with its first byte.
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

    /// Reads a body past the buffer of this connection, at most so much of it.
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
                        // What matters meanwhile is whether the client is still there.
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
                // The library hears of an end when there is one, and not while an answer is on its way.
                State::Over if this.lingering && !this.activity.rests(context.waker()) => return Poll::Pending,
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncWrite + Reset + Unpin> Stream<S> {
    /// Gives up a client that reads nothing.
    fn written(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(result) => {
                if self.writing.stop() {
                    self.activity.waits_for_client(false);
                    // The next request had to wait for this one's answer to be read.
                    context.waker().wake_by_ref();
                }
                self.activity.moved();
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.activity.waits_for_client(true);
                ready!(self.writing.poll(context, self.patience.write));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
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

    /// After a refusal the rest of what the client sends is read and thrown away, for a while: a connection that ends with
    /// bytes unread is reset, and the client would see that instead of the answer.
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
        if self.writing.runs {
            self.inner.reset_on_drop();
        }
    }
}

/// Time that runs from when it is first asked for until it is stopped.
#[derive(Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    runs: bool,
}

impl Timer {
    /// Ready when so much time has passed.
    fn poll(&mut self, context: &mut Context<'_>, patience: Duration) -> Poll<()> {
        let deadline = Instant::now() + patience;
        let runs = std::mem::replace(&mut self.runs, true);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if !runs {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }

    /// Whether it was running.
    fn stop(&mut self) -> bool {
        std::mem::take(&mut self.runs)
    }
}

/// A head that is larger than this has been refused before more of it is read.
const _: () = assert!(MAX_HEAD_BYTES > PIECE);

#[cfg(test)]
mod tests;
