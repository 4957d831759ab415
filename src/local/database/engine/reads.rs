//! GetItem, BatchGetItem and Query.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::{
    operation::{
        batch_get_item::{BatchGetItemInput, BatchGetItemOutput},
        get_item::{GetItemInput, GetItemOutput},
        query::{QueryInput, QueryOutput},
    },
    types::{AttributeValue, ReturnConsumedCapacity, Select},
};
use rusqlite::{OptionalExtension as _, params_from_iter};

use super::{
    Engine, Fault, Operation,
    expression::{Comparison, Condition, Given, KeyCondition, Range},
    item::{Attributes, Item, Size, size},
    shape::{Index, Key, KeyNames, Table, stored},
};

/// The most bytes of a page. <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html>
const PAGE_BYTES: usize = 1024 * 1024;

/// The most keys of a BatchGetItem.
const MOST_KEYS: usize = 100;

/// The most bytes that a BatchGetItem answers here. Behind it the rest is unprocessed, which is not ours.
const MOST_BYTES_OF_BATCH: usize = 8 * 1024 * 1024;

impl Engine {
    pub(super) fn read(&mut self, table: &Table, key: &Key) -> Result<Option<Attributes>, Fault> {
        let mut statement = self.connection.prepare_cached(&table.sql.get)?;
        let found = statement.query_row([&key.partition, &key.sort], |row| {
            let json = row.get_ref(0)?.as_str()?;
            Ok(serde_json::from_str(json).map(|Item(item)| item))
        });
        // An item that holds something else was not written by the store.
        found.optional()?.transpose().map_err(|_| Fault::NotOurs)
    }
}

/// Whether a request wants to know what it costs, which dynoxide reckons.
pub(super) fn is_metered(wanted: Option<&ReturnConsumedCapacity>) -> bool {
    wanted.is_some_and(|wanted| *wanted != ReturnConsumedCapacity::None)
}

impl Operation for GetItemInput {
    type Answer = GetItemOutput;

    const WRITES: bool = false;

    fn run(self, engine: &mut Engine) -> Result<GetItemOutput, Fault> {
        let is_other = self.projection_expression.is_some()
            || self.expression_attribute_names.is_some()
            || self.attributes_to_get.is_some()
            || is_metered(self.return_consumed_capacity.as_ref());
        if is_other {
            return Err(Fault::NotOurs);
        }
        let table = engine.table(self.table_name.as_deref())?;
        let key = table.key.alone(self.key.as_ref().ok_or(Fault::NotOurs)?).ok_or(Fault::NotOurs)?;
        let item = engine.read(&table, &key)?;
        Ok(GetItemOutput::builder().set_item(item).build())
    }
}

impl Operation for BatchGetItemInput {
    type Answer = BatchGetItemOutput;

    const WRITES: bool = false;

    fn run(self, engine: &mut Engine) -> Result<BatchGetItemOutput, Fault> {
        let mut tables = self.request_items.unwrap_or_default().into_iter();
        let (Some((name, wanted)), None) = (tables.next(), tables.next()) else { return Err(Fault::NotOurs) };
        let is_other = wanted.projection_expression.is_some()
            || wanted.expression_attribute_names.is_some()
            || wanted.attributes_to_get.is_some()
            || wanted.keys.is_empty()
            || wanted.keys.len() > MOST_KEYS
            || is_metered(self.return_consumed_capacity.as_ref());
        if is_other {
            return Err(Fault::NotOurs);
        }
        let table = engine.table(Some(&name))?;
        let keys = wanted.keys.iter().map(|key| table.key.alone(key).ok_or(Fault::NotOurs));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.iter().collect::<std::collections::HashSet<_>>().len() < keys.len() {
            return Err(Fault::NotOurs);
        }
        let mut items = Vec::with_capacity(keys.len());
        let mut bytes = 0;
        for key in &keys {
            if let Some(item) = engine.read(&table, key)? {
                bytes += size(&item);
                items.push(item);
            }
            if bytes > MOST_BYTES_OF_BATCH {
                return Err(Fault::NotOurs);
            }
        }
        Ok(BatchGetItemOutput::builder().responses(name, items).set_unprocessed_keys(Some(HashMap::new())).build())
    }
}

/// What a query reads: the table or an index of it.
enum Source<'a> {
    Table,
    Index(&'a Index),
}

/// A query, understood.
struct Reading<'a> {
    table: &'a Table,
    source: Source<'a>,
    /// Of what is read.
    key: &'a KeyNames,
    filter: Option<Arc<Condition>>,
    given: Given<'a>,
    limit: usize,
    /// Only the number of items is wanted.
    is_count: bool,
    /// Rows whose sort key does not begin with this end the query.
    prefix: Option<String>,
}

