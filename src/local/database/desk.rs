//! Answers requests: the engine those that it knows, dynoxide the others.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::{
    operation::{
        batch_get_item::BatchGetItemInput, delete_item::DeleteItemInput, get_item::GetItemInput,
        put_item::PutItemInput, query::QueryInput, transact_write_items::TransactWriteItemsInput,
        update_item::UpdateItemInput,
    },
    types::TransactWriteItem,
};
use dynoxide::{DynoxideError, actions::transact_write_items::TransactWriteItemsRequest};
use tasklane_model::Timestamp;
use tasklane_ports::Clock;

use super::engine::{
    Engine, Fault, Operation,
    wire::{Wire, canceled, refused},
};

/// How long DynamoDB recognises a repeated transaction by its token.
const TOKENS_LAST: Duration = Duration::from_secs(600);

/// The response that DynamoDB would send over HTTP.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What is done with the tokens of transactions, by which DynamoDB recognises a repeated one.
pub(super) enum Tokens {
    /// They are kept as long as DynamoDB keeps them.
    Kept(RecentTransactions),
    /// They are ignored. On one machine nothing is sent twice: the client does not retry, and no response gets lost.
    Dropped,
}

/// Both engines, on one database. What the requests of a round write is on its way to the disk once the round has ended.
pub(super) struct Desk {
    engine: Engine,
    dynoxide: dynoxide::Database,
    tokens: Tokens,
    /// Why the round has failed.
    failed: Option<String>,
}

impl Desk {
    pub(super) fn new(engine: Engine, dynoxide: dynoxide::Database, tokens: Tokens) -> Self {
        Self { engine, dynoxide, tokens, failed: None }
    }

    pub(super) fn dynoxide(&self) -> &dynoxide::Database {
        &self.dynoxide
    }

    /// Begins a round of requests; `broken` is why it cannot succeed.
    pub(super) fn begin(&mut self, broken: Option<&str>) {
        self.failed = broken.map(str::to_owned);
    }

