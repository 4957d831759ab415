//! Schedules: create, list, delete (contract §3).

use tasklane_dispatch::materialise;
use tasklane_model::{
    AffectedRecords, Caller, Error, ErrorKind, Json, Made, NewSchedule, ObjectId, Once, OnceScope, Page, Result,
    Schedule, Timestamp,
};
use tasklane_ports::Wakeup;
use tasklane_rql::Query;
use tracing::{info, warn};

use super::{
    Inner, Service,
    tasks::{check_data_size, same_body},
};

impl Service {
    /// A page of Schedules.
    pub async fn list_schedules(&self, caller: &Caller, query: &Query) -> Result<Page<Json>> {
        let _turn = self.turn_of(caller, query).await?;
        Ok(self.inner.store.schedules.list(query, self.inner.ports.clock.now()).await?)
    }

    /// Creates a Schedule, whose first occurrence is its `start_timestamp`; 16 when its Function does not exist.
    ///
    /// If the start lies in the past, the next occurrence is the first one that is due now or later: occurrences from
    /// before the Schedule existed are skipped.
    pub async fn create_schedule(&self, caller: &Caller, new: NewSchedule) -> Result<Schedule> {
        check_data_size(new.data.as_ref())?;
        self.functions_of(&new.function_name, new.on_complete.as_ref()).await?;
        let now = self.inner.ports.clock.now();
        let mut schedule = self.new_schedule(caller, new, now);
        self.inner.store.schedules.create(&schedule).await?;
        self.created(&mut schedule, now).await;
        Ok(schedule)
    }

    /// Creates a Schedule, or returns the one that an earlier call with the same idempotency key created; 16 when that
    /// was deleted. 1501 when that call had another body; the rest as for [`Service::create_schedule`].
    pub async fn create_schedule_once(
        &self,
        caller: &Caller,
        new: NewSchedule,
        once: Option<&Once>,
    ) -> Result<Made<Schedule>> {
        let Some(once) = once else {
            return Ok(Made { record: self.create_schedule(caller, new).await?, is_replay: false });
        };
        let scope = OnceScope::of(caller, "POST /tasks/v1/schedules")?;
        check_data_size(new.data.as_ref())?;
        let Inner { store, ports, .. } = &*self.inner;
        if let Err(error) = self.functions_of(&new.function_name, new.on_complete.as_ref()).await {
            // The Function may have been deleted after the Schedule was created.
            return match store.intents.find(&scope, once).await? {
                Some(found) => self.replayed_schedule(same_body(found)?).await,
                None => Err(error),
            };
        }
        let now = ports.clock.now();
        let mut schedule = self.new_schedule(caller, new, now);
        let id = same_body(store.schedules.create_once(&schedule, &scope, once).await?)?;
        if id != schedule.id {
            return self.replayed_schedule(id).await;
        }
        self.created(&mut schedule, now).await;
        Ok(Made { record: schedule, is_replay: false })
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

    fn new_schedule(&self, caller: &Caller, new: NewSchedule, now: Timestamp) -> Schedule {
        let start_timestamp = new.start_timestamp.unwrap_or(now);
        let mut schedule = Schedule {
            id: self.inner.ports.ids.next(now),
            interval: new.interval,
            function_name: new.function_name,
            data: new.data,
            priority: new.priority,
            start_timestamp,
            next_timestamp: start_timestamp,
            creation_timestamp: now,
            update_timestamp: now,
            created_by_user_id: caller.user_id().cloned(),
            created_by_application_id: caller.application_id().cloned(),
            on_complete: new.on_complete,
        };
        if start_timestamp < now {
            schedule.next_timestamp = schedule.occurrence_after(now);
        }
        schedule
    }

    async fn created(&self, schedule: &mut Schedule, now: Timestamp) {
        info!(schedule = %schedule.id, function = %schedule.function_name, next = %schedule.next_timestamp, "schedule created");
        self.begin_schedule(schedule, now).await;
    }

    /// Creates the Task of a first occurrence that is already due, because the next tick may be a minute away. The ticker
    /// handles all later occurrences, and this one if it fails here.
    async fn begin_schedule(&self, schedule: &mut Schedule, now: Timestamp) {
        if schedule.next_timestamp <= now {
            let Inner { store, ports, functions, .. } = &*self.inner;
            match materialise(store, ports, functions, schedule, now).await {
                Ok(created) => {
                    schedule.next_timestamp = schedule.occurrence_after(now);
                    if created {
                        self.wake(Wakeup::NOW).await;
                    }
                }
                Err(error) => warn!(schedule = %schedule.id, %error, "the first task is left to the ticker"),
            }
        }
        self.times_changed().await;
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
