//! What a process writes to its standard output and error: one pipe for both, so that the order is the process's own.

use std::{
    io::{self, PipeWriter},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use nix::errno::Errno;
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::{CancellationToken, DropGuard};

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

/// Reads a process's output into the log until every holder of the pipe is gone, or this is dropped.
#[derive(Debug)]
pub(super) struct Output {
    target: Arc<Mutex<LogTarget>>,
    reader: Arc<Reader>,
    _reading: DropGuard,
}

impl Output {
    /// A pipe's end for a child to write to, and what reads it. Lines belong to `target` until told otherwise.
    pub(super) fn start(logs: LogWriter, target: LogTarget) -> io::Result<(PipeWriter, Self)> {
        let (reader, writer) = io::pipe()?;
        let pipe = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let target = Arc::new(Mutex::new(target));
        let lines = Lines { logs, target: target.clone(), partial: Vec::new() };
        let reading = Reading { lines, buffer: vec![0; READ_BYTES] };
        let reader = Arc::new(Reader { pipe, reading: tokio::sync::Mutex::new(reading) });
        let stop = CancellationToken::new();
        tokio::spawn(read(reader.clone(), stop.clone()));
        Ok((writer, Self { target, reader, _reading: stop.drop_guard() }))
    }

    /// From now on lines belong to another run.
    pub(super) fn retarget(&self, target: LogTarget) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Returns once everything that was written before is handed to the log, a last line without an end too.
    pub(super) async fn flush(&self) {
        let mut reading = self.reader.reading.lock().await;
        let Reading { lines, buffer } = &mut *reading;
        loop {
            // Past tokio, which would not try before it has heard from the kernel that there is something.
            match nix::unistd::read(self.reader.pipe.as_fd(), buffer) {
                Ok(0) => break,
                Ok(read) => lines.take(&buffer[..read]).await,
                Err(Errno::EINTR) => {}
                // There is no more, or there never will be.
                Err(_) => break,
            }
        }
        lines.end().await;
    }
}

/// The end of the pipe. Whoever has what reads may read.
#[derive(Debug)]
struct Reader {
    pipe: Receiver,
    reading: tokio::sync::Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    lines: Lines,
    buffer: Vec<u8>,
}

/// Reads what comes when it comes.
async fn read(reader: Arc<Reader>, stop: CancellationToken) {
    loop {
        let ready = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ready = reader.pipe.readable() => ready,
        };
        let mut reading = reader.reading.lock().await;
        let Reading { lines, buffer } = &mut *reading;
        match ready.and_then(|()| reader.pipe.try_read(buffer)) {
            Ok(0) => return lines.end().await,
            Ok(read) => lines.take(&buffer[..read]).await,
            // A flush may have read it.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

#[derive(Debug)]
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
