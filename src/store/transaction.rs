//! Transactions: several writes that happen together or not at all.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsInput},
    types::{CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};

use super::{
    StoreError,
    change::{Change, Condition},
    error::{failed, is_about_size},
    row::{NewRow, Row},
    table::{Table, key, some, some_map},
};

/// The result of a transaction.
pub(super) enum Transacted {
    /// All of it happened.
    Done,
    /// None of it happened. For each part: the refusal, if its condition was not met.
    Refused(Vec<Option<Refusal>>),
}

/// A condition that was not met.
pub(super) struct Refusal {
    /// The current row, if it exists.
    pub(super) row: Option<Row>,
}

#[derive(Debug, PartialEq, Eq)]
enum Canceled {
    /// The condition of a part was not met.
    Refused,
    /// Another write was in progress on a row.
    Conflict,
    /// A table is over its throughput.
    Throttled,
    /// A row would exceed DynamoDB's limit.
    TooLarge,
    /// Another reason, in DynamoDB's words.
    Other(String),
}

impl Table {
    /// A part that adds or replaces a row.
    pub(super) fn to_put(&self, action: &'static str, row: NewRow) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&**self.name())
            .set_item(Some(row.into_attributes()))
            .build()
            .map_err(|error| StoreError::unavailable(action, error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// A part that adds a row which must not exist.
    pub(super) fn to_put_new(&self, action: &'static str, row: NewRow) -> Result<TransactWriteItem, StoreError> {
        self.to_put_when(action, row, Condition::absent())
    }

    /// A part that adds or replaces a row if it meets the condition.
    pub(super) fn to_put_when(
        &self,
        action: &'static str,
        row: NewRow,
        condition: Condition,
    ) -> Result<TransactWriteItem, StoreError> {
        let when = condition.into_expressions();
        let put = Put::builder()
            .table_name(&**self.name())
            .set_item(Some(row.into_attributes()))
            .condition_expression(when.condition)
            .set_expression_attribute_names(some_map(&when.names))
            .set_expression_attribute_values(some_map(&when.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| StoreError::unavailable(action, error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// A part that changes a row.
    pub(super) fn to_update(
        &self,
        action: &'static str,
        pk: &str,
        sk: &str,
        change: Change,
    ) -> Result<TransactWriteItem, StoreError> {
        let with = change.into_expressions();
        let update = Update::builder()
            .table_name(&**self.name())
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

    /// A part that removes a row, whether or not it exists.
    pub(super) fn to_delete(&self, action: &'static str, pk: &str, sk: &str) -> Result<TransactWriteItem, StoreError> {
        self.to_delete_when(action, pk, sk, Condition::default())
    }

    /// A part that removes a row which must exist, and which no later version wrote.
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
            .table_name(&**self.name())
            .set_key(Some(key(pk, sk)))
            .set_condition_expression(some(&when.condition))
            .set_expression_attribute_names(some_map(&when.names))
            .set_expression_attribute_values(some_map(&when.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| StoreError::unavailable(action, error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// Removes a row. `false` if it does not exist. Of several concurrent callers, exactly one removes it.
    ///
    /// This is a transaction with one part, because DynamoDB recognizes a repeated transaction by its token. A repeated
    /// DeleteItem whose first response was lost would find no row, and could not tell why.
    pub(super) async fn remove(&self, action: &'static str, pk: &str, sk: &str) -> Result<bool, StoreError> {
        let part = self.to_delete_existing(action, pk, sk)?;
        match self.transact(action, vec![part]).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(_) => Ok(false),
        }
    }

    /// Writes all of the parts or none. If the SDK or this function repeats them, DynamoDB recognizes them by their
    /// token; if the caller does, the conditions protect them.
    pub(super) async fn transact(
        &self,
        action: &'static str,
        parts: Vec<TransactWriteItem>,
    ) -> Result<Transacted, StoreError> {
        let token = self.calls.next();
        self.through_conflicts(action, async || {
            let request = || {
                TransactWriteItemsInput::builder().client_request_token(&token).set_transact_items(Some(parts.clone()))
            };
            match self.connection().transact_write_items(request).await {
                Ok(_) => Ok(Some(Transacted::Done)),
                Err(error) => self.untransacted(action, &error),
            }
        })
        .await
    }

    /// Classifies the error of a transaction: a condition was not met, or (`None`) it met another transaction.
    fn untransacted<R: std::fmt::Debug + 'static>(
        &self,
        action: &'static str,
        error: &SdkError<TransactWriteItemsError, R>,
    ) -> Result<Option<Transacted>, StoreError> {
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => canceled.cancellation_reasons(),
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => return Ok(None),
            _ => return Err(failed(action, error)),
        };
        match classify(reasons) {
            Canceled::Refused => Ok(Some(Transacted::Refused(self.refusals(reasons)?))),
            Canceled::Conflict => Ok(None),
            Canceled::Throttled => Err(StoreError::Throttled { action }),
            Canceled::TooLarge => Err(StoreError::TooLarge { action }),
            Canceled::Other(why) => {
                Err(StoreError::unavailable(action, format!("the transaction was canceled: {why}")))
            }
        }
    }

    /// The refusals of all parts.
    fn refusals(&self, reasons: &[CancellationReason]) -> Result<Vec<Option<Refusal>>, StoreError> {
        let refusal = |reason: &CancellationReason| {
            if reason.code() != Some(CONDITION) {
                return Ok(None);
            }
            // The part may belong to another table, but the table's name only matters in the error about an unreadable
            // row.
            let row = reason.item().cloned().map(|item| self.row(item)).transpose()?;
            Ok(Some(Refusal { row }))
        };
        reasons.iter().map(refusal).collect()
    }
}

/// DynamoDB's code for a condition that was not met.
const CONDITION: &str = "ConditionalCheckFailed";

/// The decisive reason. DynamoDB gives one for each part; a refusal takes precedence over all others.
fn classify(reasons: &[CancellationReason]) -> Canceled {
    let code = |wanted: &str| reasons.iter().any(|reason| reason.code() == Some(wanted));
    let messages = || reasons.iter().filter_map(CancellationReason::message);
    if code(CONDITION) {
        Canceled::Refused
    } else if code("TransactionConflict") {
        Canceled::Conflict
    } else if code("ThrottlingError") || code("ProvisionedThroughputExceeded") {
        Canceled::Throttled
    } else if messages().any(is_about_size) {
        Canceled::TooLarge
    } else {
        Canceled::Other(messages().collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_of_the_parts_are_distinguished() {
        let too_large = "Item size has exceeded the maximum allowed size";
        let cases: [(&[(&str, &str)], Canceled); 7] = [
            (&[("None", ""), ("ConditionalCheckFailed", "The conditional request failed")], Canceled::Refused),
            (&[("TransactionConflict", ""), ("ConditionalCheckFailed", "")], Canceled::Refused),
            (&[("None", ""), ("TransactionConflict", "Transaction is ongoing for the item")], Canceled::Conflict),
            (&[("ThrottlingError", "Throughput exceeds the current capacity")], Canceled::Throttled),
            (&[("ProvisionedThroughputExceeded", "")], Canceled::Throttled),
            (&[("None", ""), ("ValidationError", too_large)], Canceled::TooLarge),
            (&[("ValidationError", "a"), ("ValidationError", "b")], Canceled::Other("a; b".to_owned())),
        ];
        for (reasons, wanted) in cases {
            let reason = |(code, message): &(&str, &str)| {
                let reason = CancellationReason::builder().code(*code);
                if message.is_empty() { reason.build() } else { reason.message(*message).build() }
            };
            assert_eq!(classify(&reasons.iter().map(reason).collect::<Vec<_>>()), wanted, "{reasons:?}");
        }
    }
}
