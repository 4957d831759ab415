//! Builds RQL query strings.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tasklane_model::ObjectId;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Conditions and orders that all apply, such as `eq(status,new)&sort(-creationTimestamp)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<String>);

impl Query {
    /// All records, in the service's default order.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only records with this value in the field.
    #[must_use]
    pub fn eq(self, field: &str, value: impl Display) -> Self {
        self.condition("eq", field, value)
    }

    /// Only records with one of these values in the field.
    #[must_use]
    pub fn any(mut self, field: &str, values: &[impl Display]) -> Self {
        let values: Vec<_> = values.iter().map(twice_encoded).collect();
        self.0.push(format!("in({field},{})", values.join(",")));
        self
    }

    /// Only records with this value or a greater one in the field.
    #[must_use]
    pub fn ge(self, field: &str, value: impl Display) -> Self {
        self.condition("ge", field, value)
    }

    /// Only records with this value or a smaller one in the field.
    #[must_use]
    pub fn le(self, field: &str, value: impl Display) -> Self {
        self.condition("le", field, value)
    }

    /// Only records with a smaller value in the field.
    #[must_use]
    pub fn lt(self, field: &str, value: impl Display) -> Self {
        self.condition("lt", field, value)
    }

    /// Only records after this one. The query's order must be by creation.
    #[must_use]
    pub fn after(self, id: ObjectId) -> Self {
        let operator = if self.descends() { "lt" } else { "gt" };
        self.condition(operator, "id", id)
    }

    /// Adds RQL that a person wrote, with or without a leading `?`.
    #[must_use]
    pub fn and(mut self, rql: &str) -> Self {
        let rql = rql.trim().trim_start_matches('?').trim_matches('&');
        if !rql.is_empty() {
            self.0.push(rql.to_owned());
        }
        self
    }

    /// Sets the order unless the query has one: `-creationTimestamp` is newest first.
    #[must_use]
    pub fn sort_by_default(self, order: &str) -> Self {
        if self.calls("sort(") { self } else { self.and(&format!("sort({order})")) }
    }

    /// Whether the query has its own limit.
    pub fn has_limit(&self) -> bool {
        self.calls("limit(")
    }

    /// At most `count` records, after the first `offset`.
    #[must_use]
    pub fn limit(self, count: u64, offset: u64) -> Self {
        if offset == 0 { self.and(&format!("limit({count})")) } else { self.and(&format!("limit({count},{offset})")) }
    }

    /// The query string, without a `?`.
    pub fn as_rql(&self) -> String {
        self.0.join("&")
    }

    /// Whether the query has its own order.
    pub fn has_order(&self) -> bool {
        self.calls("sort(")
    }

    /// Whether the last order in the query, which is the one that applies, is descending.
    fn descends(&self) -> bool {
        let parts = self.0.iter().rev().flat_map(|part| part.rsplit('&'));
        let order = parts.filter_map(|part| part.trim_start().strip_prefix("sort(")).next();
        order.is_some_and(|order| order.trim_start().starts_with(['-']) || order.starts_with("%2D"))
    }

    fn condition(mut self, operator: &str, field: &str, value: impl Display) -> Self {
        self.0.push(format!("{operator}({field},{})", twice_encoded(value)));
        self
    }

    /// Whether the operator is at the top level of the query. Within a value, its name would follow another character.
    fn calls(&self, operator: &str) -> bool {
        self.0.iter().flat_map(|part| part.split('&')).any(|part| part.trim_start().starts_with(operator))
    }
}

/// The service decodes values twice (contract §8): as a query string and as RQL.
fn twice_encoded(value: impl Display) -> String {
    let once = utf8_percent_encode(&value.to_string(), UNRESERVED).to_string();
    utf8_percent_encode(&once, UNRESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_being_decoded_twice() {
        assert_eq!(Query::new().eq("name", "a b)%").as_rql(), "eq(name,a%2520b%2529%2525)");
        assert_eq!(Query::new().eq("status", "new").as_rql(), "eq(status,new)");
    }

    #[test]
    fn the_records_after_a_record_depend_on_the_order() {
        let id: ObjectId = "697db9a2c5f0a1b2c3d4e5f6".parse().unwrap();
        for (rql, after) in [
            ("", "gt(id"),
            ("sort(id)", "gt(id"),
            ("eq(a,1)&sort(-creationTimestamp)", "lt(id"),
            ("sort(-id)&sort(+id)", "gt(id"),
        ] {
            assert!(Query::new().and(rql).after(id).as_rql().contains(after), "{rql}");
        }
    }

    #[test]
    fn the_users_own_order_and_limit_are_kept() {
        let mine = Query::new().eq("status", "new").sort_by_default("-x");
        assert_eq!(mine.as_rql(), "eq(status,new)&sort(-x)");
        let theirs = Query::new().and("?gt(priority,1)&sort(+priority)&").sort_by_default("-x");
        assert_eq!(theirs.as_rql(), "gt(priority,1)&sort(+priority)");
        assert!(Query::new().and("limit(3)").has_limit());
        assert!(!Query::new().and("eq(data.text,limit%28)").has_limit());
    }
}
