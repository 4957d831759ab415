//! TransactWriteItems.

use std::collections::HashSet;

use aws_sdk_dynamodb::{
    operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput},
    types::{CancellationReason, TransactWriteItem},
};

use super::{
    Engine, Fault, Operation,
    item::{self, Attributes},
    reads::is_metered,
    shape::Key,
    writes::{Change, asked, is_measured, row},
};

/// The most parts, and the most bytes of all of them together.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const MOST_PARTS: usize = 100;
const MOST_BYTES: usize = 4 * 1024 * 1024;

const REFUSED: &str = "ConditionalCheckFailed";

impl Operation for TransactWriteItemsInput {
    type Answer = TransactWriteItemsOutput;

    const WRITES: bool = true;

    fn run(self, engine: &mut Engine) -> Result<TransactWriteItemsOutput, Fault> {
        let is_other = is_metered(self.return_consumed_capacity.as_ref())
            || is_measured(self.return_item_collection_metrics.as_ref());
        let parts = self.transact_items.unwrap_or_default();
        if is_other || parts.is_empty() || parts.len() > MOST_PARTS {
            return Err(Fault::NotOurs);
        }
        // No two parts concern the same item, so all conditions can be checked before anything is written.
        let places = parts.iter().map(|part| engine.place(part)).collect::<Result<HashSet<_>, _>>()?;
        if places.len() < parts.len() {
            return Err(Fault::NotOurs);
        }
        let mut changes = Vec::with_capacity(parts.len());
        let mut reasons = Vec::with_capacity(parts.len());
        for part in parts {
            let reason = CancellationReason::builder();
            match engine.part(part) {
                Ok(change) => {
                    changes.push(change);
                    reasons.push(reason.code("None").build());
                }
                Err(Fault::Refused(item)) => {
                    let message = "The conditional request failed";
                    reasons.push(reason.code(REFUSED).message(message).set_item(item).build());
                }
                Err(fault) => return Err(fault),
            }
        }
        let bytes: usize = changes.iter().filter_map(|change| change.new.as_ref()).map(item::size).sum();
        if bytes > MOST_BYTES {
            return Err(Fault::NotOurs);
        }
        if changes.len() < reasons.len() {
            return Err(Fault::Canceled(reasons));
        }
        changes.iter().try_for_each(|change| engine.apply(change))?;
        Ok(TransactWriteItemsOutput::builder().build())
    }

    fn rows(&self) -> Vec<(String, String)> {
        self.transact_items()
            .iter()
            .filter_map(target)
            .filter_map(|(table, item)| row(Some(table), Some(item)))
            .collect()
    }
}

impl Engine {
    /// The item that a part concerns.
    fn place(&mut self, part: &TransactWriteItem) -> Result<(String, Key), Fault> {
        let (name, item) = target(part).ok_or(Fault::NotOurs)?;
        let key = self.table(Some(name))?.key.in_item(item).ok_or(Fault::NotOurs)?;
        Ok((name.to_owned(), key))
    }

    fn part(&mut self, part: TransactWriteItem) -> Result<Change, Fault> {
        match part {
            TransactWriteItem { put: Some(put), update: None, delete: None, condition_check: None, .. } => {
                let asked = asked!(put, Some(&put.table_name));
                self.put_change(asked, put.item)
            }
            TransactWriteItem { update: Some(update), put: None, delete: None, condition_check: None, .. } => {
                let asked = asked!(update, Some(&update.table_name));
                self.update_change(asked, &update.key, Some(&update.update_expression))
            }
            TransactWriteItem { delete: Some(delete), put: None, update: None, condition_check: None, .. } => {
                let asked = asked!(delete, Some(&delete.table_name));
                self.delete_change(asked, &delete.key)
            }
            _ => Err(Fault::NotOurs),
        }
    }
}

/// The table of a part, and its item or key.
fn target(part: &TransactWriteItem) -> Option<(&str, &Attributes)> {
    match part {
        TransactWriteItem { put: Some(put), .. } => Some((&put.table_name, &put.item)),
        TransactWriteItem { update: Some(update), .. } => Some((&update.table_name, &update.key)),
        TransactWriteItem { delete: Some(delete), .. } => Some((&delete.table_name, &delete.key)),
        _ => None,
    }
}
