//! The Schedules of a Function that `sync` keeps up to date: what differs, and how it is written.

use std::collections::BTreeMap;

use serde_json::json;
use tasklane_client::{Client, HowMany, Query, ScheduleBody};
use tasklane_model::{
    FunctionName, Json, ManagedBy, NewSchedule, ObjectId, RecurrenceFields, Schedule, ScheduleChange,
};
use tasklane_task_config::ConfiguredSchedule;

use super::plan::{Change, Kind};

/// What has to be done so that the service has the Schedules that a file describes.
#[derive(Debug, Default)]
pub(crate) struct SchedulePlan {
    pub(crate) changes: Vec<Change>,
    pub(crate) steps: Vec<Step>,
}

/// One call.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Create(ConfiguredSchedule),
    Update(ObjectId, ConfiguredSchedule),
    Delete(ObjectId),
}

impl SchedulePlan {
    /// Compares what a file describes with the Schedules of its Function. Those that sync did not make are left alone.
    pub(crate) fn new(wanted: &[ConfiguredSchedule], existing: &[Schedule]) -> Self {
        let mut plan = Self::default();
        let mut made = BTreeMap::new();
        for schedule in existing.iter().filter(|schedule| schedule.managed_by == Some(ManagedBy::Sync)) {
            let is_wanted = wanted.iter().any(|wanted| Some(&wanted.name) == schedule.name.as_ref());
            match &schedule.name {
                Some(name) if is_wanted && !made.contains_key(name) => {
                    made.insert(name.clone(), schedule);
                }
                // It is gone from the file; or it was made twice, because a response was lost.
                _ => {
                    let name = schedule.name.as_ref().map_or_else(|| schedule.id.to_string(), ToString::to_string);
                    plan.changes.push(change(&name, None, Kind::Removed));
                    plan.steps.push(Step::Delete(schedule.id));
                }
            }
        }
        for wanted in wanted {
            match made.get(&wanted.name) {
                None => {
                    plan.changes.push(change(wanted.name.as_str(), None, Kind::Added));
                    plan.steps.push(Step::Create(wanted.clone()));
                }
                Some(schedule) => {
                    let differences = differences(wanted, schedule);
                    if !differences.is_empty() {
                        plan.changes.extend(differences);
                        plan.steps.push(Step::Update(schedule.id, wanted.clone()));
                    }
                }
            }
        }
        plan
    }

