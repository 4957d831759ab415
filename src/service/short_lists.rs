//! Pages of lists that are short enough to be read as a whole.

use serde::Serialize;
use tasklane_model::{Error, Json, Page, PageWindow, Result};
use tasklane_rql::{Query, SortKey, project};

/// The page of these records that the query asks for. Without a `sort`, they keep their order.
pub(super) fn page_of<T: Serialize>(records: impl IntoIterator<Item = T>, query: &Query) -> Result<Page<Json>> {
    let mut matching = Vec::new();
    for record in records {
        let record = Json::of(&record).map_err(Error::internal)?;
        let node = record.node();
        if query.matches(&node) {
            let values = SortKey::values(&query.sort, &node);
            drop(node);
            matching.push((values, record));
        }
    }
    matching.sort_by(|(a, _), (b, _)| SortKey::compare(&query.sort, a, b));
    let (window, total) = (query.window, matching.len() as u64);
    let page = PageWindow {
        total: (!query.skip_count).then_some(total),
        offset: window.offset,
        limit: window.limit,
        ..PageWindow::default()
    };
    let cut = |record: Json| match &query.select {
        Some(select) => project(select, &record),
        None => record,
    };
    let data = matching
        .into_iter()
        .skip(usize::try_from(window.offset).unwrap_or(usize::MAX))
        .take(usize::try_from(window.limit).unwrap_or(usize::MAX))
        .map(|(_, record)| cut(record))
        .collect();
    Ok(Page { query: query.text.clone(), page, data })
}

/// Whether a record meets the conditions of a query.
pub(super) fn matches<T: Serialize>(record: &T, query: &Query) -> Result<bool> {
    let record = Json::of(record).map_err(Error::internal)?;
    Ok(query.matches(&record.node()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tasklane_rql::Schema;

    use super::*;

    #[test]
    fn a_page_is_filtered_sorted_cut_and_counted() {
        let records =
            [("b", 1), ("a", 2), ("c", 3)].map(|(name, n)| json!({ "id": n, "name": name, "description": "" }));
        let page = |rql: &str| {
            let page = page_of(&records, &Query::parse(rql, &Schema::ROLES).unwrap()).unwrap();
            let names = page.data.iter().map(|record| record.as_str().to_owned()).collect::<Vec<_>>().join(" ");
            (page.page.total, names)
        };
        assert_eq!(page("name=a&select(name)"), (Some(1), r#"{"id":2,"name":"a"}"#.to_owned()));
        let (total, names) = page("in(name,a,b)&sort(name)&limit(1,1)&select(name)");
        assert_eq!((total, &*names), (Some(2), r#"{"id":1,"name":"b"}"#));
        assert_eq!(page("name=x"), (Some(0), String::new()));
    }
}
