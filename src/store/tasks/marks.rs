//! Marks: small rows by which a list finds the Tasks with a tag, and those that failed or were canceled, without reading
//! all others.
//!
//! A mark is written before the write that makes it true, so every such Task has one. The opposite is not certain: a list
//! applies its filter to each Task that it finds by a mark.

use std::fmt;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{ObjectId, Tags, TaskStatus, Timestamp};
use tasklane_rql::Filter;
use tracing::warn;

use crate::{
    StoreError,
    change::{Change, Condition},
    row::{EXPIRES, NewRow, number},
    table::Table,
};

use super::data::KEPT_AFTER;

/// The first format with marks.
const FORMAT: u32 = 2;
/// What the partitions of marks begin with.
const PARTITION: &str = "mark:";
/// How many marks of a Task are written at once. It may have 50 tags.
const AT_ONCE: usize = 16;

/// What a mark says about a Task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    Failed,
    Canceled,
    Tag(String),
}

impl Mark {
    /// The partition of this mark for the Tasks of a shard.
    pub(crate) fn partition(&self, shard: u8) -> String {
        format!("{PARTITION}{self}#{shard}")
    }

    /// Whether this is the partition of a mark.
    pub(crate) fn is_in(partition: &str) -> bool {
        partition.starts_with(PARTITION)
    }

    /// The marks of which each Task that meets the filter has at least one, for each condition that says so.
    pub(crate) fn required_by(filter: &Filter) -> Vec<Vec<Self>> {
        let of_status = || {
            let names = filter.required_values("status")?;
            // A string that is not a status matches no Task.
            let statuses = names.into_iter().filter_map(|name| name.parse().ok());
            statuses.map(Self::of_status).collect::<Option<Vec<_>>>()
        };
        let of_tags = || {
            let tags = filter.required_values("tags")?;
            Some(tags.into_iter().map(|tag| Self::Tag(tag.to_owned())).collect::<Vec<_>>())
        };
        of_tags().into_iter().chain(of_status()).collect()
    }

    /// The mark of the Tasks with this status, if they have one.
    fn of_status(status: TaskStatus) -> Option<Self> {
        match status {
            TaskStatus::Failed => Some(Self::Failed),
            TaskStatus::Canceled => Some(Self::Canceled),
            TaskStatus::New | TaskStatus::InProgress | TaskStatus::Complete | TaskStatus::Retried => None,
        }
    }

    fn of_tags(tags: &Tags) -> Vec<Self> {
        tags.as_slice().iter().map(|tag| Self::Tag(tag.clone())).collect()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("failed"),
            Self::Canceled => f.write_str("canceled"),
            Self::Tag(tag) => write!(f, "tag:{tag}"),
        }
    }
}

/// The marks in the table of Tasks.
#[derive(Clone)]
pub(crate) struct Marks {
    table: Table,
}

impl Marks {
    pub(crate) fn new(table: &Table) -> Self {
        Self { table: table.clone() }
    }

