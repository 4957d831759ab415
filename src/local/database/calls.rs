//! Answers DynamoDB calls from the embedded database.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    time::Duration,
};

use dynoxide::{DynoxideError, actions::transact_write_items::TransactWriteItemsRequest};
use tokio::sync::oneshot;

use super::{Watch, wal::WriteAheadLog};

/// How often expired records are removed. Readers ignore them as soon as they expire.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// A call that waits for the database's thread.
pub(super) struct Request {
    pub(super) operation: String,
    pub(super) body: Vec<u8>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The response that DynamoDB would send over HTTP.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// The most calls that share one sync, so that the first of them does not wait for ever.
const SHARE: usize = 128;

/// Answers the calls in the inbox until all senders are gone.
pub(super) fn serve(
    database: &dynoxide::Database,
    mut log: WriteAheadLog,
    inbox: &mpsc::Receiver<Request>,
    watch: Option<&Watch>,
) {
    let mut swept = std::time::Instant::now();
    loop {
        let mut waiting = match inbox.recv_timeout(SWEEP_EVERY) {
            Ok(request) => Some(request),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        // Only calls that neither wrote anything nor read anything unsynced are answered before the sync.
        let mut unsynced = Vec::new();
        while let Some(Request { operation, body, answer: caller }) = waiting.take() {
            let answer = match log.broken() {
                None => answer(database, &operation, &body, Tokens::Dropped),
                Some(why) => failure(why),
            };
            if unsynced.is_empty() && !writes(&operation) {
                // The caller may be gone.
                let _ = caller.send(answer);
            } else {
                // A stream that begins later reads what this has written.
                let report = watch.filter(|watch| watch.is_wanted() && has_written(&operation, &answer));
                unsynced.push((caller, answer, report.map(|watch| (watch, operation, body))));
            }
            if unsynced.len() < SHARE {
                waiting = inbox.try_recv().ok();
            }
        }
        let synced = if unsynced.is_empty() { Ok(()) } else { log.sync() };
        for (caller, answer, report) in unsynced {
            let _ = caller.send(match &synced {
                Ok(()) => answer,
                Err(why) => failure(why),
            });
            if let Some((watch, operation, body)) = report
                && synced.is_ok()
            {
                watch.written(&operation, &body);
            }
        }
        if swept.elapsed() >= SWEEP_EVERY {
            swept = std::time::Instant::now();
            if let Err(error) = database.sweep_ttl() {
                tracing::warn!(error = %error, "could not remove expired records from the database");
            }
        }
    }
}

/// Whether a call with this answer has written something.
pub(super) fn has_written(operation: &str, answer: &Answer) -> bool {
    writes(operation) && answer.status == 200
}

fn writes(operation: &str) -> bool {
    !matches!(
        operation,
        "BatchGetItem" | "DescribeTable" | "DescribeTimeToLive" | "GetItem" | "Query" | "Scan" | "TransactGetItems"
    )
}

fn failure(why: &str) -> Answer {
    let error = DynoxideError::InternalServerError(why.to_owned());
    Answer { status: error.status_code(), body: error.to_json() }
}

/// What happens to the tokens of transactions, by which DynamoDB recognizes a repeated one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tokens {
    /// Kept for ten minutes with the response, as DynamoDB does.
    Kept,
    /// Ignored. On one machine nothing is sent twice: the client does not retry, and no response gets lost. The
    /// database keeps tokens in memory and searches all of them in each transaction.
    Dropped,
}

pub(super) fn answer(database: &dynoxide::Database, operation: &str, body: &[u8], tokens: Tokens) -> Answer {
    let done = catch_unwind(AssertUnwindSafe(|| dispatch(database, operation, body, tokens)))
        .unwrap_or_else(|_| Err(DynoxideError::InternalServerError("the embedded database panicked".to_owned())));
    match done {
        Ok(body) => Answer { status: 200, body },
        Err(error) => Answer { status: error.status_code(), body: error.to_json() },
    }
}

/// The operations that the store uses, and `Scan` for tests.
fn dispatch(database: &dynoxide::Database, operation: &str, body: &[u8], tokens: Tokens) -> dynoxide::Result<String> {
    match operation {
        "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
        "CreateTable" => call(body, |request| database.create_table(request)),
        "DeleteItem" => call(body, |request| database.delete_item(request)),
        "DescribeTable" => call(body, |request| database.describe_table(request)),
        "DescribeTimeToLive" => call(body, |request| database.describe_time_to_live(request)),
        "GetItem" => call(body, |request| database.get_item(request)),
        "PutItem" => call(body, |request| database.put_item(request)),
        "Query" => call(body, |request| database.query(request)),
        "Scan" => call(body, |request| database.scan(request)),
        "TransactWriteItems" => call(body, |mut request: TransactWriteItemsRequest| {
            request.client_request_token = request.client_request_token.filter(|_| tokens == Tokens::Kept);
            database.transact_write_items(request)
        }),
        "UpdateItem" => call(body, |request| database.update_item(request)),
        "UpdateTimeToLive" => call(body, |request| database.update_time_to_live(request)),
        other => Err(DynoxideError::ValidationException(format!("the embedded database does not support {other}"))),
    }
}

fn call<Q, A>(body: &[u8], run: impl FnOnce(Q) -> dynoxide::Result<A>) -> dynoxide::Result<String>
where
    Q: serde::de::DeserializeOwned,
    A: serde::Serialize,
{
    let request =
        serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    serde_json::to_string(&run(request)?).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
