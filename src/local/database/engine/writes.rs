//! PutItem, UpdateItem and DeleteItem.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::{
    operation::{
        delete_item::{DeleteItemInput, DeleteItemOutput},
        put_item::{PutItemInput, PutItemOutput},
        update_item::{UpdateItemInput, UpdateItemOutput},
    },
    types::{
        AttributeValue, ReturnItemCollectionMetrics, ReturnValue,
        ReturnValuesOnConditionCheckFailure as OnConditionFailure,
    },
};

use super::{
    Engine, Fault, Operation,
    expression::{Condition, Given, Update},
    item::{self, Attributes, MOST_BYTES},
    reads::is_metered,
    shape::{Index, Key, Table},
};

/// A write, understood and allowed.
pub(super) struct Change {
    pub(super) table: Arc<Table>,
    pub(super) key: Key,
    /// The item before it.
    pub(super) old: Option<Attributes>,
    /// The item after it.
    pub(super) new: Option<Attributes>,
}

/// The parts that all writes have.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) table: Option<&'a str>,
    pub(super) condition: Option<&'a str>,
    pub(super) names: Option<&'a HashMap<String, String>>,
    pub(super) values: Option<&'a Attributes>,
    pub(super) on_failure: Option<&'a OnConditionFailure>,
}

/// The parts that a request, or a part of a transaction, has in fields of the same names.
macro_rules! asked {
    ($request:expr, $table:expr) => {
        $crate::database::engine::writes::Asked {
            table: $table,
            condition: $request.condition_expression.as_deref(),
            names: $request.expression_attribute_names.as_ref(),
            values: $request.expression_attribute_values.as_ref(),
            on_failure: $request.return_values_on_condition_check_failure.as_ref(),
        }
    };
}
pub(super) use asked;

impl Engine {
    /// An item that is to be written over whatever there is.
    pub(super) fn put_change(&mut self, asked: Asked<'_>, item: Attributes) -> Result<Change, Fault> {
        let table = self.table(asked.table)?;
        if !item.values().all(item::is_plain) {
            return Err(Fault::NotOurs);
        }
        let key = table.key.in_item(&item).ok_or(Fault::NotOurs)?;
        let old = self.read(&table, &key)?;
        let condition = self.conditions.get_some(asked.condition)?;
        check(condition.as_deref(), None, &asked, old.as_ref())?;
        Change { table, key, old, new: Some(item) }.checked()
    }

    /// Changes of an item's attributes.
    pub(super) fn update_change(
        &mut self,
        asked: Asked<'_>,
        key: &Attributes,
        expression: Option<&str>,
    ) -> Result<Change, Fault> {
        let table = self.table(asked.table)?;
        let place = table.key.alone(key).ok_or(Fault::NotOurs)?;
        let update = self.updates.get(expression.ok_or(Fault::NotOurs)?)?;
        let condition = self.conditions.get_some(asked.condition)?;
        let old = self.read(&table, &place)?;
        check(condition.as_deref(), Some(&update), &asked, old.as_ref())?;
        let new = updated(&table, old.as_ref().unwrap_or(key), &update, &asked)?;
        Change { table, key: place, old, new: Some(new) }.checked()
    }

    /// The removal of an item, if it exists.
    pub(super) fn delete_change(&mut self, asked: Asked<'_>, key: &Attributes) -> Result<Change, Fault> {
        let table = self.table(asked.table)?;
        let key = table.key.alone(key).ok_or(Fault::NotOurs)?;
        let old = self.read(&table, &key)?;
        let condition = self.conditions.get_some(asked.condition)?;
        check(condition.as_deref(), None, &asked, old.as_ref())?;
        Ok(Change { table, key, old, new: None })
    }