    /// Ends the round. If it fails, nothing is known of what its requests have written.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.end_batch();
        match self.failed.take() {
            None => Ok(()),
            Some(why) => Err(why),
        }
    }

    /// Whether the round can no longer succeed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    fn end_batch(&mut self) {
        if self.failed.is_some() {
            self.engine.abandon_batch();
        } else if let Err(fault) = self.engine.end_batch() {
            self.failed = Some(told(&fault));
        }
    }

    /// Answers a request, if it is the engine's.
    pub(super) fn run<O: Operation>(&mut self, operation: O) -> Result<O::Answer, Fault> {
        if let Some(why) = &self.failed {
            return Err(Fault::Failed(why.clone()));
        }
        let engine = &mut self.engine;
        let done = catch_unwind(AssertUnwindSafe(|| {
            if O::WRITES {
                engine.begin_batch()?;
            }
            operation.run(engine)
        }))
        .unwrap_or_else(|_| Err(Fault::Failed("the embedded database panicked".to_owned())));
        if let Err(Fault::Failed(why)) = &done
            && (O::WRITES || self.engine.has_lost_batch())
        {
            // Parts of it may have been written.
            self.failed = Some(why.clone());
            self.engine.abandon_batch();
        }
        done
    }

    /// Answers a request that came as DynamoDB's API has it.
    pub(super) fn answer(&mut self, operation: &str, body: &[u8]) -> Answer {
        self.answer_here(operation, body).unwrap_or_else(|| self.leave(operation, body))
    }

    /// Answers it, if it is the engine's.
    pub(super) fn answer_here(&mut self, operation: &str, body: &[u8]) -> Option<Answer> {
        match operation {
            "BatchGetItem" => self.read::<BatchGetItemInput>(body),
            "DeleteItem" => self.read::<DeleteItemInput>(body),
            "GetItem" => self.read::<GetItemInput>(body),
            "PutItem" => self.read::<PutItemInput>(body),
            "Query" => self.read::<QueryInput>(body),
            "TransactWriteItems" => self.transact(body),
            "UpdateItem" => self.read::<UpdateItemInput>(body),
            _ => None,
        }
    }

    fn read<O: Wire>(&mut self, body: &[u8]) -> Option<Answer> {
        O::read(body).and_then(|input| self.typed(input))
    }

    fn typed<O: Wire>(&mut self, input: O) -> Option<Answer> {
        let ok = |body| Answer { status: 200, body };
        let refusal = |body| Answer { status: 400, body };
        match self.run(input) {
            Ok(answer) => O::write(&answer).map(ok),
            Err(Fault::NotOurs) => None,
            Err(Fault::Refused(item)) => refused(item.as_ref()).map(refusal),
            Err(Fault::Canceled(reasons)) => canceled(&reasons).map(refusal),
            Err(Fault::Failed(why)) => Some(failure(&why)),
        }
    }

    fn transact(&mut self, body: &[u8]) -> Option<Answer> {
        let input = TransactWriteItemsInput::read(body)?;
        let (Tokens::Kept(recent), Some(token)) = (&mut self.tokens, input.client_request_token.clone()) else {
            return self.typed(input);
        };
        let parts = input.transact_items().to_vec();
        match recent.find(&token) {
            Some(same) if *same == parts => return Some(Answer { status: 200, body: b"{}".to_vec() }),
            Some(_) => {
                let why = "Request ID used with different parameters".to_owned();
                return Some(told_by(&DynoxideError::IdempotentParameterMismatchException(why)));
            }
            None => {}
        }
        let answer = self.typed(input)?;
        if let Tokens::Kept(recent) = &mut self.tokens
            && answer.status == 200
        {
            recent.remember(token, parts);
        }
        Some(answer)
    }

    /// Leaves a request to dynoxide.
    pub(super) fn leave(&mut self, operation: &str, body: &[u8]) -> Answer {
        // dynoxide has a connection of its own, which must see what was written, and may write.
        self.end_batch();
        if let Some(why) = &self.failed {
            return failure(why);
        }
        let done = catch_unwind(AssertUnwindSafe(|| self.dispatch(operation, body)))
            .unwrap_or_else(|_| Err(DynoxideError::InternalServerError("the embedded database panicked".to_owned())));
        if writes(operation) {
            self.engine.forget_tables();
        }
        match done {
            Ok(body) => Answer { status: 200, body: body.into_bytes() },
            Err(error) => told_by(&error),
        }
    }

    /// The operations that the store uses, and `Scan` for tests.
    fn dispatch(&self, operation: &str, body: &[u8]) -> dynoxide::Result<String> {
        let database = &self.dynoxide;
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
                // It keeps tokens in memory and searches all of them in each transaction.
                request.client_request_token =
                    request.client_request_token.filter(|_| matches!(self.tokens, Tokens::Kept(_)));
                database.transact_write_items(request)
            }),
            "UpdateItem" => call(body, |request| database.update_item(request)),
            "UpdateTimeToLive" => call(body, |request| database.update_time_to_live(request)),
            other => Err(DynoxideError::ValidationException(format!("the embedded database does not support {other}"))),
        }
    }
}

pub(super) fn writes(operation: &str) -> bool {
    !matches!(
        operation,
        "BatchGetItem" | "DescribeTable" | "DescribeTimeToLive" | "GetItem" | "Query" | "Scan" | "TransactGetItems"
    )
}

pub(super) fn failure(why: &str) -> Answer {
    told_by(&DynoxideError::InternalServerError(why.to_owned()))
}

fn told_by(error: &DynoxideError) -> Answer {
    Answer { status: error.status_code(), body: error.to_json().into_bytes() }
}

fn told(fault: &Fault) -> String {
    match fault {
        Fault::Failed(why) => why.clone(),
        other => format!("{other:?}"),
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

/// The transactions of the last minutes, by their tokens.
pub(super) struct RecentTransactions {
    clock: Arc<dyn Clock>,
    parts: HashMap<String, Vec<TransactWriteItem>>,
    /// When each is forgotten, in order.
    until: VecDeque<(Timestamp, String)>,
}

impl RecentTransactions {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, parts: HashMap::new(), until: VecDeque::new() }
    }

    fn find(&mut self, token: &str) -> Option<&Vec<TransactWriteItem>> {
        let now = self.clock.now();
        while let Some((_, forgotten)) = self.until.pop_front_if(|(until, _)| *until <= now) {
            self.parts.remove(&forgotten);
        }
        self.parts.get(token)
    }

    fn remember(&mut self, token: String, parts: Vec<TransactWriteItem>) {
        self.until.push_back((self.clock.now().saturating_add(TOKENS_LAST), token.clone()));
        self.parts.insert(token, parts);
    }
}
