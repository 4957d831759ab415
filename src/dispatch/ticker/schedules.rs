//! Creates the Tasks of due Schedules.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, stream};
use tasklane_model::{Function, FunctionName, Timestamp};
use tasklane_store::ScheduleRecord;

use super::{BATCH, Part, Ticker};
use crate::occurrences::{create_due, first_due};

/// How many Schedules are materialised at once. Each is a transaction of about 20 ms, which costs two write units of a
/// partition of Schedules. 16 at once are as many as a partition accepts (1,000 write units a second); more would be throttled.
const AT_ONCE: usize = 16;

impl Ticker {
    /// Creates the Tasks of due Schedules, batch after batch. Each batch begins behind the one before, and a tick where the
    /// one before was cut, so that Schedules that fail each time do not hide those behind them.
    pub(super) async fn materialise_schedules(&self, ends: Timestamp, missed_before: Timestamp) -> Part {
        let mut part = Part::new("schedules", &self.ports.clock, ends);
        let cut_at = self.cut_at.lock().take();
        let mut from = cut_at.unwrap_or_else(|| first_due(&self.store, &self.ports));
        while part.has_time() {
            let now = self.ports.clock.now();
            let due = match self.store.schedules.due(now, &from, BATCH).await {
                Ok(due) => due,
                Err(error) => {
                    part.fail(error);
                    return part;
                }
            };
            let before = part.attempts();
            let left = self.materialise_batch(due.schedules, missed_before, &mut part).await;
            self.wake_after(&part, before).await;
            for error in due.unreadable {
                part.fail(error);
            }
            match left.first().map(|record| from.at(record)).or(due.next) {
                Some(next) => from = next,
                None => return part,
            }
        }
        *self.cut_at.lock() = Some(from);
        part
    }

    /// Returns the Schedules that there was no time for.
    async fn materialise_batch(
        &self,
        schedules: Vec<ScheduleRecord>,
        missed_before: Timestamp,
        part: &mut Part,
    ) -> Vec<ScheduleRecord> {
        let functions = &self.functions_of(&schedules, part).await;
        let ends = part.ends();
        let create = |record: ScheduleRecord| async move {
            match functions.get(&record.schedule.function_name) {
                Some(function) => {
                    create_due(&self.store, &self.ports, function.as_deref(), record, missed_before, ends).await
                }
                // It could not be read, which was noted.
                None => Ok(0),
            }
        };
        part.each(schedules, AT_ONCE, create).await
    }

    /// The Functions of these Schedules as they are now, without those that could not be read. Each is read once for the
    /// batch, because many Schedules may have the same one.
    async fn functions_of(
        &self,
        schedules: &[ScheduleRecord],
        part: &mut Part,
    ) -> BTreeMap<FunctionName, Option<Arc<Function>>> {
        let mut names: Vec<_> = schedules.iter().map(|record| record.schedule.function_name.clone()).collect();
        names.sort();
        names.dedup();
        let read = |name: FunctionName| async move {
            let function = self.functions.read(&name).await;
            (name, function)
        };
        let mut reads = stream::iter(names).map(read).buffer_unordered(AT_ONCE);
        let mut functions = BTreeMap::new();
        while let Some((name, read)) = reads.next().await {
            match read {
                Ok(function) => {
                    functions.insert(name, function);
                }
                Err(error) => part.fail(error),
            }
        }
        functions
    }
}