    /// Marks a Task with its tags. To be called before the Task is added.
    pub(crate) async fn put_tags(&self, shard: u8, id: ObjectId, tags: &Tags) -> Result<(), StoreError> {
        let writes = Mark::of_tags(tags).into_iter().map(|mark| self.put(shard, id, mark, None));
        stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Marks a Task that is about to have this status, if Tasks with it have a mark. `expires` is when the Task does.
    pub(crate) async fn put_status(
        &self,
        shard: u8,
        id: ObjectId,
        status: TaskStatus,
        expires: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        match Mark::of_status(status) {
            Some(mark) => self.put(shard, id, mark, expires).await,
            None => Ok(()),
        }
    }

    async fn put(&self, shard: u8, id: ObjectId, mark: Mark, expires: Option<Timestamp>) -> Result<(), StoreError> {
        let mut row = NewRow::new(mark.partition(shard), id).in_format(FORMAT);
        row.set_some(EXPIRES, expires.map(expiry));
        self.table.put("mark the task", row, Condition::new("")).await.map(|_| ())
    }

    /// Removes the marks of a Task that was not added or was withdrawn. If this fails they stay, and a list finds no Task
    /// by them.
    pub(crate) async fn take_back(&self, shard: u8, id: ObjectId, tags: &Tags) {
        for mark in Mark::of_tags(tags) {
            let (pk, sk) = (mark.partition(shard), id.to_string());
            let removal = self.table.delete_when("remove the mark of the task", &pk, &sk, Condition::new(""));
            if let Err(error) = removal.await {
                warn!(task = %id, %error, "the mark of a task that is gone was not removed");
            }
        }
    }

    /// Lets the marks of a Task's tags expire, some time after the Task, which has ended. If this fails they stay: the end
    /// of the Task is written already, and its caller must not be told otherwise.
    pub(super) async fn expire_tags(&self, shard: u8, id: ObjectId, tags: &Tags, expires: Timestamp) {
        let updates = Mark::of_tags(tags).into_iter().map(|mark| self.expire_one(shard, id, mark, expires));
        let updated: Result<(), StoreError> = stream::iter(updates).buffer_unordered(AT_ONCE).try_collect().await;
        if let Err(error) = updated {
            warn!(task = %id, %error, "the marks of a task that has ended do not expire");
        }
    }

    async fn expire_one(&self, shard: u8, id: ObjectId, mark: Mark, expires: Timestamp) -> Result<(), StoreError> {
        let change = Change::new().set(EXPIRES, expiry(expires)).when(Condition::new("attribute_exists(#pk)"));
        let (pk, sk) = (mark.partition(shard), id.to_string());
        self.table.update("let the mark of the task expire", &pk, &sk, change).await.map(|_| ())
    }
}

/// The `expires` of a mark whose Task expires then: TTL deletes in any order, and no mark may go before its Task.
fn expiry(task: Timestamp) -> aws_sdk_dynamodb::types::AttributeValue {
    number(task.as_secs().saturating_add(KEPT_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasklane_rql::{Query, Schema};

    fn required(query: &str) -> Vec<Vec<Mark>> {
        Query::parse(query, &Schema::TASKS).unwrap().filter.iter().flat_map(Mark::required_by).collect()
    }

    fn tag(tag: &str) -> Mark {
        Mark::Tag(tag.to_owned())
    }

    #[test]
    fn a_filter_requires_the_marks_that_each_of_its_matches_has() {
        for (query, marks) in [
            ("status=failed", vec![vec![Mark::Failed]]),
            ("in(status,failed,canceled)", vec![vec![Mark::Canceled, Mark::Failed]]),
            ("tags=a", vec![vec![tag("a")]]),
            ("in(tags,a,b)&status=canceled", vec![vec![tag("a"), tag("b")], vec![Mark::Canceled]]),
            ("or(tags=a,tags=b)", vec![vec![tag("a"), tag("b")]]),
            ("contains(tags,a)", vec![vec![tag("a")]]),
            ("tags=7", vec![vec![tag("7")]]),
            // Others may match as well.
            ("in(status,failed,complete)", vec![]),
            ("or(tags=a,status=failed)", vec![]),
            ("ne(tags,a)", vec![]),
            ("excludes(tags,a)", vec![]),
            ("like(tags,a)", vec![]),
            ("priority=1", vec![]),
        ] {
            let mut found = required(query);
            found.iter_mut().for_each(|marks| marks.sort_by_key(ToString::to_string));
            assert_eq!(found, marks, "{query}");
        }
    }

    #[test]
    fn no_tag_is_taken_for_another_mark() {
        for text in ["failed", "failed#0", "a#0", "a"] {
            assert_ne!(tag(text).partition(0), Mark::Failed.partition(0));
        }
        assert_ne!(tag("a#0").partition(1), tag("a").partition(0));
    }
}
