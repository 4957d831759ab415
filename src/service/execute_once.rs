//! Direct executions with an idempotency key (contract §11).
//!
//! As for Tasks, the intent comes first: the Task's id and its creation time. The call that adds the Task under
//! this id runs it; the other calls wait for its outcome and give the same answer. The result is kept for a day.

use tasklane_dispatch::{kept_result, read_result};
use tasklane_model::{Caller, Error, ErrorKind, Json, Made, ObjectId, Once, OnceScope, Permission, Result, TaskStatus};
use tasklane_ports::Keep;
use tasklane_store::TaskRecord;
use tracing::{Instrument, info_span};

use super::{
    Executed, Service,
    access::Known,
    execute::{failed_to_run, still_running},
    tasks::{TaskIntent, check_data_size, same_body},
};

impl Service {
    /// Runs a Function, or answers what an earlier call with the same idempotency key answered, as soon as it is known.
    /// 1501 when that call had another body; the rest as for [`Service::execute`].
    pub async fn execute_once(
        &self,
        caller: &Caller,
        function: &str,
        data: Option<Json>,
        once: Option<&Once>,
    ) -> Result<Made<Executed>> {
        let Some(once) = once else {
            return Ok(Made { record: self.execute(caller, function, data).await?, is_replay: false });
        };
        let scope = OnceScope::of(caller, format!("POST /tasks/v1/functions/{function}/execute"))?;
        self.runnable(caller, function, Permission::ExecuteTaskFunction, Known::Now).await?;
        check_data_size(data.as_ref())?;
        loop {
            let found = self.inner.store.intents.find::<TaskIntent>(&scope, once).await?;
            let begun = found.map(same_body).transpose()?;
            if let Some(intent) = begun
                && let Some(record) = self.inner.store.tasks.get(intent.id).await?
            {
                return self.outcome_of_first(record).await;
            }
            // Nobody has added the Task yet. A Function that was read now is never found to be another one while the
            // Task is being added, so the Task is never withdrawn.
            let Some(reserved) = self.reserve(caller, function, data.as_ref(), Known::Now).await? else { continue };
            let new = self.execution_intent(reserved.function());
            let intent = match begun {
                Some(intent) => intent,
                None => same_body(self.inner.store.intents.begin(&scope, once, new).await?)?,
            };
            let (this, id) = (self.clone(), intent.id);
            let task = intent.running_task(caller, reserved.function(), data.clone());
            let span = info_span!("run", task = %id, function = %reserved.function().name);
            let run = async move { this.run_reserved(reserved, task, Known::Now, Some(Keep::ADay)).await };
            let ran = self.answer_of(run.instrument(span), |patience| still_running(patience, id)).await;
            let is_replay = intent != new;
            match ran.map_err(|error| if is_replay { error.of_replay() } else { error })? {
                Some(record) => return Ok(Made { record, is_replay }),
                // Another call has added it.
                None => continue,
            }
        }
    }

    /// The values of the Task of an execution that begins now.
    fn execution_intent(&self, function: &tasklane_model::Function) -> TaskIntent {
        let now = self.inner.ports.clock.now();
        TaskIntent::of_execution(self.inner.ports.ids.next(now), now, function)
    }

    /// Waits for the outcome of another call's execution, and answers it as that call does.
    async fn outcome_of_first(&self, record: TaskRecord) -> Result<Made<Executed>> {
        let id = record.task.id;
        let patience = self.inner.settings.answer_within;
        let record = self.when_final(record, patience).await?;
        let task = record.task.clone();
        let error = match (task.status, &task.error) {
            (TaskStatus::Complete, _) => match self.result_of(&record).await? {
                Some(result) => return Ok(Made { record: Executed { task, result }, is_replay: true }),
                None => no_result(id),
            },
            (_, Some(error)) => failed_to_run(error, id),
            (TaskStatus::New | TaskStatus::InProgress, None) => still_running(patience.unwrap_or_default(), id),
            (TaskStatus::Failed | TaskStatus::Retried | TaskStatus::Canceled, None) => no_result(id),
        };
        Err(error.of_replay())
    }

    /// The result of a complete Task, if it was kept.
    async fn result_of(&self, record: &TaskRecord) -> Result<Option<Json>> {
        match kept_result(&self.inner.store, record).await.map_err(Error::internal)? {
            Some(kept) => read_result(&self.inner.ports, kept).await.map_err(Error::internal),
            None => Ok(None),
        }
    }
}

fn no_result(task: ObjectId) -> Error {
    let text = "The function ran for an earlier call with this idempotency key, but its result could not be kept.";
    Error::new(ErrorKind::LambdaInvocation, text).with("taskId", serde_json::Value::String(task.to_string()))
}
