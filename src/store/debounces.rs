//! Which Task the next debounced creation with a key changes (contract §11).
//!
//! A row for each Function and key names the last Task that was created for it. As long as that Task is `new`, creations
//! change it; otherwise the next one adds another Task and puts its id into the row, in one transaction. So nothing has to
//! be written when the Task is claimed or canceled, and there is never a second `new` Task.

use std::{sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};
use tasklane_model::{DebounceKey, FunctionName, Lane, ObjectId, Task, Timestamp};
use tasklane_ports::Clock;

use super::{
    StoreError, Tasks,
    change::Condition,
    row::{EXPIRES, NewRow, number, text},
    table::Table,
    tasks::row::of_new_task,
    transaction::{Refusal, Transacted},
};

/// How long a key is remembered after its Task was due: longer than a Task waits for its turn, unless its Function is disabled.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The first format with debounced Tasks.
const FORMAT: u32 = 2;

/// The Tasks of debounced creations.
#[derive(Clone)]
pub struct Debounces {
    pub(super) control: Table,
    pub(super) tasks: Tasks,
    pub(super) clock: Arc<dyn Clock>,
}

impl Debounces {
    /// The last Task of this key, whatever its status.
    pub async fn find(&self, function: &FunctionName, key: &DebounceKey) -> Result<Option<ObjectId>, StoreError> {
        match self.control.get("look the debounced task up", &partition(function, key), "-").await? {
            Some(row) if !row.is_expired(self.clock.now()) => row.parse("task").map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// Adds a Task as the last one of its key, if that is still `last`. `false` if another call was faster.
    pub async fn add(
        &self,
        task: &Task,
        queue: Lane,
        key: &DebounceKey,
        last: Option<ObjectId>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "add the debounced task";
        let id = task.id.to_string();
        let condition = match last {
            Some(last) => Condition::new("#task = :last").with("last", text(last.to_string())),
            None => Condition::new("attribute_not_exists(#pk) OR #expires <= :now").with("now", number(now.as_secs())),
        };
        let mut row = NewRow::new(partition(&task.function_name, key), "-").in_format(FORMAT);
        row.set("task", text(&id));
        row.set(EXPIRES, number(task.start_timestamp.saturating_add(REMEMBERED).as_secs()));
        self.tasks.own_lanes.register(queue, &task.function_name).await?;
        let place = self.tasks.days.partition_for(task.id).await?;
        let data = self.tasks.put_companions(&place, task).await?;
        let parts = vec![
            self.control.to_put_when(ACTION, row, condition)?,
            self.tasks.table.to_put_new(ACTION, of_new_task(&place, task, queue, data, now))?,
        ];
        match self.control.transact(ACTION, parts).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(refusals) => match refusals.into_iter().next().flatten() {
                // Our own write, whose response was lost.
                Some(Refusal { row: Some(row) }) if row.optional_text("task")? == Some(&id) => Ok(true),
                Some(_) | None => {
                    self.tasks.take_companions_back(&place, task.id, data, &task.tags).await;
                    Ok(false)
                }
            },
        }
    }
}

/// Keys may have 1,020 bytes.
fn partition(function: &FunctionName, key: &DebounceKey) -> String {
    let hash = Sha256::new().chain_update(function.as_str()).chain_update([0]).chain_update(key.as_str()).finalize();
    format!("debounce:{}", hex::encode(hash))
}