    /// Makes the calls, in order.
    pub(super) async fn apply(self, client: &Client, function: &FunctionName) -> anyhow::Result<()> {
        for step in self.steps {
            match step {
                Step::Create(wanted) => {
                    let body = ScheduleBody {
                        function_name: Some(function.clone()),
                        managed_by: Some(ManagedBy::Sync),
                        data: wanted.data.clone(),
                        ..body(whole_change(wanted))
                    };
                    client.create_schedule(&body).await.map(|_| ())?;
                }
                Step::Update(id, wanted) => {
                    client.update_schedule(id, &body(whole_change(wanted))).await.map(|_| ())?
                }
                Step::Delete(id) => client.delete_schedule(id).await.map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// The Schedules of a Function.
pub(super) async fn existing(client: &Client, function: &FunctionName) -> anyhow::Result<Vec<Schedule>> {
    let listing = client.schedules(Query::new().eq("functionName", function), HowMany::All).await?;
    Ok(listing.parse()?.into_iter().map(|record| record.value).collect())
}

/// A new Schedule.
pub(crate) fn new_schedule(wanted: ConfiguredSchedule, function: FunctionName) -> NewSchedule {
    NewSchedule {
        name: Some(wanted.name),
        data: wanted.data,
        priority: wanted.priority,
        start_timestamp: wanted.start_timestamp,
        end_timestamp: wanted.end_timestamp,
        overlap: wanted.overlap,
        catch_up: wanted.catch_up,
        on_complete: wanted.on_complete,
        managed_by: Some(ManagedBy::Sync),
        ..NewSchedule::of(function, wanted.recurrence)
    }
}

/// Every field but the ones that belong to others: a paused Schedule stays paused, and one that has no start in the file
/// keeps the moment of its creation.
pub(crate) fn whole_change(wanted: ConfiguredSchedule) -> ScheduleChange {
    ScheduleChange {
        name: Some(Some(wanted.name)),
        recurrence: wanted.recurrence.into(),
        function_name: None,
        data: Some(wanted.data.unwrap_or_else(Json::null)),
        priority: Some(wanted.priority),
        start_timestamp: wanted.start_timestamp,
        end_timestamp: Some(wanted.end_timestamp),
        enabled: None,
        overlap: Some(wanted.overlap),
        catch_up: Some(wanted.catch_up),
        on_complete: Some(wanted.on_complete),
    }
}

fn body(change: ScheduleChange) -> ScheduleBody {
    ScheduleBody {
        name: change.name,
        interval: change.recurrence.interval,
        cron: change.recurrence.cron,
        timezone: change.recurrence.timezone,
        data: change.data,
        priority: change.priority,
        start_timestamp: change.start_timestamp,
        end_timestamp: change.end_timestamp,
        overlap: change.overlap,
        catch_up: change.catch_up,
        on_complete: change.on_complete,
        ..ScheduleBody::default()
    }
}

fn differences(wanted: &ConfiguredSchedule, current: &Schedule) -> Vec<Change> {
    let [now, then] =
        [&current.recurrence, &wanted.recurrence].map(|recurrence| RecurrenceFields::from(recurrence.clone()));
    let unless_null = |data: &Option<Json>| data.clone().filter(|data| data.as_str() != "null");
    let fields = [
        ("interval", json!(now.interval), json!(then.interval)),
        ("cron", json!(now.cron), json!(then.cron)),
        ("timezone", json!(now.timezone), json!(then.timezone)),
        ("data", json!(unless_null(&current.data)), json!(unless_null(&wanted.data))),
        ("priority", json!(current.priority), json!(wanted.priority)),
        ("onComplete", json!(current.on_complete), json!(wanted.on_complete)),
        ("overlap", json!(current.overlap.unwrap_or_default()), json!(wanted.overlap.unwrap_or_default())),
        ("catchUp", json!(current.catch_up.unwrap_or_default()), json!(wanted.catch_up.unwrap_or_default())),
        (
            "startTimestamp",
            json!(current.start_timestamp),
            json!(wanted.start_timestamp.unwrap_or(current.start_timestamp)),
        ),
        ("endTimestamp", json!(current.end_timestamp), json!(wanted.end_timestamp)),
    ];
    let changed = fields.into_iter().filter(|(_, from, to)| from != to);
    changed
        .map(|(field, from, to)| {
            let [from, to] = [from, to].map(|value| Some(value).filter(|value| !value.is_null()));
            let kind = match (&from, &to) {
                (None, _) => Kind::Added,
                (Some(_), None) => Kind::Removed,
                (Some(_), Some(_)) => Kind::Changed,
            };
            Change { from, to, ..change(wanted.name.as_str(), Some(field), kind) }
        })
        .collect()
}

fn change(schedule: &str, field: Option<&str>, change: Kind) -> Change {
    let field = field.map(|field| format!(".{field}")).unwrap_or_default();
    Change { field: format!("schedules.{schedule}{field}"), change, from: None, to: None }
}

#[cfg(test)]
mod tests {
    use tasklane_model::{CatchUp, Overlap, Recurrence, ScheduleName, Timestamp};

    use super::*;

    fn wanted(name: &str, cron: &str) -> ConfiguredSchedule {
        ConfiguredSchedule {
            name: ScheduleName::parse(name).unwrap(),
            recurrence: Recurrence::Cron(cron.parse().unwrap(), "UTC".parse().unwrap()),
            data: None,
            priority: None,
            overlap: None,
            catch_up: None,
            start_timestamp: None,
            end_timestamp: None,
            on_complete: None,
        }
    }

    fn made(name: &str, cron: &str, number: u64) -> Schedule {
        let schedule = json!({
            "id": ObjectId::new(Timestamp::EPOCH, number), "name": name, "cron": cron, "timezone": "UTC",
            "functionName": "hello", "startTimestamp": "2026-01-31T08:15:30.123Z", "managedBy": "sync",
            "creationTimestamp": "2026-01-31T08:15:30.123Z", "updateTimestamp": "2026-01-31T08:15:30.123Z",
        });
        serde_json::from_value(schedule).unwrap()
    }

    fn fields(plan: &SchedulePlan) -> Vec<(&str, Kind)> {
        plan.changes.iter().map(|change| (change.field.as_str(), change.change)).collect()
    }

    #[test]
    fn only_what_differs_is_written_and_only_what_sync_made_is_removed() {
        let by_hand = Schedule { managed_by: None, ..made("by hand", "@daily", 1) };
        let paused = Schedule { enabled: false, ..made("same", "@daily", 2) };
        let existing = [by_hand, paused, made("other", "@daily", 3), made("gone", "@daily", 4)];
        let plan = SchedulePlan::new(
            &[wanted("same", "@daily"), wanted("other", "@hourly"), wanted("new", "@daily")],
            &existing,
        );
        assert_eq!(
            fields(&plan),
            [
                ("schedules.gone", Kind::Removed),
                ("schedules.other.cron", Kind::Changed),
                ("schedules.new", Kind::Added)
            ]
        );
        let steps = [
            Step::Delete(existing[3].id),
            Step::Update(existing[2].id, wanted("other", "@hourly")),
            Step::Create(wanted("new", "@daily")),
        ];
        assert_eq!(plan.steps, steps);
        assert!(SchedulePlan::new(&[wanted("same", "@daily")], &existing[..2]).steps.is_empty());
    }

    #[test]
    fn a_schedule_that_was_made_twice_is_removed_once() {
        let plan = SchedulePlan::new(&[wanted("a", "@daily")], &[made("a", "@daily", 1), made("a", "@daily", 2)]);
        assert_eq!(plan.steps, [Step::Delete(made("a", "@daily", 2).id)]);
    }

    #[test]
    fn a_default_is_the_same_as_nothing() {
        let existing = Schedule {
            overlap: Some(Overlap::Allow),
            catch_up: None,
            data: Some(Json::null()),
            ..made("a", "@daily", 1)
        };
        let same = ConfiguredSchedule { catch_up: Some(CatchUp::Latest), ..wanted("a", "@daily") };
        assert!(SchedulePlan::new(&[same], std::slice::from_ref(&existing)).steps.is_empty());
        let other = ConfiguredSchedule { overlap: Some(Overlap::Skip), ..wanted("a", "@daily") };
        assert_eq!(fields(&SchedulePlan::new(&[other], &[existing])), [("schedules.a.overlap", Kind::Changed)]);
    }
}
