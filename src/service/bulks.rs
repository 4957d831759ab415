//! Bulk operations: one action on many Tasks (contract §17).

use std::time::Duration;

use tasklane_model::{
    AffectedRecords, Bulk, BulkAction, BulkCreated, BulkOrder, BulkSelection, Caller, Error, ErrorKind, Json, NewBulk,
    ObjectId, Page, PerSecond, Permission, Result, TaskOrigin, Timestamp, bulk::MAX_IDS,
};
use tasklane_ports::Wakeup;
use tasklane_rql::{Filter, Query, Schema};
use tasklane_store::{BulkSpec, bulks::MOST_RUNNING};
use tracing::info;

use super::{Service, tasks::check_data_size};

/// How long the Tasks are counted.
const COUNTING: Duration = Duration::from_secs(2);
/// How many are counted with one look.
const COUNTED_AT_ONCE: u64 = 1000;

/// Which past occurrences of a Schedule get Tasks, and how.
#[derive(Clone, Debug)]
pub struct Backfill {
    /// The first moment.
    pub from: Timestamp,
    /// The last moment.
    pub to: Timestamp,
    /// Whether the occurrences are only counted.
    pub dry_run: bool,
    /// How many Tasks to create in a second, at most.
    pub per_second: Option<PerSecond>,
    /// Why, in the caller's words: at most 256 characters.
    pub reason: Option<String>,
}

impl Service {
    /// Creates a bulk operation, or only counts its Tasks. 6 without the permission that its action needs for one Task; 19
    /// when the RQL is wrong, or has more than conditions; 26 when it has none; 1505 when too many operations are running.
    pub async fn create_bulk(&self, caller: &Caller, new: NewBulk) -> Result<BulkCreated> {
        may_act(caller, new.order.action())?;
        if let BulkOrder::Replay { data, .. } = &new.order {
            check_data_size(data.as_ref())?;
        }
        let new = NewBulk { selection: checked(new.selection)?, ..new };
        let now = self.inner.ports.clock.now();
        let id = self.inner.ports.ids.next(now);
        let counted = self.count(caller, &new.selection, id).await?;
        if new.dry_run {
            return Ok(counted);
        }
        self.begin_bulk(caller, new, BulkCreated { id: Some(id), ..counted }, id).await
    }

    async fn begin_bulk(
        &self,
        caller: &Caller,
        new: NewBulk,
        created: BulkCreated,
        id: ObjectId,
    ) -> Result<BulkCreated> {
        let bulk = Bulk::new(id, &new, created, TaskOrigin::from(caller), id.time());
        let action = bulk.action;
        let spec = BulkSpec { order: new.order, selection: new.selection };
        if !self.inner.store.bulks.create(&bulk, &spec).await? {
            let message = format!(
                "{MOST_RUNNING} bulk operations are running already. Wait until one is complete, or stop one of them."
            );
            return Err(Error::new(ErrorKind::TooManyRequests, message));
        }
        info!(operation = %id, %action, matches = created.matches, "bulk operation created");
        self.wake(Wakeup::NOW).await;
        Ok(created)
    }

    /// Creates the Tasks of a Schedule's past occurrences, or only counts them. They start at once.
    ///
    /// The occurrences are those from `from` to `to`, both included, that would have been if the Schedule had always existed.
    /// What is not due yet, or is still to come from the Schedule itself, is none of them. 16 when there is no such Schedule; 15
    /// when they are more than 1,000; 26 when `to` is before `from`; 1505 when too many operations are running.
    pub async fn backfill_schedule(&self, caller: &Caller, id: ObjectId, backfill: Backfill) -> Result<BulkCreated> {
        may_act(caller, BulkAction::Backfill)?;
        let Backfill { from, to, dry_run, per_second, reason } = backfill;
        if to < from {
            return Err(Error::new(ErrorKind::IllegalArgument, "'to' must not be before 'from'."));
        }
        let schedule = self.get_schedule(id).await?;
        let now = self.inner.ports.clock.now();
        let occurrences: Vec<_> = schedule
            .occurrences_ever_from(from.max(Timestamp::EPOCH))
            .take_while(|at| *at <= to.min(now) && schedule.next_timestamp.is_none_or(|next| *at < next))
            .map(ObjectId::first_at)
            .take(MAX_IDS + 1)
            .collect();
        if occurrences.len() > MAX_IDS {
            let rule = format!("must be earlier: there are more than {MAX_IDS} occurrences since 'from'");
            return Err(Error::field_format("to", rule));
        }
        let operation = self.inner.ports.ids.next(now);
        let created = BulkCreated { id: None, matches: occurrences.len() as u64, matches_is_exact: true };
        if dry_run {
            return Ok(created);
        }
        let order = BulkOrder::Backfill { schedule: id };
        let new = NewBulk { order, selection: BulkSelection::Ids(occurrences), per_second, reason, dry_run };
        self.begin_bulk(caller, new, BulkCreated { id: Some(operation), ..created }, operation).await
    }