/// What a query has found.
#[derive(Default)]
struct Found {
    items: Vec<Attributes>,
    count: i32,
    scanned: i32,
    /// The key of the last item that was looked at, if there may be more behind it.
    last: Option<Attributes>,
}

impl Operation for QueryInput {
    type Answer = QueryOutput;

    const WRITES: bool = false;

    fn run(self, engine: &mut Engine) -> Result<QueryOutput, Fault> {
        let is_other = self.projection_expression.is_some()
            || self.attributes_to_get.is_some()
            || self.key_conditions.is_some()
            || self.query_filter.is_some()
            || self.conditional_operator.is_some()
            || is_metered(self.return_consumed_capacity.as_ref());
        let is_count = match &self.select {
            None => false,
            Some(Select::Count) => true,
            Some(_) => return Err(Fault::NotOurs),
        };
        let limit = match self.limit {
            None => usize::MAX,
            Some(limit) => usize::try_from(limit).ok().filter(|limit| *limit > 0).ok_or(Fault::NotOurs)?,
        };
        if is_other {
            return Err(Fault::NotOurs);
        }
        let table = engine.table(self.table_name.as_deref())?;
        let source = match &self.index_name {
            None => Source::Table,
            Some(_) if self.consistent_read == Some(true) => return Err(Fault::NotOurs),
            Some(index) => Source::Index(table.index(index).ok_or(Fault::NotOurs)?),
        };
        let condition = engine.keys.get(self.key_condition_expression.as_deref().ok_or(Fault::NotOurs)?)?;
        let filter = engine.conditions.get_some(self.filter_expression.as_deref())?;
        let given = Given {
            names: self.expression_attribute_names.as_ref(),
            values: self.expression_attribute_values.as_ref(),
        };
        let key = match source {
            Source::Table => &table.key,
            Source::Index(index) => &index.key,
        };
        let mut placeholders = Vec::new();
        if let Some(filter) = &filter {
            filter.placeholders(&mut placeholders);
        }
        // A filter must not name an attribute of the key.
        let filters_by_key = placeholders.iter().any(|name| given.name(name).is_some_and(|name| key.has(name)));
        condition.placeholders(&mut placeholders);
        if filters_by_key || !given.are_used_by(placeholders) {
            return Err(Fault::NotOurs);
        }
        let mut reading = Reading { table: &table, source, key, filter, given, limit, is_count, prefix: None };
        let is_forward = self.scan_index_forward.unwrap_or(true);
        let (sql, values) = reading.sql(&condition, is_forward, self.exclusive_start_key.as_ref())?;
        let found = engine.query(&reading, &sql, &values)?;
        let items = if is_count { None } else { Some(found.items) };
        Ok(QueryOutput::builder()
            .set_items(items)
            .count(found.count)
            .scanned_count(found.scanned)
            .set_last_evaluated_key(found.last)
            .build())
    }
}

