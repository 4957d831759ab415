//! What a process writes to its standard output and error: one pipe for both, so that the order is the process's own.

use std::{
    io::{self, PipeWriter},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use nix::errno::Errno;
use tokio::{
    net::unix::pipe::Receiver,
    sync::{mpsc, oneshot},
};

use crate::{
    local::logs::{LogWriter, LoggedLine},
    model::{FunctionName, ObjectId},
    ports::{Clock, LogLine, SystemClock},
};

/// The most bytes of one line; what is longer becomes several. CloudWatch's limit of an event.
const MAX_LINE_BYTES: usize = 256 * 1024;
const READ_BYTES: usize = 64 * 1024;

/// Which run's lines these are.
#[derive(Clone, Debug)]
pub(super) struct LogTarget {
    pub(super) function: FunctionName,
    pub(super) correlation: ObjectId,
    pub(super) request_id: Arc<str>,
}

impl LogTarget {
    /// Logs a line of this run, now.
    pub(super) async fn log(&self, logs: &LogWriter, message: String) {
        let Self { function, correlation, request_id } = self.clone();
        let line = LogLine { timestamp: SystemClock.now(), message };
        logs.write(LoggedLine { function, correlation, request_id, line }).await;
    }
}

/// Reads a process's output into the log until every holder of the pipe is gone.
#[derive(Debug)]
pub(super) struct Output {
    target: Arc<Mutex<LogTarget>>,
    flushes: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl Output {
    /// A pipe's end for a child to write to, and what reads it. Lines belong to `target` until told otherwise.
    pub(super) fn start(logs: LogWriter, target: LogTarget) -> io::Result<(PipeWriter, Self)> {
        let (reader, writer) = io::pipe()?;
        let reader = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let target = Arc::new(Mutex::new(target));
        let (flushes, requests) = mpsc::unbounded_channel();
        let lines = Lines { logs, target: target.clone(), partial: Vec::new() };
        tokio::spawn(read(reader, lines, requests));
        Ok((writer, Self { target, flushes }))
    }

    /// From now on lines belong to another run.
    pub(super) fn retarget(&self, target: LogTarget) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Returns once everything that was written before is handed to the log, a last line without an end too.
    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.flushes.send(done).is_ok() {
            let _ = wait.await;
        }
    }
}

async fn read(pipe: Receiver, mut lines: Lines, mut flushes: mpsc::UnboundedReceiver<oneshot::Sender<()>>) {
    let mut open = true;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        tokio::select! {
            biased;
            flush = flushes.recv() => {
                let Some(done) = flush else { return };
                while open {
                    // Past tokio, which would not try before it has heard from the kernel that there is something.
                    match nix::unistd::read(pipe.as_fd(), &mut buffer) {
                        Ok(0) => open = false,
                        Ok(read) => lines.take(&buffer[..read]).await,
                        Err(Errno::EINTR) => {}
                        Err(Errno::EAGAIN) => break,
                        Err(_) => open = false,
                    }
                }
                lines.end().await;
                let _ = done.send(());
            }
            ready = pipe.readable(), if open => match ready.and_then(|()| pipe.try_read(&mut buffer)) {
                Ok(0) => {
                    lines.end().await;
                    open = false;
                }
                Ok(read) => lines.take(&buffer[..read]).await,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => open = false,
            },
        }
    }
}

struct Lines {
    logs: LogWriter,
    target: Arc<Mutex<LogTarget>>,
    partial: Vec<u8>,
}

impl Lines {
    async fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= MAX_LINE_BYTES {
                self.end().await;
            }
        }
    }

    /// Logs what has come of a line so far.
    async fn end(&mut self) {
        if self.partial.is_empty() {
            return;
        }
        let line = std::mem::take(&mut self.partial);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A carriage return within a line is how runtime clients keep an entry of several lines together.
        let message = String::from_utf8_lossy(line).replace('\r', "\n");
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        target.log(&self.logs, message).await;
    }
}
