//! Debounced creations: many in a row become one Task (contract §11).

use std::sync::OnceLock;

use tasklane_model::{Caller, Debounce, Error, ErrorKind, Function, NewTask, ObjectId, Result, Task, Timestamp};
use tasklane_store::{Edited, NewData, TaskEdit};

use super::{Service, tasks::check_data_size};

/// How often a creation looks again if others add or start Tasks with its key at the same time.
const TRIES: usize = 8;

impl Service {
    /// Creates the Task of these creations, or changes the data and the start of the one that exists and is `new`. 26 with a
    /// start time of its own, 1502 if others with the same key are faster again and again.
    pub(super) async fn create_debounced(
        &self,
        caller: &Caller,
        new: NewTask,
        debounce: &Debounce,
        function: &Function,
    ) -> Result<Task> {
        if new.start_timestamp.is_some() {
            return Err(contradiction("'debounce' sets the start, so 'startTimestamp' must be absent"));
        }
        if debounce.is_contradiction() {
            return Err(contradiction("'debounce.maxSeconds' must not be less than 'debounce.seconds'"));
        }
        let debounces = &self.inner.store.debounces;
        for _ in 0..TRIES {
            let now = self.inner.ports.clock.now();
            let last = debounces.find(&function.name, &debounce.key).await?;
            if let Some(last) = last
                && let Some(task) = self.debounce(last, &new, debounce, now).await?
            {
                return Ok(task);
            }
            let first = NewTask {
                data: debounce.first_data(new.data.clone()).map_err(Error::internal)?,
                start_timestamp: Some(debounce.start(now, now)),
                ..new.clone()
            };
            check_data_size(first.data.as_ref())?;
            let task = self.intent_of(&first, function).task(caller, first);
            let added = debounces.add(&task, function.lane, &debounce.key, last, now).await;
            // Even if the store did not respond.
            self.wake_for_start(&task, now).await;
            if added? {
                return Ok(task);
            }
        }
        Err(Error::conflicting_update())
    }

    /// Changes the Task of earlier creations; `None` if it is not `new` any more.
    async fn debounce(&self, id: ObjectId, new: &NewTask, debounce: &Debounce, now: Timestamp) -> Result<Option<Task>> {
        let refused = OnceLock::new();
        let edit = |task: &Task| match next_data(task, new, debounce) {
            Ok(data) => {
                let first = task.options.debounce.as_ref().unwrap_or(debounce);
                // What was said first about the most holds for the Task.
                let start = debounce.start(now, now).min(task.creation_timestamp.saturating_add(first.most()));
                let data = NewData { data, id: self.inner.ports.ids.next(now) };
                Some(TaskEdit { start: Some(start), data: Some(data), ..TaskEdit::default() })
            }
            Err(error) => {
                // Whatever else the Task becomes meanwhile, this call is refused.
                let _ = refused.set(error);
                None
            }
        };
        let edited = self.inner.store.tasks.edit_new_with_data(id, now, edit).await?;
        if let Some(error) = refused.into_inner() {
            return Err(error);
        }
        match edited {
            Edited::Done(task) | Edited::Unchanged(task) => {
                self.wake_for_start(&task, now).await;
                Ok(Some(*task))
            }
            Edited::NotNew(_) | Edited::Unknown | Edited::Superseded => Ok(None),
        }
    }
}

fn next_data(task: &Task, new: &NewTask, debounce: &Debounce) -> Result<Option<tasklane_model::Json>> {
    let data = debounce.next_data(task, new.data.clone()).map_err(Error::internal)?;
    check_data_size(data.as_ref())?;
    Ok(data)
}

/// A call with a key is answered with what it did the first time, but here later calls change the same Task.
pub(super) fn check_without_key(new: &NewTask) -> Result<()> {
    match new.options.debounce {
        Some(_) => Err(contradiction("'debounce' and an idempotency key cannot be combined: send one of them")),
        None => Ok(()),
    }
}

fn contradiction(rule: &str) -> Error {
    Error::new(ErrorKind::IllegalArgument, format!("{rule}."))
}
