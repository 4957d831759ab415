//! One table: the calls that the store makes, with their errors classified.

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
    operation::{put_item::PutItemError, query::builders::QueryFluentBuilder, update_item::UpdateItemError},
    types::{KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use aws_smithy_runtime_api::client::result::CreateUnhandledError;
use tasklane_ports::Clock;
use tasklane_runtime::{backoff::Backoff, on_demand::OnDemand};

use super::{
    StoreError,
    calls::CallTokens,
    change::{Change, Condition},
    error::failed,
    row::{Attributes, NewRow, Row, text},
};

/// How often a call that meets others on its rows is tried in all.
const TRIES: usize = 6;
/// How long to wait between two of these tries.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);
/// The most rows that one BatchGetItem takes.
const BATCH: usize = 100;

/// A table, by its full name. Every table has a string `pk` and a string `sk` as its key.
#[derive(Clone)]
pub(super) struct Table {
    client: OnDemand<Client>,
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    /// What tells this process's writes from those of others.
    pub(super) calls: CallTokens,
}

/// What became of a write with a condition.
pub(super) enum Written {
    /// It happened; the row as it is now, where the call returns it.
    Done(Option<Row>),
    /// The condition was not met; the row as it is, when there is one.
    Refused(Option<Row>),
}

/// A future of the SDK's, which are of several kilobytes each, in the size of a pointer: whatever awaits it, and all that
/// awaits that, is moved in memory when it is spawned and when it ends.
pub(super) fn small<F: Future>(call: F) -> Pin<Box<F>> {
    Box::pin(call)
}

impl Table {
    pub(super) fn new(client: &OnDemand<Client>, name: String, clock: &Arc<dyn Clock>, calls: &CallTokens) -> Self {
        Self { client: client.clone(), name: name.into(), clock: Arc::clone(clock), calls: calls.clone() }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn row(&self, attributes: Attributes) -> Result<Row, StoreError> {
        Row::read(&self.name, attributes)
    }

    /// Reads a row, strongly consistent.
    pub(super) async fn get(&self, action: &'static str, pk: &str, sk: &str) -> Result<Option<Row>, StoreError> {
        let request = self.client.get_item().table_name(&*self.name).set_key(Some(key(pk, sk))).consistent_read(true);
        let answer = small(request.send()).await.map_err(|error| failed(action, &error))?;
        answer.item.map(|item| self.row(item)).transpose()
    }

    /// Reads many rows, strongly consistent; in no order, without those that are not there.
    pub(super) async fn get_all(
        &self,
        action: &'static str,
        keys: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<Row>, StoreError> {
        // A batch must not name a row twice.
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
            let request = self.client.batch_get_item().request_items(&*self.name, batch);
            let answer = small(request.send()).await.map_err(|error| failed(action, &error))?;
            // By table, and one was asked.
            let found = answer.responses.unwrap_or_default().into_values().next().unwrap_or_default();
            // A batch answers at most 16 MB, and less under load; the rest is asked for again.
            let missed = answer.unprocessed_keys.unwrap_or_default().into_values().next();
            if found.is_empty() && missed.is_some() {
                let Some(pause) = pauses.next() else { return Err(StoreError::Throttled { action }) };
                self.clock.sleep(pause).await;
            }
            for item in found {
                rows.push(self.row(item)?);
            }
            keys = missed.map(|missed| missed.keys).unwrap_or_default();
            keys.extend(rest);
        }
        Ok(rows)
    }

    /// Adds or replaces a row.
    pub(super) async fn put(
        &self,
        action: &'static str,
        row: NewRow,
        condition: Condition,
    ) -> Result<Written, StoreError> {
        let item = row.into_attributes();
        let when = condition.into_expressions();
        self.through_conflicts(action, async || {
            let request = self
                .client
                .put_item()
                .table_name(&*self.name)
                .set_item(Some(item.clone()))
                .set_condition_expression(some(&when.condition))
                .set_expression_attribute_names(some_map(&when.names))
                .set_expression_attribute_values(some_map(&when.values))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            match small(request.send()).await {
                Ok(_) => Ok(Some(Written::Done(None))),
                Err(error) => self.unwritten(action, error, |error| match error {
                    PutItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                    _ => None,
                }),
            }
        })
        .await
    }

    /// Changes a row.
    pub(super) async fn update(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
        change: Change,
    ) -> Result<Written, StoreError> {
        let with = change.into_expressions();
        self.through_conflicts(action, async || {
            let request = self
                .client
                .update_item()
                .table_name(&*self.name)
                .set_key(Some(key(pk, sk)))
                .update_expression(&with.update)
                .set_condition_expression(some(&with.condition))
                .set_expression_attribute_names(some_map(&with.names))
                .set_expression_attribute_values(some_map(&with.values))
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            match small(request.send()).await {
                Ok(answer) => Ok(Some(Written::Done(answer.attributes.map(|item| self.row(item)).transpose()?))),
                Err(error) => self.unwritten(action, error, |error| match error {
                    UpdateItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                    _ => None,
                }),
            }
        })
        .await
    }

    /// Removes a row that meets the condition, and leaves one that does not.
    pub(super) async fn delete_when(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
        condition: Condition,
    ) -> Result<(), StoreError> {
        let when = condition.into_expressions();
        self.through_conflicts(action, async || {
            let request = self
                .client
                .delete_item()
                .table_name(&*self.name)
                .set_key(Some(key(pk, sk)))
                .set_condition_expression(some(&when.condition))
                .set_expression_attribute_names(some_map(&when.names))
                .set_expression_attribute_values(some_map(&when.values));
            match small(request.send()).await {
                Ok(_) => Ok(Some(Written::Done(None))),
                Err(error) => self.unwritten(action, error, |_| None),
            }
        })
        .await?;
        Ok(())
    }

    /// A query of one partition, of the table itself (strongly consistent) or of an index.
    pub(super) fn query(&self, partition: &Partition<'_>) -> QueryFluentBuilder {
        let request = self
            .client
            .query()
            .table_name(&*self.name)
            .expression_attribute_names("#partition", partition.key)
            .expression_attribute_values(":partition", text(partition.value));
        match partition.index {
            None => request.consistent_read(true),
            Some(index) => request.index_name(index),
        }
    }

    /// All rows of one partition of the table, in order.
    pub(super) async fn all_of(&self, action: &'static str, pk: &str) -> Result<Vec<Row>, StoreError> {
        let query = self
            .query(&Partition { index: None, key: "pk", value: pk })
            .key_condition_expression("#partition = :partition");
        let mut pages = query.into_paginator().send();
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await {
            for item in page.map_err(|error| failed(action, &error))?.items.unwrap_or_default() {
                rows.push(self.row(item)?);
            }
        }
        Ok(rows)
    }

    /// What became of a write that failed: its condition was not met, or (`None`) a transaction was in progress on its row.
    /// `row` finds the row in the error.
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

    /// The pauses between the tries of a call that meets others on its rows. They differ from call to call: calls that
    /// collided once would collide again if all of them waited equally long.
    fn pauses(&self) -> impl Iterator<Item = Duration> {
        Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).spread_by(|| self.calls.spread()).take(TRIES - 1)
    }

    /// Repeats a call that answers `None` because another transaction was in progress on its row, a few times.
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

/// One partition, of the table or of an index.
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