    /// Writes a change to the table and to the indexes that it concerns.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Fault> {
        let Change { table, key, old, new } = change;
        let connection = &self.connection;
        let place = [key.partition.as_str(), key.sort.as_str()];
        match (old, new) {
            (None, None) => {}
            (Some(_), None) => {
                connection.prepare_cached(&table.sql.delete)?.execute(place)?;
            }
            (old, Some(new)) => {
                let json = item::json(new).ok_or(Fault::NotOurs)?;
                let size = i64::try_from(item::size(new)).unwrap_or(i64::MAX);
                if old.is_some() {
                    let values = rusqlite::params![place[0], place[1], json, size];
                    connection.prepare_cached(&table.sql.update)?.execute(values)?;
                } else {
                    let values = rusqlite::params![place[0], place[1], json, size, hash_prefix(&key.partition)];
                    connection.prepare_cached(&table.sql.insert)?.execute(values)?;
                }
            }
        }
        table.indexes.iter().try_for_each(|index| self.apply_to(index, change))
    }

    /// Writes a change to an index, unless the index does not show it.
    fn apply_to(&self, index: &Index, Change { table, key, old, new }: &Change) -> Result<(), Fault> {
        let entry = |item: &Option<Attributes>| item.as_ref().and_then(|item| index.key.in_item(item));
        let (before, after) = (entry(old), entry(new));
        let json = |item: &Option<Attributes>| {
            let entry = item.iter().flat_map(|item| index.entry(&table.key, item));
            item::json(entry).ok_or(Fault::NotOurs)
        };
        if let Some(before) = before.as_ref().filter(|before| after.as_ref() != Some(before)) {
            let place = [&before.partition, &before.sort, &key.partition, &key.sort];
            self.connection.prepare_cached(&index.sql.delete)?.execute(place)?;
        }
        let Some(after) = after else { return Ok(()) };
        let sql = match (&before, old, new) {
            (Some(before), Some(old), Some(new)) if *before == after => {
                if index.has_the_same_of(&table.key, old, new) {
                    return Ok(());
                }
                &index.sql.update
            }
            _ => &index.sql.insert,
        };
        let place = [&after.partition, &after.sort, &key.partition, &key.sort, &json(new)?];
        self.connection.prepare_cached(sql)?.execute(place)?;
        Ok(())
    }
}

impl Change {
    /// Leaves what DynamoDB refuses to dynoxide, which says why.
    fn checked(self) -> Result<Self, Fault> {
        let is_fine = self.new.as_ref().is_none_or(|new| {
            item::size(new) <= MOST_BYTES
                && new.keys().all(|name| !name.is_empty())
                && self.table.indexes.iter().all(|index| index.accepts(new))
        });
        if is_fine { Ok(self) } else { Err(Fault::NotOurs) }
    }
}

/// Checks the condition, and first that the request gives just the names and values that its expressions use.
pub(super) fn check(
    condition: Option<&Condition>,
    update: Option<&Update>,
    asked: &Asked<'_>,
    old: Option<&Attributes>,
) -> Result<(), Fault> {
    let given = Given { names: asked.names, values: asked.values };
    let mut placeholders = Vec::new();
    if let Some(condition) = condition {
        condition.placeholders(&mut placeholders);
    }
    if let Some(update) = update {
        update.placeholders(&mut placeholders);
    }
    let are_plain = asked.values.is_none_or(|values| values.values().all(item::is_plain));
    if !are_plain || !given.are_used_by(placeholders) {
        return Err(Fault::NotOurs);
    }
    let none = Attributes::new();
    if condition.is_none_or(|condition| condition.is_met(old.unwrap_or(&none), &given)) {
        return Ok(());
    }
    match asked.on_failure {
        None | Some(OnConditionFailure::None) => Err(Fault::Refused(None)),
        Some(OnConditionFailure::AllOld) => Err(Fault::Refused(old.cloned())),
        Some(_) => Err(Fault::NotOurs),
    }
}

/// The item after an update.
fn updated(table: &Table, item: &Attributes, update: &Update, asked: &Asked<'_>) -> Result<Attributes, Fault> {
    let given = Given { names: asked.names, values: asked.values };
    let name = |placeholder| given.name(placeholder).filter(|name| !table.key.has(name)).ok_or(Fault::NotOurs);
    let mut new = item.clone();
    let mut changed = Vec::with_capacity(update.set.len() + update.remove.len());
    for (attribute, value) in &update.set {
        let (attribute, value) = (name(attribute)?, given.value(value).ok_or(Fault::NotOurs)?);
        changed.push(attribute);
        new.insert(attribute.to_owned(), value.clone());
    }
    for attribute in &update.remove {
        let attribute = name(attribute)?;
        changed.push(attribute);
        new.remove(attribute);
    }
    // DynamoDB refuses two changes of one attribute.
    changed.sort_unstable();
    if changed.windows(2).any(|two| two[0] == two[1]) { Err(Fault::NotOurs) } else { Ok(new) }
}