impl Reading<'_> {
    /// A string that is not empty, as the columns of keys have it.
    fn text(&self, placeholder: &str) -> Result<String, Fault> {
        match self.given.value(placeholder) {
            Some(AttributeValue::S(text)) if !text.is_empty() => Ok(stored(text)),
            _ => Err(Fault::NotOurs),
        }
    }

    /// The statement and its values.
    fn sql(
        &mut self,
        condition: &KeyCondition,
        is_forward: bool,
        start: Option<&Attributes>,
    ) -> Result<(String, Vec<String>), Fault> {
        let (select, sort_column, order) = match (&self.source, is_forward) {
            (Source::Table, true) => (&self.table.sql.select, "sk", "sk"),
            (Source::Table, false) => (&self.table.sql.select, "sk", "sk DESC"),
            (Source::Index(index), true) => (&index.sql.select, "gsi_sk", "gsi_sk, table_pk, table_sk"),
            (Source::Index(index), false) => (&index.sql.select, "gsi_sk", "gsi_sk DESC, table_pk DESC, table_sk DESC"),
        };
        let (name, value) = &condition.partition;
        if self.given.name(name) != Some(&self.key.partition) {
            return Err(Fault::NotOurs);
        }
        let mut sql = select.clone();
        let mut values = vec![self.text(value)?];
        if let Some((name, range)) = &condition.sort {
            if self.given.name(name) != self.key.sort.as_deref() {
                return Err(Fault::NotOurs);
            }
            match range {
                Range::Compare(comparison, value) => {
                    sql.push_str(&format!(" AND {sort_column} {} ?2", comparison.sql()));
                    values.push(self.text(value)?);
                }
                Range::Between(from, to) => {
                    sql.push_str(&format!(" AND {sort_column} BETWEEN ?2 AND ?3"));
                    values.extend([self.text(from)?, self.text(to)?]);
                    if values[1] > values[2] {
                        return Err(Fault::NotOurs);
                    }
                }
                // Backwards, the query would have to begin behind the last string with this prefix.
                Range::BeginsWith(_) if !is_forward => return Err(Fault::NotOurs),
                Range::BeginsWith(prefix) => {
                    sql.push_str(&format!(" AND {sort_column} {} ?2", Comparison::AtLeast.sql()));
                    values.push(self.text(prefix)?);
                    self.prefix = values.last().cloned();
                }
            }
        }
        if let Some(start) = start {
            let beyond = if is_forward { ">" } else { "<" };
            let next = values.len() + 1;
            let place = self.place(start, &values[0])?;
            if !self.is_within(condition, &place.sort)? {
                return Err(Fault::NotOurs);
            }
            match place.of_table {
                None => {
                    sql.push_str(&format!(" AND {sort_column} {beyond} ?{next}"));
                    values.push(place.sort);
                }
                Some(key) => {
                    let columns = format!("({sort_column}, table_pk, table_sk)");
                    sql.push_str(&format!(" AND {columns} {beyond} (?{next}, ?{}, ?{})", next + 1, next + 2));
                    values.extend([place.sort, key.partition, key.sort]);
                }
            }
        }
        sql.push_str(&format!(" ORDER BY {order}"));
        Ok((sql, values))
    }

    /// Where a query goes on: in the same partition, behind this key.
    fn place(&self, start: &Attributes, partition: &str) -> Result<Place, Fault> {
        let key = self.key.in_item(start).filter(|key| key.partition == partition).ok_or(Fault::NotOurs)?;
        let of_table = match self.source {
            Source::Table if self.table.key.sort.is_none() || start.len() != 2 => return Err(Fault::NotOurs),
            Source::Table => None,
            Source::Index(index) => {
                let is_all = start.keys().all(|name| index.key.has(name) || self.table.key.has(name));
                Some(self.table.key.in_item(start).filter(|_| is_all).ok_or(Fault::NotOurs)?)
            }
        };
        Ok(Place { sort: key.sort, of_table })
    }

    /// Whether the query reads such a sort key at all.
    fn is_within(&self, condition: &KeyCondition, sort: &str) -> Result<bool, Fault> {
        Ok(match &condition.sort {
            None => true,
            Some((_, Range::BeginsWith(prefix))) => sort.starts_with(&self.text(prefix)?),
            Some((_, Range::Between(from, to))) => {
                (self.text(from)?.as_str()..=self.text(to)?.as_str()).contains(&sort)
            }
            Some((_, Range::Compare(comparison, value))) => {
                comparison.holds(Some(sort.cmp(self.text(value)?.as_str())))
            }
        })
    }

    /// The key of an item, as a query that goes on behind it takes it.
    fn key_of(&self, item: &Attributes) -> Attributes {
        let names = self.key.names().chain(self.table.key.names());
        names.filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect()
    }
}

/// Where a query goes on.
struct Place {
    sort: String,
    /// In an index, several items may have the same key.
    of_table: Option<Key>,
}

impl Engine {
    fn query(&mut self, reading: &Reading<'_>, sql: &str, values: &[String]) -> Result<Found, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Found::default();
        let mut bytes = 0;
        // The last row that was looked at.
        let mut last = None;
        while let Some(row) = rows.next()? {
            if let Some(prefix) = &reading.prefix
                && !row.get_ref(0)?.as_str().is_ok_and(|sort| sort.starts_with(prefix))
            {
                return Ok(found);
            }
            let json = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            // What is only counted need not be kept.
            let is_needed = !reading.is_count || reading.filter.is_some();
            let item = if is_needed {
                let Item(item) = serde_json::from_str(json).map_err(|_| Fault::NotOurs)?;
                bytes += size(&item);
                Some(item)
            } else {
                let Size(size) = serde_json::from_str(json).map_err(|_| Fault::NotOurs)?;
                bytes += size;
                None
            };
            if bytes > PAGE_BYTES && found.scanned > 0 {
                found.last = last;
                return Ok(found);
            }
            found.scanned += 1;
            let is_last = usize::try_from(found.scanned).is_ok_and(|scanned| scanned >= reading.limit);
            // An item has at most 400 KB, so the one before the item that is too much is behind the middle.
            if is_last || bytes > PAGE_BYTES / 2 {
                let whole = match &item {
                    Some(item) => reading.key_of(item),
                    None => serde_json::from_str(json)
                        .map(|Item(item)| reading.key_of(&item))
                        .map_err(|_| Fault::NotOurs)?,
                };
                last = Some(whole);
            }
            let passes = match (&reading.filter, &item) {
                (Some(filter), Some(item)) => filter.is_met(item, &reading.given),
                _ => true,
            };
            if passes {
                found.count += 1;
                if !reading.is_count {
                    found.items.extend(item);
                }
            }
            if is_last {
                found.last = last;
                return Ok(found);
            }
        }
        Ok(found)
    }
}