    /// A bulk operation; 16 when there is none.
    pub async fn bulk(&self, id: ObjectId) -> Result<Bulk> {
        self.inner.store.bulks.get(id).await?.ok_or_else(|| Error::unknown("bulk operation", id))
    }

    /// A page of bulk operations.
    pub async fn list_bulks(&self, caller: &Caller, query: &Query) -> Result<Page<Json>> {
        let _turn = self.turn_of(caller, query).await?;
        Ok(self.inner.store.bulks.list(query, self.inner.ports.clock.now()).await?)
    }

    /// Stops a bulk operation. 16 when there is none, 6 without the permission that its creation needs; no record is
    /// affected when it has ended.
    pub async fn stop_bulk(&self, caller: &Caller, id: ObjectId) -> Result<AffectedRecords> {
        may_act(caller, self.bulk(id).await?.action)?;
        match self.inner.store.bulks.stop(id).await? {
            Some(true) => {
                info!(operation = %id, "bulk operation stopped");
                // A worker finishes the slice that has begun.
                self.wake(Wakeup::NOW).await;
                Ok(AffectedRecords::ONE)
            }
            Some(false) => Ok(AffectedRecords { affected_records: 0 }),
            None => Err(Error::unknown("bulk operation", id)),
        }
    }

    async fn count(&self, caller: &Caller, selection: &BulkSelection, id: ObjectId) -> Result<BulkCreated> {
        let counted = |matches, matches_is_exact| BulkCreated { id: None, matches, matches_is_exact };
        let rql = match selection {
            BulkSelection::Ids(ids) => return Ok(counted(ids.len() as u64, true)),
            BulkSelection::Rql(rql) => rql,
        };
        let query = Query::parse(rql, &Schema::TASKS)?;
        let _turn = self.turn_of(caller, &query).await?;
        let Some(filter) = query.filter else { return Err(no_filter()) };
        let clock = &self.inner.ports.clock;
        let until = clock.now().saturating_add(COUNTING);
        let (mut matches, mut after) = (0, None);
        loop {
            let left = until.since(clock.now());
            if left.is_zero() {
                return Ok(counted(matches, false));
            }
            let bounds = (after, Some(id));
            let found = match self.inner.store.tasks.matching(&filter, bounds, COUNTED_AT_ONCE, left).await {
                Ok(found) => found,
                // There was no time for a single Task.
                Err(tasklane_store::StoreError::QueryBudget { .. }) => return Ok(counted(matches, false)),
                Err(error) => return Err(error.into()),
            };
            matches += found.ids.len() as u64;
            match found.next {
                Some(next) => after = Some(next),
                None => return Ok(counted(matches, true)),
            }
        }
    }
}

/// A caller needs the same permission for many Tasks as for one.
fn may_act(caller: &Caller, action: BulkAction) -> Result<()> {
    let needed = match action {
        BulkAction::Replay => Permission::CreateTasks,
        BulkAction::Backfill => Permission::CreateTaskSchedule,
        BulkAction::Cancel | BulkAction::RetryNow | BulkAction::Reschedule | BulkAction::SetPriority => {
            Permission::CancelTasks
        }
    };
    match caller.identity() {
        None => Err(caller.refusal()),
        Some(identity) if identity.permissions.hold(needed) => Ok(()),
        Some(_) => Err(Error::no_permission(needed)),
    }
}

/// The selection, with ids in order and each once.
fn checked(selection: BulkSelection) -> Result<BulkSelection> {
    match selection {
        BulkSelection::Ids(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            if (1..=MAX_IDS).contains(&ids.len()) {
                Ok(BulkSelection::Ids(ids))
            } else {
                Err(Error::field_format("ids", format!("must be a list of 1 to {MAX_IDS} ids")))
            }
        }
        BulkSelection::Rql(rql) => {
            let rql = rql.strip_prefix('?').map_or_else(|| rql.clone(), str::to_owned);
            let query = Query::parse(&rql, &Schema::TASKS)?;
            if !query.is_filter_only() {
                let message = "A bulk operation handles all Tasks that match: leave out limit(…), sort(…), select(…) and skipCount().";
                return Err(Error::new(ErrorKind::InvalidRql, message));
            }
            if query.filter.as_ref().is_none_or(is_empty) {
                return Err(no_filter());
            }
            Ok(BulkSelection::Rql(rql))
        }
    }
}

fn is_empty(filter: &Filter) -> bool {
    filter.fields().is_empty()
}

fn no_filter() -> Error {
    let message = "A bulk operation needs a condition, so that it does not meet every Task by mistake: give 'rql' with at least one.";
    Error::new(ErrorKind::IllegalArgument, message)
}
