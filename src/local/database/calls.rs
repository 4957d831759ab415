//! The database's thread: it does what is asked, and answers once it is on the disk.

use std::{sync::mpsc, time::Duration};

use tokio::sync::oneshot;

use super::{
    Watch,
    desk::{Answer, Desk, failure, writes},
    engine::{Fault, Operation},
    wal::WriteAheadLog,
};

/// How often expired records are removed. Readers ignore them as soon as they expire.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The most requests that share one sync, so that the first of them does not wait for ever.
const SHARE: usize = 128;

/// A request that waits for the database's thread.
pub(super) trait Work: Send {
    fn run(&mut self, desk: &mut Desk, watch: Option<&Watch>);

    /// Whether it has written something.
    fn has_written(&self) -> bool;

    /// Answers the caller. If the round failed, nothing is known of what it has written.
    fn answer(self: Box<Self>, synced: Result<(), &str>, watch: Option<&Watch>);
}

/// Does the work in the inbox until all senders are gone.
pub(super) fn serve(
    mut desk: Desk,
    mut log: WriteAheadLog,
    inbox: &mpsc::Receiver<Box<dyn Work>>,
    watch: Option<&Watch>,
) {
    let mut swept = std::time::Instant::now();
    loop {
        let mut waiting = match inbox.recv_timeout(SWEEP_EVERY) {
            Ok(work) => Some(work),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        desk.begin(log.broken());
        // Only requests that neither wrote anything nor read anything unsynced are answered before the sync.
        let mut unsynced: Vec<Box<dyn Work>> = Vec::new();
        while let Some(mut work) = waiting.take() {
            work.run(&mut desk, watch);
            if unsynced.is_empty() && !work.has_written() {
                work.answer(Ok(()), watch);
            } else {
                unsynced.push(work);
            }
            if unsynced.len() < SHARE {
                waiting = inbox.try_recv().ok();
            }
        }
        let ended = desk.end();
        let synced = match ended {
            Ok(()) if unsynced.is_empty() => Ok(()),
            Ok(()) => log.sync(),
            Err(why) => Err(why),
        };
        let synced = synced.as_ref().copied().map_err(String::as_str);
        for work in unsynced {
            work.answer(synced, watch);
        }
        if swept.elapsed() >= SWEEP_EVERY {
            swept = std::time::Instant::now();
            if let Err(error) = desk.dynoxide().sweep_ttl() {
                tracing::warn!(error = %error, "could not remove expired records from the database");
            }
        }
    }
}

/// A request as DynamoDB's API has it.
pub(super) struct Call {
    pub(super) operation: String,
    pub(super) body: Vec<u8>,
    done: Option<Answer>,
    caller: oneshot::Sender<Answer>,
}

impl Call {
    pub(super) fn new(operation: String, body: Vec<u8>, caller: oneshot::Sender<Answer>) -> Self {
        Self { operation, body, done: None, caller }
    }
}

impl Work for Call {
    fn run(&mut self, desk: &mut Desk, _: Option<&Watch>) {
        self.done = Some(desk.answer(&self.operation, &self.body));
    }

    fn has_written(&self) -> bool {
        writes(&self.operation) && self.done.as_ref().is_some_and(|answer| answer.status == 200)
    }

    fn answer(self: Box<Self>, synced: Result<(), &str>, watch: Option<&Watch>) {
        let has_written = self.has_written();
        let answer = match (synced, self.done) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => failure("the embedded database did not answer"),
            (Err(why), _) => failure(why),
        };
        // The caller may be gone.
        let _ = self.caller.send(answer);
        // A stream that begins later reads what this has written.
        if let Some(watch) = watch.filter(|watch| watch.is_wanted() && has_written && synced.is_ok()) {
            watch.written(&self.operation, &self.body);
        }
    }
}

/// A request of the store, which the engine takes as it is.
pub(super) struct Typed<O: Operation> {
    operation: Option<O>,
    done: Option<Result<O::Answer, Fault>>,
    rows: Vec<(String, String)>,
    caller: oneshot::Sender<Result<O::Answer, Fault>>,
}

impl<O: Operation> Typed<O> {
    pub(super) fn new(operation: O, caller: oneshot::Sender<Result<O::Answer, Fault>>) -> Self {
        Self { operation: Some(operation), done: None, rows: Vec::new(), caller }
    }
}

impl<O: Operation> Work for Typed<O> {
    fn run(&mut self, desk: &mut Desk, watch: Option<&Watch>) {
        let Some(operation) = self.operation.take() else { return };
        if O::WRITES && watch.is_some_and(Watch::is_wanted) {
            self.rows = operation.rows();
        }
        self.done = Some(desk.run(operation));
    }

    fn has_written(&self) -> bool {
        O::WRITES && matches!(self.done, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, synced: Result<(), &str>, watch: Option<&Watch>) {
        let has_written = self.has_written();
        let answer = match (synced, self.done) {
            (Ok(()), Some(done)) => done,
            (Ok(()), None) => Err(Fault::Failed("the embedded database did not answer".to_owned())),
            (Err(why), _) => Err(Fault::Failed(why.to_owned())),
        };
        // The caller may be gone.
        let _ = self.caller.send(answer);
        if let Some(watch) = watch.filter(|_| has_written && synced.is_ok()) {
            for (table, sort) in &self.rows {
                watch.row_written(table, sort);
            }
        }
    }
}
