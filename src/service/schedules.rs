//! Schedules: create, list, change, run, delete (contract §3, §15).

use tasklane_dispatch::{materialise, task_of_now, wake_for_occurrences};
use tasklane_model::{
    AffectedRecords, Caller, Error, ErrorKind, FunctionName, Json, Made, NewSchedule, ObjectId, Once, OnceScope, Page,
    Result, Schedule, ScheduleChange, Task, TaskOrigin, Timestamp,
};
use tasklane_ports::Wakeup;
use tasklane_rql::{Query, Schema};
use tasklane_store::ScheduleRecord;
use tracing::{info, warn};

use super::{
    Inner, Service,
    tasks::{check_data_size, same_body},
};

/// How often a change is tried again when an occurrence or another caller changes the Schedule at the same time.
const TRIES: usize = 10;

/// The endpoint that creates a Schedule: the same idempotency key means another call at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleEndpoint {
    /// As upstream.
    Upstream,
    /// With cron expressions.
    Own,
}

impl ScheduleEndpoint {
    fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "POST /tasks/v1/schedules",
            Self::Own => "POST /tasklane/v1/schedules",
        }
    }
}

impl Service {
    /// A page of Schedules.
    pub async fn list_schedules(&self, caller: &Caller, query: &Query) -> Result<Page<Json>> {
        let _turn = self.turn_of(caller, query).await?;
        Ok(self.inner.store.schedules.list(query, self.inner.ports.clock.now()).await?)
    }

    /// All Schedules of a Function, oldest first.
    pub async fn schedules_of(&self, function: &FunctionName) -> Result<Vec<Schedule>> {
        const AT_ONCE: usize = 50;
        let mut schedules = Vec::new();
        loop {
            let rql = format!("functionName={function}&sort(id)&limit({AT_ONCE},{})", schedules.len());
            let query = Query::parse(&rql, &Schema::SCHEDULES)?;
            let page = self.inner.store.schedules.list(&query, self.inner.ports.clock.now()).await?;
            let is_last = page.data.len() < AT_ONCE;
            for record in page.data {
                schedules.push(serde_json::from_str(record.as_str()).map_err(Error::internal)?);
            }
            if is_last {
                return Ok(schedules);
            }
        }
    }

    /// Creates a Schedule, whose first occurrence is its `start_timestamp`; 16 when its Function does not exist.
    ///
    /// If the start lies in the past, the next occurrence is the first one that is due now or later: occurrences from
    /// before the Schedule existed are skipped.
    /// 15 when its expression never fires in its time zone, 26 when it has no occurrence up to its end.
    pub async fn create_schedule(&self, caller: &Caller, new: NewSchedule) -> Result<Schedule> {
        check_data_size(new.data.as_ref())?;
        self.functions_for_schedule(&new).await?;
        let schedule = self.new_schedule(caller, new)?;
        self.inner.store.schedules.create(&schedule).await?;
        Ok(self.created(schedule).await)
    }

    /// A Schedule; 16 when there is none.
    pub async fn get_schedule(&self, id: ObjectId) -> Result<Schedule> {
        Ok(self.schedule_record(id).await?.schedule)
    }

    async fn schedule_record(&self, id: ObjectId) -> Result<ScheduleRecord> {
        self.inner.store.schedules.record(id).await?.ok_or_else(|| Error::unknown("schedule", id))
    }

    /// Creates a Schedule, or returns the one that an earlier call of this endpoint with the same idempotency key created; 16 when that
    /// was deleted. 1501 when that call had another body; the rest as for [`Service::create_schedule`].
    pub async fn create_schedule_once(
        &self,
        caller: &Caller,
        new: NewSchedule,
        once: Option<&Once>,
        endpoint: ScheduleEndpoint,
    ) -> Result<Made<Schedule>> {
        let Some(once) = once else {
            return Ok(Made { record: self.create_schedule(caller, new).await?, is_replay: false });
        };
        let scope = OnceScope::of(caller, endpoint.as_str())?;
        check_data_size(new.data.as_ref())?;
        let store = &self.inner.store;
        if let Err(error) = self.functions_for_schedule(&new).await {
            // The Function may have been deleted, or have another schema, since the Schedule was created.
            return match store.intents.find(&scope, once).await? {
                Some(found) => self.replayed_schedule(same_body(found)?).await,
                None => Err(error),
            };
        }
        let schedule = self.new_schedule(caller, new)?;
        let id = same_body(store.schedules.create_once(&schedule, &scope, once).await?)?;
        if id != schedule.id {
            return self.replayed_schedule(id).await;
        }
        Ok(Made { record: self.created(schedule).await, is_replay: false })
    }

