//! Pages of lists.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr,
        schema::{ArrayBuilder, ObjectBuilder, Schema, Type},
    },
};

use super::ObjectId;

/// A page of a list: `{query, page: {total, offset, limit}, data}` (contract §3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// The RQL of the request, without its leading `?`.
    pub query: String,
    /// The part of the list that this page holds.
    pub page: PageWindow,
    /// The records.
    pub data: Vec<T>,
}

/// By hand, because the derived schemas of one generic type would all have the same name.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let query = ObjectBuilder::new().schema_type(Type::String).description(Some("The RQL of the request."));
        ObjectBuilder::new()
            .description(Some("A page of a list."))
            .property("query", query)
            .property("page", Ref::from_schema_name(PageWindow::name()))
            .property("data", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .required("query")
            .required("page")
            .required("data")
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((PageWindow::name().into_owned(), PageWindow::schema()));
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// The part of a list that a page holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageWindow {
    /// How many records match; left out by `skipCount()`, a lower bound when `totalIsExact` is false.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    /// `false` when counting took longer than its budget and `total` is a lower bound; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total_is_exact: Option<bool>,
    /// How many matching records lie before this page.
    pub offset: u64,
    /// How many records a page holds at most.
    pub limit: u64,
    /// `true` when the search ended before the end of the list, with fewer matches than the page could hold. Absent
    /// otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub is_partial: Option<bool>,
    /// Where to continue when the page is partial: the id of the last record that was read. Ask for `gt(id,…)`, or for
    /// `lt(id,…)` if the list is descending.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<ObjectId>,
}

/// The response to a change: `{affectedRecords}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AffectedRecords {
    /// How many records changed: 0 when there was nothing to do.
    pub affected_records: u64,
}

impl AffectedRecords {
    /// One record changed.
    pub const ONE: Self = Self { affected_records: 1 };
}
