//! Reports the Tasks that are written to the feed, where streams learn of them.
//!
//! Only the database sees every write, including those whose caller no longer waits for the answer.

use std::{borrow::Cow, sync::Arc};

use serde::Deserialize;
use tasklane_service::Feed;

/// Reads the writes to one table.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The table of Tasks.
    table: Arc<str>,
    feed: Feed,
}

/// A write of one row, as DynamoDB's API has it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Write<'a> {
    #[serde(borrow)]
    table_name: Cow<'a, str>,
    /// Of an update or a removal.
    #[serde(borrow, default)]
    key: Option<Key<'a>>,
    /// Of a new row: all of it, of which only the key is read.
    #[serde(borrow, default)]
    item: Option<Key<'a>>,
}

#[derive(Deserialize)]
struct Key<'a> {
    #[serde(borrow)]
    sk: Text<'a>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow, rename = "S")]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Transaction<'a> {
    #[serde(borrow)]
    transact_items: Vec<Part<'a>>,
}

/// A part of a transaction: one of these, or a check that writes nothing.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    put: Option<Write<'a>>,
    #[serde(borrow, default)]
    update: Option<Write<'a>>,
    #[serde(borrow, default)]
    delete: Option<Write<'a>>,
}

impl<'a> Part<'a> {
    fn write(self) -> Option<Write<'a>> {
        self.put.or(self.update).or(self.delete)
    }
}

impl Watch {
    /// Reports to this feed what is written to the table of Tasks, whose names begin with `prefix`.
    pub fn new(prefix: &str, feed: Feed) -> Self {
        Self { table: format!("{prefix}-tasks").into(), feed }
    }

    /// Whether there are streams. Without them, writes need not be read.
    pub(super) fn is_wanted(&self) -> bool {
        self.feed.is_followed()
    }

    /// Called with each write once it is done.
    pub(super) fn written(&self, operation: &str, body: &[u8]) {
        let writes = match operation {
            "PutItem" | "UpdateItem" | "DeleteItem" => serde_json::from_slice(body).map(|write| vec![write]),
            "TransactWriteItems" => serde_json::from_slice(body)
                .map(|Transaction { transact_items }| transact_items.into_iter().filter_map(Part::write).collect()),
            // It changes tables, not rows.
            _ => return,
        };
        let writes = match writes {
            Ok(writes) => writes,
            // Cannot happen: the database has read it too.
            Err(error) => return tracing::warn!(%error, operation, "a write could not be read for the streams"),
        };
        for write in writes {
            if let Some(key) = write.key.as_ref().or(write.item.as_ref()) {
                self.row_written(&write.table_name, &key.sk.text);
            }
        }
    }

    /// Called with the sort key of each row that was written.
    pub(super) fn row_written(&self, table: &str, sort: &str) {
        // Rows beside those of Tasks may have a Task's id too, which costs a look in vain; others have no id.
        if *table == *self.table
            && let Ok(id) = sort.parse()
        {
            self.feed.task_written(id);
        }
    }
}
