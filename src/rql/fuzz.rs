//! RQL from strangers.

use std::{ops::RangeBounds, sync::LazyLock};

use serde_json::{Value, json};
use tasklane_model::{ErrorKind, Json, ObjectId, Timestamp};

use super::{Filter, MAX_LIMIT, Query, Schema, SortKey, function_log_bounds, project, run_log_bounds};

/// Reads the bytes as the query part of a URL, for each list.
///
/// A query reads the same from the text that its page repeats; a planner that relies on the filter's requirements misses
/// no matching record; and a page stays within its bounds.
pub fn rql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for schema in [Schema::TASKS, Schema::SCHEDULES, Schema::API_REQUESTS] {
        match Query::parse(text, &schema) {
            Ok(query) => {
                // The leading `?` is not part of the text; only one is removed.
                let again = Query::parse(&format!("?{}", query.text), &schema);
                assert!(again.as_ref().is_ok_and(|again| *again == query), "{query:?} reads {again:?} the second time");
                assert!(query.window.limit <= MAX_LIMIT, "{query:?}");
                RECORDS.iter().for_each(|record| check(&query, record));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidRql),
        }
    }
    let _ = (run_log_bounds(text), function_log_bounds(text));
}

fn check(query: &Query, record: &Json) {
    if let Some(filter) = &query.filter
        && filter.matches(&record.node())
    {
        check_facts(filter, &record.to_value());
    }
    let values = |record: &Json| SortKey::values(&query.sort, &record.node());
    for other in &*RECORDS {
        let (own, others) = (values(record), values(other));
        let (there, back) =
            (SortKey::compare(&query.sort, &own, &others), SortKey::compare(&query.sort, &others, &own));
        assert_eq!(there, back.reverse(), "{:?} orders {record:?} and {other:?} two ways", query.sort);
    }
    if let Some(select) = &query.select {
        let cut = project(select, record);
        assert_eq!(cut.node().get("id"), record.node().get("id"), "{select:?} cuts {record:?} down to {cut:?}");
    }
}

fn check_facts(filter: &Filter, record: &Value) {
    for field in ["functionName", "status"] {
        if let (Some(required), Some(found)) = (filter.required_values(field), record[field].as_str()) {
            assert!(required.contains(&found), "{filter:?} requires {required:?} and takes {record}");
        }
    }
    for field in ["creationTimestamp", "timestamp"] {
        if let Some(found) = record[field].as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
            let range = filter.required_range(field);
            assert!(range.contains(&found), "{filter:?} requires {range:?} and takes {record}");
        }
    }
    if let Some(found) = record["id"].as_str().and_then(|text| text.parse::<ObjectId>().ok()) {
        let range = filter.required_id_range();
        assert!(range.contains(&found), "{filter:?} requires {range:?} and takes {record}");
        let required = filter.required_ids();
        let holds = required.as_ref().is_none_or(|ids| ids.contains(&found));
        assert!(holds, "{filter:?} requires {required:?} and takes {record}");
    }
}

static RECORDS: LazyLock<Vec<Json>> = LazyLock::new(|| {
    let records = [
        json!({
            "id": "65ba0000abcdef0123456789", "functionName": "a", "status": "new", "tags": ["t", "5", ""],
            "statusChangedTimestamp": "2026-01-01T00:00:00.000Z", "startTimestamp": "2026-01-01T00:00:00.000Z",
            "priority": 0, "creationTimestamp": "2026-01-01T00:00:00.000Z",
            "updateTimestamp": "2026-01-31T08:15:30.123Z", "data": null
        }),
        json!({
            "id": "697db9a2c5f0a1b2c3d4e5f6", "functionName": "b", "status": "failed", "tags": [],
            "statusChangedTimestamp": "2026-02-01T00:00:00.000Z", "startTimestamp": "2026-02-01T00:00:00.000Z",
            "priority": -3, "creationTimestamp": "2026-02-01T00:00:00.000Z",
            "updateTimestamp": "2026-02-01T00:00:00.000Z",
            "data": { "x": [1, 2.5, "3", null, { "y": true }], "key": "2026-01-01", "d": { "e": { "f": -1 } } },
            "retryForTaskIds": ["65ba0000abcdef0123456789"],
            "error": { "type": "runtime", "name": "Error", "message": "no" }
        }),
        json!({
            "id": "65ba0000abcdef0123456789", "interval": 5, "functionName": "a", "method": "GET", "path": "x?y=1",
            "userId": "u", "statusCode": 404, "timestamp": "2026-01-01T00:00:00.000Z", "duration": 0.25,
            "nextTimestamp": "2026-01-01T00:00:00.000Z", "creationTimestamp": "2026-01-01T00:00:00.000Z"
        }),
    ];
    records.map(Json::from).into()
});
