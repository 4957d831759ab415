//! RQL, the query language of lists (contract §8): text → tree → a predicate over records, and the facts that a
//! planner can rely on without looking at a record.
//!
//! The grammar is that of [persvr/rql](https://github.com/persvr/rql), as far as the official SDK's builder and the
//! platform's documentation use it. `docs/rql.md` is the page for users. Where the sources are silent, a comment at
//! the code explains our choice.

#![warn(missing_docs)]

mod encoded;
mod facts;
mod filter;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
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

use tasklane_model::json::Node;

#[cfg(test)]
mod tests;

/// The number of records on a page unless the query sets one (contract §3).
pub const DEFAULT_LIMIT: u64 = 20;
/// The largest number of records on a page (contract §3). A larger `limit` returns this many, and the page's own `limit`
/// says so, which the SDK's `findAll` relies on.
pub const MAX_LIMIT: u64 = 50;
/// The longest accepted query, in bytes.
pub const MAX_QUERY_BYTES: usize = 16 * 1024;
/// How deeply groups and calls may be nested.
pub const MAX_DEPTH: usize = 20;
/// How many conditions and values a query may hold.
pub const MAX_TERMS: usize = 1000;

/// A parsed query of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The condition that records must meet; `None` selects all.
    pub filter: Option<Filter>,
    /// The order, most significant key first; if empty, the list's default order.
    pub sort: Vec<SortKey>,
    /// The part of the matching records that the page holds.
    pub window: Window,
    /// The fields to return besides `id`; `None` returns all.
    pub select: Option<Vec<FieldPath>>,
    /// Whether to omit the number of matching records.
    pub skip_count: bool,
    /// The query as given, without its leading `?`; a page repeats it.
    pub text: String,
}

/// The part of the matching records that a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The largest number of records: 0 to [`MAX_LIMIT`].
    pub limit: u64,
    /// The number of matching records to skip.
    pub offset: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, offset: 0 }
    }
}

impl Query {
    /// Reads the query part of a URL as it was sent (still percent-encoded, once or twice). An empty query selects
    /// everything.
    ///
    /// Fails with 19, naming the position and what was expected there.
    pub fn parse(raw: &str, schema: &Schema) -> tasklane_model::Result<Self> {
        encoded::read(raw, schema)
    }

    /// The query that selects everything.
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

    /// Whether it has conditions at most, and neither sort(), limit(), select() nor skipCount().
    pub fn is_filter_only(&self) -> bool {
        Self { filter: None, text: String::new(), ..self.clone() } == Self::everything()
    }

    /// Whether answering it takes more than reading the records of one page in the order of an index.
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