    /// Checks that the Functions of a new Schedule exist, and that its Function takes the data.
    async fn functions_for_schedule(&self, new: &NewSchedule) -> Result<()> {
        let function = self.functions_of(&new.function_name, new.on_complete.as_ref()).await?;
        self.check_data(&function, new.data.as_ref())
    }

    async fn replayed_schedule(&self, id: ObjectId) -> Result<Made<Schedule>> {
        match self.inner.store.schedules.get(id).await? {
            Some(record) => Ok(Made { record, is_replay: true }),
            None => Err(Error::new(
                ErrorKind::ResourceUnknown,
                format!("The schedule '{id}', which was created with this idempotency key, has been deleted."),
            )),
        }
    }

    fn new_schedule(&self, caller: &Caller, new: NewSchedule) -> Result<Schedule> {
        let now = self.inner.ports.clock.now();
        let start_timestamp = new.start_timestamp.unwrap_or(now);
        let mut schedule = Schedule {
            id: self.inner.ports.ids.next(now),
            name: new.name,
            recurrence: new.recurrence,
            function_name: new.function_name,
            data: new.data,
            priority: new.priority,
            start_timestamp,
            end_timestamp: new.end_timestamp,
            next_timestamp: None,
            enabled: new.enabled,
            overlap: new.overlap,
            catch_up: new.catch_up,
            creation_timestamp: now,
            update_timestamp: now,
            created_by_user_id: caller.user_id().cloned(),
            created_by_application_id: caller.application_id().cloned(),
            on_complete: new.on_complete,
            managed_by: new.managed_by,
        };
        schedule.check_occurs(now)?;
        schedule.next_timestamp = schedule.occurrence_from(now).filter(|_| schedule.enabled);
        Ok(schedule)
    }

    /// The Schedule after the beginning of its work.
    async fn created(&self, schedule: Schedule) -> Schedule {
        let next = schedule.next_timestamp.map(tracing::field::display);
        info!(schedule = %schedule.id, function = %schedule.function_name, next, "schedule created");
        self.begin_schedule(schedule).await
    }

