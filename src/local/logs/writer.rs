//! The thread that writes lines to the store: SQLite blocks, and one transaction for many lines makes it fast.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use rusqlite::Connection;
use tasklane_lambda_local::{LogSink, LoggedLine};
use tasklane_ports::{Clock, SystemClock};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    LiveLog,
    limits::{ASK_AFTER, Finding, LogLimits, Room},
    store,
};

/// Accepts lines. Clones are cheap; the thread ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct LogWriter {
    queue: mpsc::Sender<Message>,
    /// One permit for each byte that may wait.
    bytes: Arc<Semaphore>,
}

enum Message {
    Line(LoggedLine),
    Flush(oneshot::Sender<()>),
}

/// How many lines, and how many bytes of them, may wait. A Function that logs faster than the disk can write is slowed
/// down by its full pipe.
const QUEUE: usize = 4096;
const QUEUED_BYTES: u32 = 16 * 1024 * 1024;
/// How long the first line waits for others: most come in threes, and a transaction costs more than many lines do.
const GATHER: Duration = Duration::from_millis(5);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

impl LogWriter {
    /// Writes to the store in `folder`.
    pub(super) fn start(db: Connection, folder: &Path, limits: LogLimits, live: Option<LiveLog>) -> io::Result<Self> {
        let (queue, mut messages) = mpsc::channel(QUEUE);
        let bytes = Arc::new(Semaphore::new(QUEUED_BYTES as usize));
        let room = Room::on_disk_of(folder, limits.reserve_bytes);
        let mut desk = Desk { db, live, limits, room, unmeasured: ASK_AFTER, omitted: 0, fails: false };
        let free = Arc::clone(&bytes);
        let work = move || {
            desk.prune();
            let mut pruned = Instant::now();
            let mut batch = Vec::new();
            while messages.blocking_recv_many(&mut batch, QUEUE) > 0 {
                if !batch.iter().any(|message| matches!(message, Message::Flush(_))) {
                    std::thread::sleep(GATHER);
                    while let Ok(message) = messages.try_recv() {
                        batch.push(message);
                    }
                }
                let written = desk.take(std::mem::take(&mut batch));
                free.add_permits(written);
                if pruned.elapsed() > PRUNE_EVERY {
                    desk.prune();
                    pruned = Instant::now();
                }
            }
        };
        std::thread::Builder::new().name("tasklane-logs".to_owned()).spawn(work)?;
        Ok(Self { queue, bytes })
    }
}

impl LogSink for LogWriter {
    /// Waits while the queue is full.
    fn write(&self, line: LoggedLine) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Neither is closed before the thread ends, and a panic of the thread is reported.
            if let Ok(permits) = self.bytes.acquire_many(weight(&line)).await {
                permits.forget();
            }
            let _ = self.queue.send(Message::Line(line)).await;
        })
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (done, wait) = oneshot::channel();
            if self.queue.send(Message::Flush(done)).await.is_ok() {
                let _ = wait.await;
            }
        })
    }
}

/// How many bytes a line takes in the queue.
fn weight(line: &LoggedLine) -> u32 {
    u32::try_from(line.message.len()).unwrap_or(u32::MAX).clamp(1, QUEUED_BYTES)
}

/// The work of the thread.
struct Desk {
    db: Connection,
    live: Option<LiveLog>,
    limits: LogLimits,
    room: Room,
    /// Bytes written since the store was last measured.
    unmeasured: u64,
    /// How many lines were dropped because the disk was full.
    omitted: u64,
    /// Whether the last write failed.
    fails: bool,
}

impl Desk {
    /// Writes lines, notifies callers that wait for a flush, and returns how many bytes left the queue.
    fn take(&mut self, batch: Vec<Message>) -> usize {
        let mut lines = Vec::with_capacity(batch.len());
        let mut waiting = Vec::new();
        for message in batch {
            match message {
                Message::Line(line) => lines.push(line),
                Message::Flush(done) => waiting.push(done),
            }
        }
        let bytes = lines.iter().map(|line| weight(line) as usize).sum();
        if !lines.is_empty() {
            if let Some(live) = &self.live {
                live(&lines);
            }
            self.write(&lines, bytes as u64);
        }
        for done in waiting {
            let _ = done.send(());
        }
        bytes
    }

    fn write(&mut self, lines: &[LoggedLine], bytes: u64) {
        match self.room.look(bytes) {
            Finding::Same => {}
            Finding::BecameShort => {
                let reserve = self.limits.reserve_bytes;
                tracing::error!(reserve, "the disk is nearly full: log lines are dropped until there is room");
            }
            Finding::HasRoom => {
                let lines = std::mem::take(&mut self.omitted);
                tracing::warn!(lines, "there is room for log lines again; {lines} were dropped");
            }
        }
        if self.room.is_short() {
            self.omitted += lines.len() as u64;
            return;
        }
        let written = store::insert(&mut self.db, lines);
        // Losing log lines must not stop the runs that logged them. It is reported once, not for each run.
        if let (Err(error), false) = (&written, self.fails) {
            tracing::error!(%error, lines = lines.len(), "could not write {} log lines: {error}", lines.len());
        }
        self.fails = written.is_err();
        self.unmeasured += bytes;
        if self.unmeasured >= ASK_AFTER {
            self.unmeasured = 0;
            if let Err(error) = store::shrink(&mut self.db, self.limits.store_bytes) {
                tracing::warn!(%error, "could not drop the oldest log lines: {error}");
            }
        }
    }

    fn prune(&self) {
        let before = SystemClock.now().saturating_sub(self.limits.retention);
        if let Err(error) = store::prune(&self.db, before) {
            tracing::warn!(%error, "could not drop expired log lines: {error}");
        }
    }
}
