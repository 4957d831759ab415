//! Many Tasks in one call (contract §11).
//!
//! Each entry is created as if it had been sent alone. With an idempotency key for the whole, the intent of the batch
//! comes first: the id and times of each Task, and which entries were refused. A repeated call
//! continues with the same values, so no entry is created twice, and an entry that was refused stays refused.

use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tasklane_model::{Caller, Error, ErrorKind, Made, NewTask, Once, OnceScope, Result, Task};

use super::{
    Service,
    debounce::check_without_key,
    tasks::{TaskIntent, check_data_size, same_body},
};

/// How many Tasks of a batch are created at once.
const AT_ONCE: usize = 16;

/// One entry of a batch: a Task to create, with a key of its own if it has one, or why it cannot be read.
pub type BatchEntry = Result<(NewTask, Option<Once>)>;

/// What became of the entries, in their order.
pub type BatchOutcome = Vec<Result<Task>>;

/// The intent of a batch: what each entry will be; none for those that were refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BatchIntent(Vec<Option<TaskIntent>>);

impl Service {
    /// Creates the Tasks of a batch. With a key for the whole, a repeated call creates nothing and returns the Tasks as
    /// they are now; 1501 when the first call had another body.
    pub async fn create_tasks(
        &self,
        caller: &Caller,
        entries: Vec<BatchEntry>,
        once: Option<&Once>,
    ) -> Result<Made<BatchOutcome>> {
        let Some(once) = once else {
            // Debounced entries may concern one Task, which then has their data in order.
            let are_debounced = entries.iter().flatten().any(|(new, _)| new.options.debounce.is_some());
            let at_once = if are_debounced { 1 } else { AT_ONCE };
            let each = stream::iter(entries).map(|entry| self.create_entry(caller, entry)).buffered(at_once);
            return Ok(Made { record: each.collect().await, is_replay: false });
        };
        let scope = OnceScope::of(caller, "POST /tasklane/v1/tasks/batch")?;
        let (intent, is_replay) = match self.inner.store.intents.find::<BatchIntent>(&scope, once).await? {
            Some(found) => (same_body(found)?, true),
            None => {
                let new = BatchIntent(self.intents_of(&entries).await?);
                if new.0.iter().all(Option::is_none) {
                    // Nothing will be created, so nothing is remembered.
                    let each = stream::iter(entries).then(|entry| self.refused_entry(entry));
                    return Ok(Made { record: each.collect().await, is_replay: false });
                }
                let counts = same_body(self.inner.store.intents.begin(&scope, once, new.clone()).await?)?;
                let is_replay = counts != new;
                (counts, is_replay)
            }
        };
        let each = stream::iter(entries.into_iter().zip(intent.0))
            .map(|(entry, intent)| self.fulfil_entry(caller, entry, intent, is_replay))
            .buffered(AT_ONCE);
        Ok(Made { record: each.collect().await, is_replay })
    }

    async fn create_entry(&self, caller: &Caller, entry: BatchEntry) -> Result<Task> {
        let (new, once) = entry?;
        Ok(self.create_task_within(caller, new, once.as_ref(), ENTRY).await?.record)
    }

    /// The values of each entry's Task; none for those that must be refused.
    async fn intents_of(&self, entries: &[BatchEntry]) -> Result<Vec<Option<TaskIntent>>> {
        let mut intents = Vec::with_capacity(entries.len());
        for entry in entries {
            let intent = match entry {
                Ok((new, _)) if check_data_size(new.data.as_ref()).is_ok() => match self.functions_for(new).await {
                    Ok(function) => Some(self.intent_of(new, &function)),
                    Err(error) if is_refusal(&error) => None,
                    Err(error) => return Err(error),
                },
                Ok(_) | Err(_) => None,
            };
            intents.push(intent);
        }
        Ok(intents)
    }

    /// Creates an entry with the values of the batch's intent, or returns its Task.
    async fn fulfil_entry(
        &self,
        caller: &Caller,
        entry: BatchEntry,
        intent: Option<TaskIntent>,
        is_replay: bool,
    ) -> Result<Task> {
        let Some(mut intent) = intent else { return self.refused_entry(entry).await };
        let (new, once) = entry?;
        check_without_key(&new)?;
        let mut may_exist = is_replay;
        if let Some(once) = once {
            // An earlier call may have created this entry under its own key.
            let scope = OnceScope::of(caller, ENTRY)?;
            let counts = same_body(self.inner.store.intents.begin(&scope, &once, intent).await?)?;
            may_exist |= counts != intent;
            intent = counts;
        }
        let function = self.functions_of(&new.function_name, new.options.on_complete.as_ref()).await;
        Ok(self.fulfil(caller, new, function, intent, may_exist).await?.record)
    }

    /// Why an entry was refused. It stays refused, even if the reason is gone when the call is repeated.
    async fn refused_entry(&self, entry: BatchEntry) -> Result<Task> {
        let (new, _) = entry?;
        check_data_size(new.data.as_ref())?;
        let function = self.functions_for(&new).await?;
        Err(match function.data_schema {
            Some(_) => Error::field_format("data", "did not fit the function's schema when the batch was sent first"),
            None => Error::unknown("function", new.function_name),
        })
    }
}

/// Whether an entry is refused for what it says, and not because something is out of order.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ResourceUnknown | ErrorKind::FieldFormat)
}

/// The scope of the keys of entries.
const ENTRY: &str = "entry of POST /tasklane/v1/tasks/batch";