    /// Creates the Task of an occurrence that is already due, and wakes dispatchers for those to come, because the next tick
    /// may be a minute away. The ticker handles all others, and these if they fail here.
    async fn begin_schedule(&self, schedule: Schedule) -> Schedule {
        let Inner { store, ports, functions, .. } = &*self.inner;
        let mut begun = schedule;
        if begun.next_timestamp.is_some_and(|next| next <= ports.clock.now()) {
            let materialised = async {
                let Some(record) = store.schedules.record(begun.id).await? else { return Ok(None) };
                let created = materialise(store, ports, functions, record).await?;
                Ok(store.schedules.get(begun.id).await?.map(|schedule| (schedule, created)))
            };
            match materialised.await {
                Ok(Some((schedule, created))) => {
                    begun.next_timestamp = schedule.next_timestamp;
                    if created > 0 {
                        self.wake(Wakeup::NOW).await;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    let error: tasklane_store::StoreError = error;
                    warn!(schedule = %begun.id, %error, "the first task is left to the ticker");
                }
            }
        }
        wake_for_occurrences(ports, &begun).await;
        self.times_changed().await;
        begun
    }

    /// Changes a Schedule; 16 when there is none. What was due before the change is handled as it was before.
    pub async fn update_schedule(&self, id: ObjectId, change: ScheduleChange) -> Result<AffectedRecords> {
        check_data_size(change.data.as_ref())?;
        let Inner { store, ports, functions, .. } = &*self.inner;
        for _ in 0..TRIES {
            let mut record = self.schedule_record(id).await?;
            if change.enabled != Some(false) && record.look.is_some_and(|look| look <= ports.clock.now()) {
                if materialise(store, ports, functions, record).await? > 0 {
                    self.wake(Wakeup::NOW).await;
                }
                record = self.schedule_record(id).await?;
            }
            let now = ports.clock.now();
            let changed = self.changed_schedule(&record, change.clone(), now).await?;
            if store.schedules.replace(&record, &changed, now).await? {
                info!(schedule = %id, enabled = changed.enabled, "schedule changed");
                self.begin_schedule(changed).await;
                return Ok(AffectedRecords::ONE);
            }
        }
        Err(Error::conflicting_update())
    }

    /// The changed Schedule. If its occurrences change, or it is resumed, the next one is the first from now on.
    async fn changed_schedule(
        &self,
        record: &ScheduleRecord,
        change: ScheduleChange,
        now: Timestamp,
    ) -> Result<Schedule> {
        let before = &record.schedule;
        let mut changed = change.apply_to(before)?;
        if (&changed.function_name, &changed.on_complete) != (&before.function_name, &before.on_complete) {
            self.functions_of(&changed.function_name, changed.on_complete.as_ref()).await?;
        }
        if (&changed.function_name, &changed.data) != (&before.function_name, &before.data)
            && let Some(function) = self.inner.functions.find(&changed.function_name).await?
        {
            self.check_data(&function, changed.data.as_ref())?;
        }
        let recurs_as_before = changed.recurs_like(before);
        if !recurs_as_before {
            changed.check_occurs(now)?;
        }
        if !(recurs_as_before && changed.enabled && before.enabled) {
            // What was due at its last change is decided. If the clock was set back since, that may lie ahead.
            let next = match before.update_timestamp >= now {
                true => changed.occurrence_after(before.update_timestamp),
                false => changed.occurrence_from(now),
            };
            changed.next_timestamp = next.filter(|_| changed.enabled);
        }
        changed.update_timestamp = now.max(before.update_timestamp);
        Ok(changed)
    }

    /// Pauses a Schedule, or lets it go on, from the next occurrence on; 16 when there is none.
    pub async fn enable_schedule(&self, id: ObjectId, enabled: bool) -> Result<AffectedRecords> {
        self.update_schedule(id, ScheduleChange::enabled(enabled)).await
    }

    /// Creates a Task of the Schedule that is due now, whatever its occurrences, its overlap and whether it is paused say. 16
    /// when there is none, or its Function is gone; 15 when its data does not fit the Function's schema any more.
    pub async fn run_schedule(&self, caller: &Caller, id: ObjectId) -> Result<Task> {
        let schedule = self.get_schedule(id).await?;
        let function = self.functions_of(&schedule.function_name, schedule.on_complete.as_ref()).await?;
        self.check_data(&function, schedule.data.as_ref())?;
        let task = task_of_now(&self.inner.ports, &function, &schedule);
        self.add_task(Task { origin: TaskOrigin::from(caller), ..task }, &function).await
    }

    /// The next occurrences of a Schedule as if it were not paused, at most `count`; 16 when there is none.
    pub async fn next_occurrences(&self, id: ObjectId, count: usize) -> Result<Vec<Timestamp>> {
        let schedule = self.get_schedule(id).await?;
        let now = self.inner.ports.clock.now();
        Ok(schedule.occurrences_after(now.max(schedule.update_timestamp)).take(count).collect())
    }

    /// Deletes a Schedule; the Tasks that it created stay. 16 when there is none.
    pub async fn delete_schedule(&self, id: ObjectId) -> Result<AffectedRecords> {
        if !self.inner.store.schedules.delete(id).await? {
            return Err(Error::unknown("schedule", id));
        }
        info!(schedule = %id, "schedule deleted");
        self.times_changed().await;
        Ok(AffectedRecords::ONE)
    }
}
