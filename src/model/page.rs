//! What lists answer with.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of a list: `{query, page: {total, offset, limit}, data}` (contract §3).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The RQL that was asked, without its leading `?`.
    pub query: String,
    /// Where in the list this page lies.
    pub page: PageWindow,
    /// The records.
    pub data: Vec<T>,
}

/// Where in a list a page lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageWindow {
    /// How many records match; left out by `skipCount()`, a lower bound when `total_is_exact` is `Some(false)`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    /// `false` when counting took longer than its budget (contract §8, decided); absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total_is_exact: Option<bool>,
    /// How many matching records lie before this page.
    pub offset: u64,
    /// How many records a page holds at most.
    pub limit: u64,
}

/// The answer of a change: `{affectedRecords}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AffectedRecords {
    /// How many records changed: 1, or 0 when there was nothing to do.
    pub affected_records: u64,
}

impl AffectedRecords {
    /// One record changed.
    pub const ONE: Self = Self { affected_records: 1 };
}
