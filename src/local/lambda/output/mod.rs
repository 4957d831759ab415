//! The output of a process: one pipe for standard output and error, so that their order is preserved.
//!
//! Our bootstraps write each line with a blocking call before they answer, so when the answer arrives, all lines of the
//! run are in the pipe. Output between two runs belongs to neither, and is dropped.

mod lines;
mod target;
#[cfg(test)]
mod tests;

use std::{
    io::{self, PipeWriter},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use nix::errno::Errno;
use tasklane_runtime::lock::Lock;
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(super) use self::target::LogTarget;

use self::lines::{Lines, Target};
use super::sink::LogSink;

const READ_BYTES: usize = 64 * 1024;
/// The most bytes that a pipe holds: on Linux only root can have more (`/proc/sys/fs/pipe-max-size`). Everything
/// written before a certain moment is within the next so many bytes. Without this bound, reading would never end if a
/// process never stops writing.
const MOST_IN_PIPE: usize = 1024 * 1024;

/// Reads a process's output into the log until all writers of the pipe are gone, or this is dropped.
#[derive(Debug)]
pub(super) struct Output {
    target: Target,
    reader: Arc<Reader>,
    _reading: DropGuard,
}

impl Output {
    /// Creates a pipe and starts reading it. Returns the end that the child writes to. Lines belong to `target` until
    /// that run ends.
    pub(super) fn start(logs: Arc<dyn LogSink>, target: LogTarget) -> io::Result<(PipeWriter, Self)> {
        let (reader, writer) = io::pipe()?;
        let pipe = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let target = Target::new(Lock::new(Some(target)));
        let lines = Lines { logs, target: Arc::clone(&target), partial: Vec::new() };
        let reading = Reading { lines, buffer: vec![0; READ_BYTES] };
        let reader = Arc::new(Reader { pipe, reading: tokio::sync::Mutex::new(reading) });
        let stop = CancellationToken::new();
        tokio::spawn(read(Arc::clone(&reader), stop.clone()));
        Ok((writer, Self { target, reader, _reading: stop.drop_guard() }))
    }

    /// From now on lines belong to this run. Earlier output is dropped.
    pub(super) async fn begin_run(&self, target: LogTarget) {
        let mut reading = self.reader.reading.lock().await;
        self.reader.drain(&mut reading).await;
        reading.lines.partial.clear();
        *self.target.lock() = Some(target);
    }

    /// Returns when all lines written so far are in the log.
    pub(super) async fn catch_up(&self) {
        let mut reading = self.reader.reading.lock().await;
        self.reader.drain(&mut reading).await;
    }

    /// Returns when everything written so far is in the log, including an incomplete last line. Later output is
    /// dropped.
    pub(super) async fn end_run(&self) {
        let mut reading = self.reader.reading.lock().await;
        self.reader.drain(&mut reading).await;
        reading.lines.end().await;
        *self.target.lock() = None;
    }
}

/// The reading end of the pipe. Only the holder of `reading` may read.
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

impl Reader {
    /// Reads everything that is in the pipe now.
    async fn drain(&self, reading: &mut Reading) {
        let Reading { lines, buffer } = reading;
        let mut taken = 0;
        while taken < MOST_IN_PIPE {
            // Not through tokio, which would not try before the kernel has told it that there is something to read.
            match nix::unistd::read(self.pipe.as_fd(), buffer) {
                Ok(0) => return,
                Ok(read) => {
                    taken += read;
                    lines.take(&buffer[..read]).await;
                }
                Err(Errno::EINTR) => {}
                // The pipe is empty, or closed.
                Err(_) => return,
            }
        }
    }
}

/// Reads output as it arrives.
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
            // Another task may have read it.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}
