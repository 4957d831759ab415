//! RQL, the query language of lists (contract §8): text → tree → a predicate over records, and what a planner can
//! rely on without looking at any record.
//!
//! The grammar is that of [persvr/rql](https://github.com/persvr/rql), as far as the official SDK's builder and the
//! platform's documentation use it. `docs/rql.md` is the page for users; where the sources are silent, the choice
//! made here is written down at the code that makes it.

mod encoded;
mod facts;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod literal;
mod logs;
mod path;
mod resolve;
mod schema;
mod select;
mod sort;
mod syntax;
mod value;

pub use filter::{Comparison, Filter};
pub use logs::{FunctionLogBounds, RunLogBounds, function_log_bounds, run_log_bounds};
pub use path::FieldPath;
pub use schema::{Field, FieldKind, Schema};
pub use select::project;
pub use sort::{SortKey, SortValues};
pub use value::Value;

use crate::model::{self, json::Node};

#[cfg(test)]
mod tests;

/// How many records a page holds when the query does not say (contract §3).
pub const DEFAULT_LIMIT: u64 = 20;
/// How many records a page holds at most (contract §3): a larger `limit` is answered with this many, and the page's
/// own `limit` says so, which is what the SDK's `findAll` goes by.
pub const MAX_LIMIT: u64 = 50;
/// The longest query that is read, in bytes.
pub const MAX_QUERY_BYTES: usize = 16 * 1024;
/// How deep groups and calls may nest.
pub const MAX_DEPTH: usize = 20;
/// How many conditions and values a query may hold.
pub const MAX_TERMS: usize = 1000;

/// What a caller asked of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What records must meet; `None` takes every one.
    pub filter: Option<Filter>,
    /// The order, most significant key first; empty: the list's own order.
    pub sort: Vec<SortKey>,
    /// Which part of the matching records.
    pub window: Window,
    /// The fields to answer with, besides `id`; `None`: all of them.
    pub select: Option<Vec<FieldPath>>,
    /// Whether to leave out how many records match.
    pub skip_count: bool,
    /// The query as it was given, without its leading `?`: what a page repeats.
    pub text: String,
}

/// Which part of the matching records a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How many records at most: 0 to [`MAX_LIMIT`].
    pub limit: u64,
    /// How many matching records to pass over.
    pub offset: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, offset: 0 }
    }
}

impl Query {
    /// Reads the query part of a URL, as it stood there (still percent-encoded, once or twice). An empty one asks for
    /// everything.
    ///
    /// Fails with 19, saying where and what was expected.
    pub fn parse(raw: &str, schema: &Schema) -> model::Result<Self> {
        encoded::read(raw, schema)
    }

    /// The query of a list that was asked for without one.
    pub fn everything() -> Self {
        Self {
            filter: None,
            sort: Vec::new(),
            window: Window::default(),
            select: None,
            skip_count: false,
            text: String::new(),
        }
    }

    /// Whether its answer takes more than reading the records of its page where an index has them in their order.
    pub fn looks_into_records(&self) -> bool {
        let is_filtered = self.filter.as_ref().is_some_and(|filter| !filter.is_decided_by("functionName"));
        let is_sorted = self
            .sort
            .first()
            .is_some_and(|key| !["id", "creationTimestamp", "timestamp"].iter().any(|field| key.field.is(field)));
        is_filtered || is_sorted
    }

    /// Whether the record meets the filter.
    pub fn matches(&self, record: &Node<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(record))
    }
}