/// What dynoxide's scans are ordered by, made of the partition key.
fn hash_prefix(partition: &str) -> String {
    let key = partition.strip_prefix("S:").unwrap_or(partition);
    let mut prefix = format!("{:x}", md5::compute(["Outliers", key].concat()));
    prefix.truncate(6);
    prefix
}

pub(super) fn is_measured(wanted: Option<&ReturnItemCollectionMetrics>) -> bool {
    wanted.is_some_and(|wanted| *wanted != ReturnItemCollectionMetrics::None)
}

/// The table and the sort key of the row that an item or a key belongs to: of all tables of the store, `sk`.
pub(super) fn row(table: Option<&str>, item: Option<&Attributes>) -> Option<(String, String)> {
    match item?.get("sk") {
        Some(AttributeValue::S(sort)) => Some((table?.to_owned(), sort.clone())),
        _ => None,
    }
}

impl Operation for PutItemInput {
    type Answer = PutItemOutput;

    const WRITES: bool = true;

    fn run(self, engine: &mut Engine) -> Result<PutItemOutput, Fault> {
        let is_other = self.expected.is_some()
            || self.conditional_operator.is_some()
            || self.return_values.as_ref().is_some_and(|wanted| *wanted != ReturnValue::None)
            || is_metered(self.return_consumed_capacity.as_ref())
            || is_measured(self.return_item_collection_metrics.as_ref());
        if is_other {
            return Err(Fault::NotOurs);
        }
        let asked = asked!(self, self.table_name.as_deref());
        let change = engine.put_change(asked, self.item.ok_or(Fault::NotOurs)?)?;
        engine.apply(&change)?;
        Ok(PutItemOutput::builder().build())
    }

    fn rows(&self) -> Vec<(String, String)> {
        row(self.table_name.as_deref(), self.item.as_ref()).into_iter().collect()
    }
}

impl Operation for UpdateItemInput {
    type Answer = UpdateItemOutput;

    const WRITES: bool = true;

    fn run(self, engine: &mut Engine) -> Result<UpdateItemOutput, Fault> {
        let is_other = self.attribute_updates.is_some()
            || self.expected.is_some()
            || self.conditional_operator.is_some()
            || is_metered(self.return_consumed_capacity.as_ref())
            || is_measured(self.return_item_collection_metrics.as_ref());
        let returns_new = match &self.return_values {
            None | Some(ReturnValue::None) => false,
            Some(ReturnValue::AllNew) => true,
            Some(_) => return Err(Fault::NotOurs),
        };
        if is_other {
            return Err(Fault::NotOurs);
        }
        let asked = asked!(self, self.table_name.as_deref());
        let key = self.key.as_ref().ok_or(Fault::NotOurs)?;
        let change = engine.update_change(asked, key, self.update_expression.as_deref())?;
        engine.apply(&change)?;
        Ok(UpdateItemOutput::builder().set_attributes(change.new.filter(|_| returns_new)).build())
    }

    fn rows(&self) -> Vec<(String, String)> {
        row(self.table_name.as_deref(), self.key.as_ref()).into_iter().collect()
    }
}

impl Operation for DeleteItemInput {
    type Answer = DeleteItemOutput;

    const WRITES: bool = true;

    fn run(self, engine: &mut Engine) -> Result<DeleteItemOutput, Fault> {
        let is_other = self.expected.is_some()
            || self.conditional_operator.is_some()
            || is_metered(self.return_consumed_capacity.as_ref())
            || is_measured(self.return_item_collection_metrics.as_ref());
        let returns_old = match &self.return_values {
            None | Some(ReturnValue::None) => false,
            Some(ReturnValue::AllOld) => true,
            Some(_) => return Err(Fault::NotOurs),
        };
        if is_other {
            return Err(Fault::NotOurs);
        }
        let asked = asked!(self, self.table_name.as_deref());
        let change = engine.delete_change(asked, self.key.as_ref().ok_or(Fault::NotOurs)?)?;
        engine.apply(&change)?;
        Ok(DeleteItemOutput::builder().set_attributes(change.old.filter(|_| returns_old)).build())
    }

    fn rows(&self) -> Vec<(String, String)> {
        row(self.table_name.as_deref(), self.key.as_ref()).into_iter().collect()
    }
}
