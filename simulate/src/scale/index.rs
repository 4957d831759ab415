//! The index `lane`, as it lags behind the rows: each row's changes arrive in order, some time after they were written.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use serde_json::{Map, Value, json};

/// The attributes of a row that the index holds.
const PROJECTED: [&str; 8] = ["pk", "sk", "lane", "laneKey", "function", "queue", "priority", "runner"];

/// The index of one table.
#[derive(Default)]
pub struct LaggingIndex {
    visible: BTreeMap<String, BTreeMap<String, Value>>,
    /// Changes on their way, by their time of arrival.
    pending: BinaryHeap<Reverse<(i64, u64)>>,
    changes: HashMap<u64, Change>,
    /// Each row's present place, and when its last change arrives.
    rows: HashMap<String, (Option<Place>, i64)>,
    number: u64,
}

/// A partition, and a position in it.
type Place = (String, String);

struct Change {
    removes: Option<Place>,
    adds: Option<(Place, Value)>,
}

impl LaggingIndex {
    /// The partitions that a change of this row writes to, as the row is before the change.
    pub fn partition_of(&self, row: &str) -> Option<&str> {
        self.rows.get(row).and_then(|(place, _)| place.as_ref()).map(|(partition, _)| partition.as_str())
    }

    /// Records the row after a write; `None` if it was removed. Returns the partitions that the change writes a unit to.
    pub fn saw(&mut self, row: &str, item: Option<&Value>, arrives: i64) -> Vec<String> {
        let text = |item: &Value, name: &str| item[name]["S"].as_str().map(str::to_owned);
        let after = item.and_then(|item| Some((text(item, "lane")?, text(item, "laneKey")?)));
        let (before, last) = self.rows.get(row).cloned().unwrap_or((None, 0));
        if before == after {
            // The attributes that the index holds do not change while a row stays where it is.
            return Vec::new();
        }
        let arrives = arrives.max(last);
        let written = before.iter().chain(&after).map(|(partition, _)| partition.clone()).collect();
        let adds = after.clone().zip(item.map(projected));
        self.rows.insert(row.to_owned(), (after, arrives));
        self.number += 1;
        self.pending.push(Reverse((arrives, self.number)));
        self.changes.insert(self.number, Change { removes: before, adds });
        written
    }

    /// Answers a query of a partition.
    pub fn answer(&mut self, body: &Value, now: i64) -> Value {
        self.let_arrive(now);
        let value = |name: &str| body["ExpressionAttributeValues"][name]["S"].as_str();
        let rows = value(":partition").and_then(|partition| self.visible.get(partition));
        let after = body["ExclusiveStartKey"]["laneKey"]["S"].as_str();
        let limit = body["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let wanted = |key: &&String| {
            value(":from").is_none_or(|from| key.as_str() >= from)
                && value(":below").is_none_or(|below| key.as_str() < below)
                && after.is_none_or(|after| key.as_str() > after)
        };
        let mut found = rows.into_iter().flatten().filter(|(key, _)| wanted(key)).map(|(_, item)| item);
        let items: Vec<&Value> = found.by_ref().take(limit).collect();
        let last = found.next().and_then(|_| items.last()).map(|item| {
            let key = ["pk", "sk", "lane", "laneKey"].map(|name| (name.to_owned(), item[name].clone()));
            Value::Object(Map::from_iter(key))
        });
        let mut answer = json!({ "Items": items, "Count": items.len(), "ScannedCount": items.len() });
        if let Some(last) = last {
            answer["LastEvaluatedKey"] = last;
        }
        answer
    }

    fn let_arrive(&mut self, now: i64) {
        while let Some(Reverse((at, number))) = self.pending.peek().copied()
            && at <= now
        {
            self.pending.pop();
            let Some(Change { removes, adds }) = self.changes.remove(&number) else { continue };
            if let Some((partition, key)) = removes
                && let Some(rows) = self.visible.get_mut(&partition)
            {
                rows.remove(&key);
            }
            if let Some(((partition, key), item)) = adds {
                self.visible.entry(partition).or_default().insert(key, item);
            }
        }
    }
}

fn projected(item: &Value) -> Value {
    let held = PROJECTED.iter().filter(|name| !item[**name].is_null());
    Value::Object(held.map(|name| ((*name).to_owned(), item[*name].clone())).collect())
}
