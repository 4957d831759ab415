//! Schedules: create, list, delete (contract §3).

use tasklane_dispatch::materialise;
use tasklane_model::{AffectedRecords, Caller, Error, Json, NewSchedule, ObjectId, Page, Result, Schedule, Timestamp};
use tasklane_ports::Wakeup;
use tasklane_rql::Query;
use tracing::{info, warn};

use super::{Inner, Service, tasks::check_data_size};

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
        if self.inner.functions.find(&new.function_name).await?.is_none() {
            return Err(Error::unknown("function", new.function_name));
        }
        let now = self.inner.ports.clock.now();
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
        };
        if start_timestamp < now {
            schedule.next_timestamp = schedule.occurrence_after(now);
        }
        self.inner.store.schedules.create(&schedule).await?;
        info!(schedule = %schedule.id, function = %schedule.function_name, next = %schedule.next_timestamp, "schedule created");
        self.begin_schedule(&mut schedule, now).await;
        Ok(schedule)
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
        self.schedules_changed().await;
    }

    /// Deletes a Schedule; the Tasks that it created stay. 16 when there is none.
    pub async fn delete_schedule(&self, id: ObjectId) -> Result<AffectedRecords> {
        if !self.inner.store.schedules.delete(id).await? {
            return Err(Error::unknown("schedule", id));
        }
        info!(schedule = %id, "schedule deleted");
        self.schedules_changed().await;
        Ok(AffectedRecords::ONE)
    }
}
