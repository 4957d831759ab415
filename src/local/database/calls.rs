//! Requests that wait for the database's thread.

use tokio::sync::oneshot;

use super::{
    Watch,
    desk::{Answer, Desk, failure, writes},
    engine::{Fault, Operation},
};

/// A request that waits for the database's thread.
pub(super) trait Work: Send {
    fn run(&mut self, desk: &mut Desk, watch: Option<&Watch>);

    /// Prepares a request that only reads to be done again, because it shares its round with writes.
    fn keep(&mut self);

    /// Does it again, if it only reads.
    fn repeat(&mut self, desk: &mut Desk);

    /// Whether it has written something.
    fn has_written(&self) -> bool;

    /// Whether it only reads.
    fn only_reads(&self) -> bool;

    /// Answers the caller. If the round failed, nothing is known of what it has written.
    fn answer(self: Box<Self>, synced: Result<(), &str>, watch: Option<&Watch>);
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

    // Its text stays with it anyway.
    fn keep(&mut self) {}

    fn repeat(&mut self, desk: &mut Desk) {
        if self.only_reads() {
            self.done = Some(desk.answer(&self.operation, &self.body));
        }
    }

    fn only_reads(&self) -> bool {
        !writes(&self.operation)
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
    again: Option<O>,
    done: Option<Result<O::Answer, Fault>>,
    rows: Vec<(String, String)>,
    caller: oneshot::Sender<Result<O::Answer, Fault>>,
}

impl<O: Operation> Typed<O> {
    pub(super) fn new(operation: O, caller: oneshot::Sender<Result<O::Answer, Fault>>) -> Self {
        Self { operation: Some(operation), again: None, done: None, rows: Vec::new(), caller }
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

    fn keep(&mut self) {
        if self.only_reads() {
            self.again = self.operation.clone();
        }
    }

    fn repeat(&mut self, desk: &mut Desk) {
        if let Some(operation) = self.again.take() {
            self.done = Some(desk.run(operation));
        }
    }

    fn only_reads(&self) -> bool {
        !O::WRITES
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
