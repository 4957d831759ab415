//! The thread that writes lines down: SQLite blocks, and one transaction for many lines is what makes it quick.

use std::{
    io,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{LiveLog, LoggedLine, store};
use crate::ports::{Clock, SystemClock};

/// Takes lines. Cloning is cheap; the thread ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct LogWriter {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Line(LoggedLine),
    Flush(oneshot::Sender<()>),
}

/// How many lines wait at most. A Function that logs faster than a disk can write is slowed down by its full pipe.
const QUEUE: usize = 4096;
/// How long the first line waits for others: most come in threes, and a transaction costs more than many lines.
const GATHER: Duration = Duration::from_millis(5);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

impl LogWriter {
    pub(super) fn start(mut db: Connection, retention: Duration, live: Option<LiveLog>) -> io::Result<Self> {
        let (queue, mut messages) = mpsc::channel(QUEUE);
        let work = move || {
            prune(&db, retention);
            let mut pruned = Instant::now();
            let mut batch = Vec::new();
            while messages.blocking_recv_many(&mut batch, QUEUE) > 0 {
                if !batch.iter().any(|message| matches!(message, Message::Flush(_))) {
                    std::thread::sleep(GATHER);
                    while let Ok(message) = messages.try_recv() {
                        batch.push(message);
                    }
                }
                write(&mut db, live.as_ref(), std::mem::take(&mut batch));
                if pruned.elapsed() > PRUNE_EVERY {
                    prune(&db, retention);
                    pruned = Instant::now();
                }
            }
        };
        std::thread::Builder::new().name("tasklane-logs".to_owned()).spawn(work)?;
        Ok(Self { queue })
    }

    /// Hands a line over, waiting while the queue is full.
    pub async fn write(&self, line: LoggedLine) {
        // The queue closes only when the thread died, and it says so itself.
        let _ = self.queue.send(Message::Line(line)).await;
    }

    /// Waits until everything that was handed over before can be read.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

fn write(db: &mut Connection, live: Option<&LiveLog>, batch: Vec<Message>) {
    let mut lines = Vec::with_capacity(batch.len());
    let mut waiting = Vec::new();
    for message in batch {
        match message {
            Message::Line(line) => lines.push(line),
            Message::Flush(done) => waiting.push(done),
        }
    }
    if let Some(live) = live
        && !lines.is_empty()
    {
        live(&lines);
    }
    if let Err(error) = store::insert(db, &lines) {
        // Losing log lines must not stop the runs that logged them.
        tracing::error!(%error, lines = lines.len(), "could not write {} log lines down: {error}", lines.len());
    }
    for done in waiting {
        let _ = done.send(());
    }
}

fn prune(db: &Connection, retention: Duration) {
    let before = SystemClock.now().saturating_sub(retention);
    if let Err(error) = store::prune(db, before) {
        tracing::warn!(%error, "could not drop expired log lines: {error}");
    }
}
