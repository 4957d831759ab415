//! Lists: turns a query into a page without ever reading a whole table (contract §8).
//!
//! [`plan`] determines where matching records can be, [`walk`] reads them in order (with a [`cursor`] for each
//! partition, and a [`join`] of several indexes), [`look`] filters them, and [`page`] counts and stops in time.

mod cursor;
mod join;
mod look;
mod page;
mod plan;
mod walk;

use std::{sync::Arc, time::Duration};

use tasklane_model::Json;
use tasklane_ports::Clock;

use super::{StoreError, days::Days, row::Row, table::Table, tasks::data::DataRows};

pub use look::SlowFilters;
pub(super) use look::Turns;
pub(super) use page::{matching_among, page};
pub(super) use plan::{Plan, Source};

/// How much a list may take.
#[derive(Clone)]
pub(super) struct Budgets {
    /// The time until its page is found.
    pub(super) query: Duration,
    /// The time after that until all matches are counted.
    pub(super) count: Duration,
    /// The processor time, which lists use in turns.
    pub(super) turns: Turns,
}

/// The kind of records in a list.
#[derive(Clone)]
pub(super) struct Listed {
    /// What is being done, for errors.
    pub(super) action: &'static str,
    pub(super) table: Table,
    pub(super) layout: Layout,
    /// The field with a record's creation time, which is within the plan's slack of its id's time.
    pub(super) time_field: &'static str,
    /// Whether records expire: then only their rows, not the indexes, show which ones are gone.
    pub(super) expire: bool,
    /// Converts a row to its public form.
    pub(super) decode: fn(&Row) -> Result<Json, StoreError>,
    /// The place of the records' large `data`, if it is not in their rows.
    pub(super) data: Option<DataRows>,
    /// Whether only the ids are wanted, so that large `data` is read only if the filter needs it.
    pub(super) ids_only: bool,
    pub(super) budgets: Budgets,
    pub(super) clock: Arc<dyn Clock>,
}

impl Listed {
    /// The public forms of rows, in the same order. Data that has not been read yet is read here.
    pub(super) async fn decode_whole(&self, rows: Vec<Row>) -> Result<Vec<Json>, StoreError> {
        let rows = match &self.data {
            Some(data) if !self.ids_only => data.attach_all(rows).await?,
            Some(_) | None => rows,
        };
        rows.iter().map(self.decode).collect()
    }
}

/// How a table is partitioned.
#[derive(Clone)]
pub(super) enum Layout {
    /// By day, with an index by Function.
    ByDay(Days),
    /// A record is in any of these partitions.
    AnyOf(Vec<String>),
}

/// The public form of a record, with the user's own JSON as it was written.
pub(super) fn public<T: serde::Serialize>(row: &Row, record: &T) -> Result<Json, StoreError> {
    Json::of(record).map_err(|error| row.corrupt(error))
}
