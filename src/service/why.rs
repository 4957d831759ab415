//! Why a Task waits, or what became of it (contract §16).

use tasklane_model::{
    ConcurrencyLimit, Error, FlowConcurrency, Full, Function, Lane, ObjectId, Reason, Result, Task, TaskErrorKind,
    TaskStatus, Why,
    task::{EXPIRED_ERROR_NAME, ZOMBIE_ERROR_NAME},
    why::MOST_AHEAD,
};
use tasklane_store::{GateId, QueueLane, ReadGate, ReadyKey, SlotScope, TaskRecord};

use super::Service;

impl Service {
    /// Why a Task is in its status; 16 when there is none. The answer was true at some moment of this call: meanwhile the
    /// Task may have moved on.
    pub async fn why(&self, id: ObjectId) -> Result<Why> {
        let record = self.inner.store.tasks.get(id).await?.ok_or_else(|| Error::unknown("task", id))?;
        let status = record.task.status;
        let reason = match status {
            TaskStatus::New => self.why_new(&record).await?,
            TaskStatus::InProgress => match &record.run {
                Some(run) => Reason::Running { since: run.started, until: run.lease_expires },
                None => return Err(Error::internal("a task in progress has no run")),
            },
            TaskStatus::Complete => Reason::Completed {},
            TaskStatus::Failed => why_failed(&record.task),
            TaskStatus::Retried => match record.task.retried_by_task_id {
                Some(by) => Reason::Retried { by },
                None => return Err(Error::internal("a retried task does not name its retry")),
            },
            TaskStatus::Canceled => Reason::Canceled {},
        };
        Ok(Why::new(status, reason))
    }

    async fn why_new(&self, record: &TaskRecord) -> Result<Reason> {
        let TaskRecord { task, queue, .. } = record;
        let now = self.inner.ports.clock.now();
        if task.start_timestamp > now {
            let at = task.start_timestamp;
            return Ok(if task.options.debounce.is_some() {
                Reason::Debounce { until: at }
            } else {
                Reason::NotDue { at }
            });
        }
        let Some(function) = self.inner.functions.read(&task.function_name).await? else {
            return Ok(Reason::FunctionMissing {});
        };
        if !function.enabled {
            return Ok(Reason::FunctionDisabled {});
        }
        if let Some(limit) = function.execution_options.concurrency_limit.map(ConcurrencyLimit::get) {
            let running = self.inner.slots.held(&SlotScope::Function(function.name.clone())).await?;
            if running >= limit {
                let ahead = self.ahead_of(task, &[lane_of(*queue, &function)]).await?;
                return Ok(Reason::FunctionLimit(Full { running, limit, ahead }));
            }
        }
        if let Some(reason) = self.why_held(record, &function).await? {
            return Ok(reason);
        }
        let ahead = self.ahead_of(task, &self.lanes_that_run().await?).await?;
        let (running, limit) = (self.inner.slots.held(&SlotScope::Tasks).await?, self.inner.slots.limits().tasks);
        if running >= limit {
            return Ok(Reason::Slots(Full { running, limit, ahead }));
        }
        // Whatever made it able to run: it became due, was created, or its Function was changed.
        let able_since = task.start_timestamp.max(task.creation_timestamp).max(function.update_timestamp);
        if now.since(able_since) > self.inner.settings.starts_within {
            let last_seen = self.inner.store.tasks.last_claim().await?;
            if last_seen.is_none_or(|seen| now.since(seen) > self.inner.settings.starts_within) {
                return Ok(Reason::NoDispatcher { last_seen });
            }
        }
        Ok(Reason::Next { ahead })
    }

    /// Why a Task is behind the gate of its flow key; `None` if it is not.
    async fn why_held(&self, record: &TaskRecord, function: &Function) -> Result<Option<Reason>> {
        let (true, Some(key), Some(flow)) = (record.is_held, &record.flow, &function.flow) else { return Ok(None) };
        let (task, id) = (&record.task, GateId::of(key));
        let Some(ReadGate { gate, .. }) = self.inner.store.gates.get(&function.name, &id).await? else {
            return Ok(None);
        };
        if let Some(until) = gate.opens(flow, self.inner.ports.clock.now()) {
            return Ok(Some(Reason::Rate { key: key.clone(), until }));
        }
        let position = ReadyKey::new(task.priority, task.start_timestamp, task.id);
        let held = self.inner.store.tasks.count_held_before(&function.name, &id, &position, MOST_AHEAD).await?;
        let ahead = (gate.admitted.len() as u64 + held).min(MOST_AHEAD);
        let running = (gate.running.len() + gate.admitted.len()) as u64;
        Ok(Some(match flow.concurrent.map(FlowConcurrency::get) {
            Some(limit) if running >= u64::from(limit) => Reason::FlowKey { key: key.clone(), running, limit, ahead },
            Some(_) | None => Reason::Next { ahead },
        }))
    }

    async fn ahead_of(&self, task: &Task, lanes: &[QueueLane]) -> Result<u64> {
        let key = ReadyKey::new(task.priority, task.start_timestamp, task.id);
        Ok(self.inner.store.tasks.ahead_of(&key, lanes, MOST_AHEAD).await?)
    }

    /// The lanes of due Tasks, without those of disabled Functions, whose Tasks come before nobody's.
    async fn lanes_that_run(&self) -> Result<Vec<QueueLane>> {
        let mut lanes = self.inner.functions.lanes().await?;
        if lanes.len() > 1 {
            let functions = self.inner.store.functions.list().await?;
            let disabled: Vec<_> =
                functions.into_iter().filter(|function| !function.enabled).map(|function| function.name).collect();
            lanes.retain(|lane| match lane {
                QueueLane::Shared => true,
                QueueLane::Own(name) => !disabled.contains(name),
            });
        }
        Ok(lanes)
    }
}

/// A Task that was queued before its Function got a lane of its own is moved there when its turn comes.
fn lane_of(queue: Lane, function: &Function) -> QueueLane {
    match (queue, function.lane) {
        (Lane::Shared, Lane::Shared) => QueueLane::Shared,
        (Lane::Own, _) | (_, Lane::Own) => QueueLane::Own(function.name.clone()),
    }
}

fn why_failed(task: &Task) -> Reason {
    match &task.error {
        Some(error) if error.name == ZOMBIE_ERROR_NAME => Reason::Zombie {},
        Some(error) if error.kind == TaskErrorKind::Invocation && error.name == EXPIRED_ERROR_NAME => {
            Reason::Expired {}
        }
        Some(_) | None => Reason::Failed {},
    }
}
