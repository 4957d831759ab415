//! The calls on one table, with classified errors.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        batch_get_item::BatchGetItemInput,
        delete_item::DeleteItemInput,
        get_item::GetItemInput,
        put_item::{PutItemError, PutItemInput},
        query::{QueryInput, QueryOutput, builders::QueryInputBuilder},
        update_item::{UpdateItemError, UpdateItemInput},
    },
    types::{KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use aws_smithy_runtime_api::client::result::CreateUnhandledError;
use tasklane_ports::Clock;
use tasklane_runtime::backoff::Backoff;

use super::{
    StoreError,
    calls::CallTokens,
    change::{Change, Condition},
    connection::Connection,
    error::failed,
    row::{Attributes, NewRow, Row, text},
};

/// How often a call is attempted in total if it conflicts with others.
const TRIES: usize = 6;
/// The first pause between these attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);
/// The most rows in one BatchGetItem.
const BATCH: usize = 100;

/// A table. All tables have a string `pk` and a string `sk` as their key.
#[derive(Clone)]
pub(super) struct Table {
    connection: Connection,
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    /// Distinguishes our own writes from others'.
    pub(super) calls: CallTokens,
}

/// The result of a conditional write.
pub(super) enum Written {
    /// It succeeded. The row after the write, if the call returns it.
    Done(Option<Row>),
    /// The condition was not met. The current row, if it exists.
    Refused(Option<Row>),
}

/// Boxes one of the SDK's futures, which are several kilobytes large: otherwise every future that awaits it is as
/// large, and is moved in memory when it is spawned and when it ends.
pub(super) fn small<F: Future>(call: F) -> Pin<Box<F>> {
    Box::pin(call)
}

impl Table {
    pub(super) fn new(connection: &Connection, name: String, clock: &Arc<dyn Clock>, calls: &CallTokens) -> Self {
        Self { connection: connection.clone(), name: name.into(), clock: Arc::clone(clock), calls: calls.clone() }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn client(&self) -> &Client {
        self.connection.client()
    }

    pub(super) fn row(&self, attributes: Attributes) -> Result<Row, StoreError> {
        Row::read(&self.name, attributes)
    }

    /// Reads a row, strongly consistent.
    pub(super) async fn get(&self, action: &'static str, pk: &str, sk: &str) -> Result<Option<Row>, StoreError> {
        let request =
            || GetItemInput::builder().table_name(&*self.name).set_key(Some(key(pk, sk))).consistent_read(true);
        let answer = self.connection.get_item(request).await.map_err(|error| failed(action, &error))?;
        answer.item.map(|item| self.row(item)).transpose()
    }

    /// Reads several rows, strongly consistent, in no particular order and without missing ones.
    pub(super) async fn get_all(
        &self,
        action: &'static str,
        keys: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<Row>, StoreError> {
        self.get_each(action, keys).await?.into_iter().collect()
    }

    /// Like [`Table::get_all`], for a caller who wants the other rows if some of them cannot be read.
    pub(super) async fn get_each(
        &self,
        action: &'static str,
        keys: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<Result<Row, StoreError>>, StoreError> {
        // A batch must not contain a key twice.
        let keys: BTreeSet<_> = keys.into_iter().collect();
        let mut keys: Vec<Attributes> = keys.iter().map(|(pk, sk)| key(pk, sk)).collect();
        let mut rows = Vec::with_capacity(keys.len());
        let mut pauses = self.pauses();
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(BATCH));
            let batch = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .consistent_read(true)
                .build()
                .map_err(|error| StoreError::unavailable(action, error))?;
            let request = || BatchGetItemInput::builder().request_items(&*self.name, batch.clone());
            let answer = self.connection.batch_get_item(request).await.map_err(|error| failed(action, &error))?;
            // The response is grouped by table, and there is only one.
            let found = answer.responses.unwrap_or_default().into_values().next().unwrap_or_default();
            // A batch returns at most 16 MB, and less under load; request the rest again.
            let missed = answer.unprocessed_keys.unwrap_or_default().into_values().next();
            if found.is_empty() && missed.is_some() {
                let Some(pause) = pauses.next() else { return Err(StoreError::Throttled { action }) };
                self.clock.sleep(pause).await;
            }
            rows.extend(found.into_iter().map(|item| self.row(item)));
            keys = missed.map(|missed| missed.keys).unwrap_or_default();
            keys.extend(rest);
        }
        Ok(rows)
    }

    pub(super) async fn put(
        &self,
        action: &'static str,
        row: NewRow,
        condition: Condition,
    ) -> Result<Written, StoreError> {
        let item = row.into_attributes();
        let when = condition.into_expressions();
        self.through_conflicts(action, async || {
            let request = || {
                PutItemInput::builder()
                    .table_name(&*self.name)
                    .set_item(Some(item.clone()))
                    .set_condition_expression(some(&when.condition))
                    .set_expression_attribute_names(some_map(&when.names))
                    .set_expression_attribute_values(some_map(&when.values))
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            };
            match self.connection.put_item(request).await {
                Ok(_) => Ok(Some(Written::Done(None))),
                Err(error) => self.unwritten(action, error, |error| match error {
                    PutItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                    _ => None,
                }),
            }
        })
        .await
    }

    pub(super) async fn update(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
        change: Change,
    ) -> Result<Written, StoreError> {
        let with = change.into_expressions();
        self.through_conflicts(action, async || {
            let request = || {
                UpdateItemInput::builder()
                    .table_name(&*self.name)
                    .set_key(Some(key(pk, sk)))
                    .update_expression(&with.update)
                    .set_condition_expression(some(&with.condition))
                    .set_expression_attribute_names(some_map(&with.names))
                    .set_expression_attribute_values(some_map(&with.values))
                    .return_values(ReturnValue::AllNew)
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            };
            match self.connection.update_item(request).await {
                Ok(answer) => Ok(Some(Written::Done(answer.attributes.map(|item| self.row(item)).transpose()?))),
                Err(error) => self.unwritten(action, error, |error| match error {
                    UpdateItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                    _ => None,
                }),
            }
        })
        .await
    }

    /// Removes a row if it meets the condition, and returns it.
    pub(super) async fn delete_when(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
        condition: Condition,
    ) -> Result<Option<Row>, StoreError> {
        let when = condition.into_expressions();
        let deleted = self.through_conflicts(action, async || {
            let request = || {
                DeleteItemInput::builder()
                    .table_name(&*self.name)
                    .set_key(Some(key(pk, sk)))
                    .set_condition_expression(some(&when.condition))
                    .set_expression_attribute_names(some_map(&when.names))
                    .set_expression_attribute_values(some_map(&when.values))
                    .return_values(ReturnValue::AllOld)
            };
            match self.connection.delete_item(request).await {
                Ok(answer) => Ok(Some(Written::Done(answer.attributes.map(|item| self.row(item)).transpose()?))),
                Err(error) => self.unwritten(action, error, |_| None),
            }
        });
        Ok(match deleted.await? {
            Written::Done(row) => row,
            Written::Refused(_) => None,
        })
    }

    /// A query of one partition of the table (strongly consistent) or of an index.
    pub(super) fn query(&self, partition: &Partition<'_>) -> QueryInputBuilder {
        let request = QueryInput::builder()
            .table_name(&*self.name)
            .expression_attribute_names("#partition", partition.key)
            .expression_attribute_values(":partition", text(partition.value));
        match partition.index {
            None => request.consistent_read(true),
            Some(index) => request.index_name(index),
        }
    }

    /// A page of a query.
    pub(super) async fn page(
        &self,
        action: &'static str,
        query: &QueryInputBuilder,
    ) -> Result<QueryOutput, StoreError> {
        self.connection.query(|| query.clone()).await.map_err(|error| failed(action, &error))
    }

    /// All rows in one partition of the table, in order.
    pub(super) async fn all_of(&self, action: &'static str, pk: &str) -> Result<Vec<Row>, StoreError> {
        self.some_of(action, pk, usize::MAX).await
    }

    /// The first rows in one partition of the table, at most `most`, in order.
    pub(super) async fn some_of(&self, action: &'static str, pk: &str, most: usize) -> Result<Vec<Row>, StoreError> {
        let (mut rows, mut start) = (Vec::new(), None);
        while rows.len() < most {
            let query = self
                .query(&Partition { index: None, key: "pk", value: pk })
                .key_condition_expression("#partition = :partition")
                .set_limit(i32::try_from(most - rows.len()).ok())
                .set_exclusive_start_key(start);
            let page = self.page(action, &query).await?;
            for item in page.items.unwrap_or_default() {
                rows.push(self.row(item)?);
            }
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    /// Classifies the error of a write: its condition was not met, or (`None`) another transaction was in progress on
    /// its row. `row` extracts the row from the error.
    fn unwritten<E, R>(
        &self,
        action: &'static str,
        error: SdkError<E, R>,
        row: impl FnOnce(E) -> Option<Attributes>,
    ) -> Result<Option<Written>, StoreError>
    where
        E: ProvideErrorMetadata + CreateUnhandledError + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        match error.code() {
            Some("ConditionalCheckFailedException") => {
                let row = row(error.into_service_error()).map(|item| self.row(item)).transpose()?;
                Ok(Some(Written::Refused(row)))
            }
            Some("TransactionConflictException") => Ok(None),
            _ => Err(failed(action, &error)),
        }
    }

    /// The pauses between attempts of a conflicting call. They are random: calls that collided once would collide again
    /// if all of them waited equally long.
    fn pauses(&self) -> impl Iterator<Item = Duration> {
        Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).spread_by(|| self.calls.spread()).take(TRIES - 1)
    }

    pub(super) async fn pause(&self, pause: Duration) {
        self.clock.sleep(pause).await;
    }

    /// Repeats a call a few times if it returns `None` because another transaction was in progress on its row.
    pub(super) async fn through_conflicts<T, F>(
        &self,
        action: &'static str,
        call: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<Option<T>, StoreError>>,
    {
        let mut pauses = self.pauses();
        loop {
            if let Some(done) = call().await? {
                return Ok(done);
            }
            let Some(pause) = pauses.next() else { return Err(StoreError::Contended { action }) };
            self.clock.sleep(pause).await;
        }
    }
}

/// One partition of the table or of an index.
pub(super) struct Partition<'a> {
    pub(super) index: Option<&'static str>,
    pub(super) key: &'static str,
    pub(super) value: &'a str,
}

pub(super) fn key(pk: &str, sk: &str) -> Attributes {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(super) fn some(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

pub(super) fn some_map<V: Clone>(map: &HashMap<String, V>) -> Option<HashMap<String, V>> {
    if map.is_empty() { None } else { Some(map.clone()) }
}
