//! One table: the calls that the store makes, with their errors told apart.

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
    operation::query::builders::QueryFluentBuilder,
    types::{
        Delete, KeysAndAttributes, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
    },
};

use crate::{ports::Clock, runtime::on_demand::OnDemand};

use super::{
    StoreError,
    calls::CallTokens,
    change::{Change, Condition},
    row::{Attributes, NewRow, Row, text},
};

/// How often a write that met another transaction on its row is tried in all.
const CONFLICT_TRIES: u32 = 6;
/// The most rows that one BatchGetItem takes.
const BATCH: usize = 100;

/// A table, by its full name. Every one of them has a text `pk`, and a text `sk`.
#[derive(Clone)]
pub(super) struct Table {
    client: OnDemand<Client>,
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    calls: CallTokens,
}

/// What became of a write with a condition.
pub(super) enum Written {
    /// It happened; the row as it is now, where the call returns it.
    Done(Option<Row>),
    /// The condition was not met; the row as it is, when there is one.
    Refused(Option<Row>),
}

/// What became of a transaction.
pub(super) enum Transacted {
    /// All of it happened.
    Done,
    /// None of it: for each part whether its condition was not met, and the row that stood against it.
    Refused(Vec<Option<Refusal>>),
}

/// A condition that was not met.
pub(super) struct Refusal {
    /// The row as it is, when there is one.
    pub(super) row: Option<Row>,
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
        let mut tries = 0;
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
                tries += 1;
                if tries == CONFLICT_TRIES {
                    return Err(StoreError::Throttled { action });
                }
                self.clock.sleep(backoff(tries)).await;
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
        self.through_conflicts(async || {
            let request = self
                .client
                .put_item()
                .table_name(&*self.name)
                .set_item(Some(item.clone()))
                .set_condition_expression(some(&when.condition))
                .set_expression_attribute_names(some_map(&when.names))
                .set_expression_attribute_values(some_map(&when.values))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            let sent = small(request.send()).await;
            match sent {
                Ok(_) => Ok(Some(Written::Done(None))),
                Err(error) => match error.as_service_error() {
                    Some(refusal) if refusal.is_conditional_check_failed_exception() => {
                        let item = match error.into_service_error() {
                            aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(
                                refusal,
                            ) => refusal.item,
                            _ => None,
                        };
                        Ok(Some(Written::Refused(item.map(|item| self.row(item)).transpose()?)))
                    }
                    Some(conflict) if conflict.is_transaction_conflict_exception() => Ok(None),
                    _ => Err(failed(action, &error)),
                },
            }
        })
        .await?
        .ok_or(StoreError::Contended { action })
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
        self.through_conflicts(async || {
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
            let sent = small(request.send()).await;
            match sent {
                Ok(answer) => Ok(Some(Written::Done(answer.attributes.map(|item| self.row(item)).transpose()?))),
                Err(error) => match error.as_service_error() {
                    Some(refusal) if refusal.is_conditional_check_failed_exception() => {
                        let item = match error.into_service_error() {
                            aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                                refusal,
                            ) => refusal.item,
                            _ => None,
                        };
                        Ok(Some(Written::Refused(item.map(|item| self.row(item)).transpose()?)))
                    }
                    Some(conflict) if conflict.is_transaction_conflict_exception() => Ok(None),
                    _ => Err(failed(action, &error)),
                },
            }
        })
        .await?
        .ok_or(StoreError::Contended { action })
    }

    /// Removes a row. `false`: there is none. Of several callers at once, exactly one removes it.
    ///
    /// It is a transaction of one part because DynamoDB recognises a transaction that the SDK sends again by its token.
    /// A DeleteItem whose answer was lost would find nothing the second time, and could not tell why.
    pub(super) async fn remove(&self, action: &'static str, pk: &str, sk: &str) -> Result<bool, StoreError> {
        let part = self.to_delete_existing(action, pk, sk)?;
        match self.transact(action, vec![part]).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(_) => Ok(false),
        }
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
        self.through_conflicts(async || {
            let request = self
                .client
                .delete_item()
                .table_name(&*self.name)
                .set_key(Some(key(pk, sk)))
                .set_condition_expression(some(&when.condition))
                .set_expression_attribute_names(some_map(&when.names))
                .set_expression_attribute_values(some_map(&when.values));
            match small(request.send()).await {
                Ok(_) => Ok(Some(())),
                Err(error) => match error.as_service_error() {
                    Some(refusal) if refusal.is_conditional_check_failed_exception() => Ok(Some(())),
                    Some(conflict) if conflict.is_transaction_conflict_exception() => Ok(None),
                    _ => Err(failed(action, &error)),
                },
            }
        })
        .await?
        .ok_or(StoreError::Contended { action })
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

    /// The part of a transaction that adds or replaces a row.
    pub(super) fn to_put(&self, action: &'static str, row: NewRow) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&*self.name)
            .set_item(Some(row.into_attributes()))
            .build()
            .map_err(|error| StoreError::unavailable(action, error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// The part of a transaction that adds a row where there is none.
    pub(super) fn to_put_new(&self, action: &'static str, row: NewRow) -> Result<TransactWriteItem, StoreError> {
        let when = Condition::absent().into_expressions();
        let put = Put::builder()
            .table_name(&*self.name)
            .set_item(Some(row.into_attributes()))
            .condition_expression(when.condition)
            .set_expression_attribute_names(some_map(&when.names))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| StoreError::unavailable(action, error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// The part of a transaction that changes a row.
    pub(super) fn to_update(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
        change: Change,
    ) -> Result<TransactWriteItem, StoreError> {
        let with = change.into_expressions();
        let update = Update::builder()
            .table_name(&*self.name)
            .set_key(Some(key(pk, sk)))
            .update_expression(with.update)
            .set_condition_expression(some(&with.condition))
            .set_expression_attribute_names(some_map(&with.names))
            .set_expression_attribute_values(some_map(&with.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| StoreError::unavailable(action, error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The part of a transaction that removes a row, whether it is there or not.
    pub(super) fn to_delete(&self, action: &'static str, pk: &str, sk: &str) -> Result<TransactWriteItem, StoreError> {
        self.to_delete_when(action, pk, sk, Condition::default())
    }

    /// The part of a transaction that removes a row that must be there, and that no later version wrote.
    pub(super) fn to_delete_existing(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        self.to_delete_when(action, pk, sk, Condition::present())
    }

    fn to_delete_when(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
        condition: Condition,
    ) -> Result<TransactWriteItem, StoreError> {
        let when = condition.into_expressions();
        let delete = Delete::builder()
            .table_name(&*self.name)
            .set_key(Some(key(pk, sk)))
            .set_condition_expression(some(&when.condition))
            .set_expression_attribute_names(some_map(&when.names))
            .set_expression_attribute_values(some_map(&when.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| StoreError::unavailable(action, error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// Writes all of the parts or none. When the SDK, or a conflict, makes this send them again, DynamoDB knows them by
    /// their token; when the caller does, the conditions tell.
    pub(super) async fn transact(
        &self,
        action: &'static str,
        parts: Vec<TransactWriteItem>,
    ) -> Result<Transacted, StoreError> {
        let token = self.calls.next();
        self.through_conflicts(async || {
            let request = self
                .client
                .transact_write_items()
                .client_request_token(&token)
                .set_transact_items(Some(parts.clone()));
            let sent = small(request.send()).await;
            let error = match sent {
                Ok(_) => return Ok(Some(Transacted::Done)),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(
                    aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
                        canceled,
                    ),
                ) => {
                    let reasons = canceled.cancellation_reasons();
                    let code = |wanted: &str| reasons.iter().any(|reason| reason.code() == Some(wanted));
                    if code("ConditionalCheckFailed") {
                        let refusals = reasons.iter().map(|reason| {
                            if reason.code() != Some("ConditionalCheckFailed") {
                                return Ok(None);
                            }
                            // Each part may be of another table; only its name in an error depends on it.
                            let row = reason.item().cloned().map(|item| self.row(item)).transpose()?;
                            Ok(Some(Refusal { row }))
                        });
                        Ok(Some(Transacted::Refused(refusals.collect::<Result<_, StoreError>>()?)))
                    } else if code("TransactionConflict") {
                        Ok(None)
                    } else if code("ThrottlingError") || code("ProvisionedThroughputExceeded") {
                        Err(StoreError::Throttled { action })
                    } else if reasons.iter().filter_map(|reason| reason.message()).any(is_about_size) {
                        Err(StoreError::TooLarge { action })
                    } else {
                        let what: Vec<_> = reasons.iter().filter_map(|reason| reason.message()).collect();
                        Err(StoreError::unavailable(action, format!("the transaction was canceled: {}", what.join("; "))))
                    }
                }
                Some(running) if running.is_transaction_in_progress_exception() => Ok(None),
                _ => Err(failed(action, &error)),
            }
        })
        .await?
        .ok_or(StoreError::Contended { action })
    }

    /// Repeats a call that answers `None`, because a transaction was under way on its row, some times.
    async fn through_conflicts<T, F>(&self, call: impl Fn() -> F) -> Result<Option<T>, StoreError>
    where
        F: Future<Output = Result<Option<T>, StoreError>>,
    {
        for tries in 1..=CONFLICT_TRIES {
            if let Some(done) = call().await? {
                return Ok(Some(done));
            }
            if tries < CONFLICT_TRIES {
                // Calls that collided once would collide again if all of them waited equally long.
                self.clock.sleep(backoff(tries).mul_f64(self.calls.spread())).await;
            }
        }
        Ok(None)
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

/// 20, 40, 80, … ms.
pub(super) fn backoff(tries: u32) -> Duration {
    Duration::from_millis(10 << tries.min(6))
}

/// The error of a call that failed. Never quotes the request or the raw answer: they hold what users stored.
pub(super) fn failed<E, R>(action: &'static str, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug,
{
    const THROTTLED: [&str; 4] = [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TransactionInProgressException",
    ];
    if let Some(service) = error.as_service_error() {
        let (code, message) = (service.code().unwrap_or("unknown"), service.message().unwrap_or_default());
        if THROTTLED.contains(&code) {
            return StoreError::Throttled { action };
        }
        if code == "ValidationException" && is_about_size(message) {
            return StoreError::TooLarge { action };
        }
        return StoreError::unavailable(action, format!("{code}: {message}"));
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    StoreError::unavailable(action, text)
}

/// "Item size has exceeded …", "Item size to update has exceeded …".
fn is_about_size(message: &str) -> bool {
    message.contains("Item size") && message.contains("exceeded")
}

fn some(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

fn some_map<V: Clone>(map: &HashMap<String, V>) -> Option<HashMap<String, V>> {
    if map.is_empty() { None } else { Some(map.clone()) }
}
