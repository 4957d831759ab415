//! Lists: from a query to a page, without ever reading a whole table (contract §8).
//!
//! [`plan`] says where the records that can match are found, [`walk`] reads them in order (with [`cursor`] for each partition), [`look`] filters them, [`page`]
//! counts and stops in time.

mod cursor;
mod look;
mod page;
mod plan;
mod walk;

use std::{sync::Arc, time::Duration};

use tasklane_model::Json;
use tasklane_ports::Clock;

use super::{StoreError, days::Days, row::Row, table::Table};

pub(super) use look::Turns;
pub(super) use page::page;
pub(super) use plan::{Plan, Source};

/// How much a list may take.
#[derive(Clone)]
pub(super) struct Budgets {
    /// Until its page is found.
    pub(super) query: Duration,
    /// After that, until everything that matches is counted.
    pub(super) count: Duration,
    /// Of the processor: lists take turns.
    pub(super) turns: Turns,
}

/// What a list is a list of.
#[derive(Clone)]
pub(super) struct Listed {
    /// What is being done, for errors.
    pub(super) action: &'static str,
    /// Where the records are.
    pub(super) table: Table,
    /// By which days the table is partitioned; `None`: it is not, and everything lies in the partition `pk`.
    pub(super) layout: Layout,
    /// The field that says when a record was created: within the slack of its id's time.
    pub(super) time_field: &'static str,
    /// Whether records go away by themselves: then only their rows tell which are gone, and no index does.
    pub(super) expire: bool,
    /// The record as callers see it.
    pub(super) decode: fn(&Row) -> Result<Json, StoreError>,
    pub(super) budgets: Budgets,
    pub(super) clock: Arc<dyn Clock>,
}

/// How a listed table is partitioned.
#[derive(Clone)]
pub(super) enum Layout {
    /// By day, with an index by Function.
    ByDay(Days),
    /// Everything in one partition.
    One(&'static str),
}

/// A value of the model as callers see it, with the user's own JSON in it as it was written.
pub(super) fn public<T: serde::Serialize>(row: &Row, record: &T) -> Result<Json, StoreError> {
    Json::of(record).map_err(|error| row.corrupt(error))
}
