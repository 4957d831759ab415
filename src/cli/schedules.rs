//! `tasklane schedules`: create, get, list, update, pause, resume, run, next, backfill, delete.

use clap::Subcommand;
use tasklane_client::{BackfillBody, Query, Record, ScheduleBody};
use tasklane_model::{FunctionName, IdempotencyKey, PerSecond, Recurrence, Schedule};
use tasklane_ports::{Clock as _, SystemClock};

use super::{
    Outcome, Verdict,
    functions::{self, HowManyArgs},
    input::{When, idempotency_key, in_largest_unit},
    schedule_arg::ScheduleArg,
    schedule_fields::{self, Fields},
    session::{Remote, Session, indented_json},
    table::{Layout, cell, optional},
    task_bulk,
};

/// Create Tasks at fixed intervals, or when a clock shows certain times.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Create(Remote<CreateArgs>),
    Get(Remote<OneArgs>),
    List(Remote<ListArgs>),
    Update(Remote<UpdateArgs>),
    /// Pause a Schedule. What comes due meanwhile is not made up for
    #[command(after_help = "\
Example:
  tasklane schedules pause nightly")]
    Pause(Remote<IdArgs>),
    /// Let a paused Schedule go on, from its next time on
    #[command(after_help = "\
Example:
  tasklane schedules resume nightly")]
    Resume(Remote<IdArgs>),
    /// Create a Task of a Schedule now, even if it is paused. Prints the Task's id
    #[command(after_help = "\
Example:
  tasklane schedules run nightly")]
    Run(Remote<IdArgs>),
    Next(Remote<NextArgs>),
    Backfill(Remote<BackfillArgs>),
    Delete(Remote<DeleteArgs>),
}

/// Create a Schedule. Prints its id.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Every five minutes, from now on:
    tasklane schedules create hello-js --interval 5m --data '{\"name\":\"Ada\"}'
  At midnight in Berlin, and not while the last one still runs:
    tasklane schedules create hello-js --cron @daily --timezone Europe/Berlin --overlap skip")]
#[command(group(clap::ArgGroup::new("times").required(true).args(["interval", "cron"])))]
pub(super) struct CreateArgs {
    /// The Function to run
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,

    #[command(flatten)]
    fields: Fields,

    /// Create it paused
    #[arg(long)]
    paused: bool,

    /// A name for this call, such as order-4711: the same call with the same name has an effect only once within 24 hours
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    idempotency_key: Option<IdempotencyKey>,
}

/// Show a Schedule.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane schedules get nightly --json")]
pub(super) struct OneArgs {
    #[command(flatten)]
    schedule: ScheduleArg,
}

/// List Schedules.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane schedules list --function hello-js")]
pub(super) struct ListArgs {
    /// Only Schedules of this Function
    #[arg(long, value_name = "NAME", value_parser = functions::name)]
    function: Option<FunctionName>,

    /// Only Schedules that match this RQL, e.g. 'lt(interval,3600)'
    #[arg(long, value_name = "RQL")]
    rql: Option<String>,

    #[command(flatten)]
    how_many: HowManyArgs,
}

/// Change a Schedule. What is not named stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane schedules update nightly --cron @hourly --unset end")]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    schedule: ScheduleArg,

    /// Another Function to run
    #[arg(long, value_name = "FUNCTION", value_parser = functions::name)]
    function: Option<FunctionName>,

    #[command(flatten)]
    fields: Fields,

    /// Remove an option; may be given more than once
    #[arg(long, value_name = "OPTION")]
    unset: Vec<schedule_fields::Optional>,
}

// No doc comment: clap would show it instead of the subcommand's own.
#[derive(Debug, clap::Args)]
pub(super) struct IdArgs {
    #[command(flatten)]
    schedule: ScheduleArg,
}

/// Show the next times at which a Schedule is due.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane schedules next nightly --count 3")]
pub(super) struct NextArgs {
    #[command(flatten)]
    schedule: ScheduleArg,

    /// How many to show, at most
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u8).range(1..=100))]
    count: u8,
}

/// Create the Tasks of past times at which a Schedule was due, or would have been. They start at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all Tasks were created; 1 the operation was stopped; 2 it could not be done.

Examples:
  How many would there be?
    tasklane schedules backfill nightly --from 2026-01-01T00:00:00Z --to 2026-01-31T00:00:00Z --dry-run
  What a bad night has left out, slowly:
    tasklane schedules backfill nightly --from 2026-01-30T22:00:00Z --per-second 2 --reason outage")]
pub(super) struct BackfillArgs {
    #[command(flatten)]
    schedule: ScheduleArg,

    /// The first moment: 2026-01-31T08:15:30Z
    #[arg(long, value_name = "WHEN")]
    from: When,

    /// The last moment; at most 1000 times may lie between the two [default: now]
    #[arg(long, value_name = "WHEN")]
    to: Option<When>,

    /// Only count the times
    #[arg(long)]
    dry_run: bool,

    /// Create at most this many Tasks in a second [default: as many as possible]
    #[arg(long, value_name = "N", value_parser = task_bulk::per_second)]
    per_second: Option<PerSecond>,

    /// Why, for those who read it later in `tasklane bulk list`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Print the operation's id at once, and see how far it is with `tasklane bulk get`
    #[arg(long)]
    no_wait: bool,
}

/// Delete a Schedule. The Tasks that it created stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane schedules delete nightly")]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    schedule: ScheduleArg,
}

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Create(remote) => remote.run(create).await,
            Self::Get(remote) => remote.run(get).await,
            Self::List(remote) => remote.run(list).await,
            Self::Update(remote) => remote.run(update).await,
            Self::Pause(remote) => remote.run(async |session, args| enable(session, args, false).await).await,
            Self::Resume(remote) => remote.run(async |session, args| enable(session, args, true).await).await,
            Self::Run(remote) => remote.run(run_now).await,
            Self::Next(remote) => remote.run(next).await,
            Self::Backfill(remote) => remote.run(backfill).await,
            Self::Delete(remote) => remote.run(delete).await,
        }
    }
}

async fn create(session: Session, args: CreateArgs) -> Outcome {
    let body = ScheduleBody {
        function_name: Some(args.function),
        enabled: args.paused.then_some(false),
        idempotency_key: args.idempotency_key,
        ..args.fields.body()?
    };
    let schedule = session.client.create_schedule(&body).await?;
    session.show(&schedule, |schedule| schedule.id.to_string())?;
    Ok(Verdict::Yes)
}

async fn get(session: Session, args: OneArgs) -> Outcome {
    let id = args.schedule.resolve(&session.client).await?;
    let schedule = session.client.schedule(id).await?;
    session.show(&schedule, |schedule| details(session.layout, schedule))?;
    Ok(Verdict::Yes)
}

async fn list(session: Session, args: ListArgs) -> Outcome {
    let mut query = Query::new();
    if let Some(function) = &args.function {
        query = query.eq("functionName", function);
    }
    query = query.and(args.rql.as_deref().unwrap_or_default()).sort_by_default("-creationTimestamp");
    let schedules = session.client.schedules(query, args.how_many.into()).await?;
    session.show_listing(&schedules, "Schedules", |schedules| table(session.layout, schedules))?;
    Ok(Verdict::Yes)
}

async fn update(session: Session, args: UpdateArgs) -> Outcome {
    let id = args.schedule.resolve(&session.client).await?;
    let mut body = ScheduleBody { function_name: args.function, ..args.fields.body()? };
    for option in args.unset {
        option.unset_in(&mut body);
    }
    let answer = session.client.update_schedule(id, &body).await?;
    session.done(&answer, &format!("{id}: changed"))?;
    Ok(Verdict::Yes)
}

async fn enable(session: Session, args: IdArgs, enabled: bool) -> Outcome {
    let id = args.schedule.resolve(&session.client).await?;
    let answer = session.client.enable_schedule(id, enabled).await?;
    session.done(&answer, &format!("{id}: {}", if enabled { "resumed" } else { "paused" }))?;
    Ok(Verdict::Yes)
}

async fn run_now(session: Session, args: IdArgs) -> Outcome {
    let id = args.schedule.resolve(&session.client).await?;
    let task = session.client.run_schedule(id).await?;
    session.show(&task, |task| task.id.to_string())?;
    Ok(Verdict::Yes)
}

async fn next(session: Session, args: NextArgs) -> Outcome {
    let id = args.schedule.resolve(&session.client).await?;
    let next = session.client.next_occurrences(id, args.count).await?;
    session.show(&next, |next| next.data.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    Ok(Verdict::Yes)
}

async fn backfill(session: Session, args: BackfillArgs) -> Outcome {
    let id = args.schedule.resolve(&session.client).await?;
    let now = SystemClock.now();
    let body = BackfillBody {
        from: args.from.resolve(now),
        to: args.to.map_or(now, |to| to.resolve(now)),
        dry_run: args.dry_run,
        per_second: args.per_second,
        reason: args.reason,
    };
    let created = session.client.backfill_schedule(id, &body).await?;
    task_bulk::follow(session, created, ("occurrence", "occurrences"), args.no_wait).await
}

async fn delete(session: Session, args: DeleteArgs) -> Outcome {
    let id = args.schedule.resolve(&session.client).await?;
    let answer = session.client.delete_schedule(id).await?;
    session.done(&answer, &format!("{id}: deleted"))?;
    Ok(Verdict::Yes)
}

/// How it repeats, in a few words.
fn when(recurrence: &Recurrence) -> String {
    match recurrence {
        Recurrence::Every(interval) => format!("every {}", in_largest_unit(interval.as_duration())),
        Recurrence::Cron(cron, zone) => format!("{cron} {zone}"),
    }
}

fn next_time(schedule: &Schedule) -> String {
    match schedule.next_timestamp {
        _ if !schedule.enabled => "paused".to_owned(),
        Some(next) => next.to_string(),
        None => "none any more".to_owned(),
    }
}

fn table(layout: Layout, schedules: &[Record<Schedule>]) -> String {
    layout.list(
        &["ID", "NAME", "FUNCTION", "WHEN", "NEXT"],
        schedules.iter().map(|Record { value: schedule, .. }| {
            vec![
                cell(schedule.id),
                optional(schedule.name.as_ref()),
                cell(&schedule.function_name),
                cell(when(&schedule.recurrence)),
                cell(next_time(schedule)),
            ]
        }),
    )
}

fn details(layout: Layout, schedule: &Schedule) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let overlap = schedule.overlap.unwrap_or_default();
    let catch_up = schedule.catch_up.unwrap_or_default();
    layout.details([
        ("Id", schedule.id.to_string()),
        ("Name", or_dash(schedule.name.as_ref().map(ToString::to_string))),
        ("Function", schedule.function_name.to_string()),
        ("When", when(&schedule.recurrence)),
        ("Next", next_time(schedule)),
        ("Start", schedule.start_timestamp.to_string()),
        ("End", or_dash(schedule.end_timestamp.map(|end| end.to_string()))),
        ("Overlap", overlap.to_string()),
        ("Catch-up", catch_up.to_string()),
        ("Priority", or_dash(schedule.priority.map(|priority| priority.to_string()))),
        ("On complete", or_dash(schedule.on_complete.as_ref().map(|follow| follow.function_name.to_string()))),
        ("Data", or_dash(schedule.data.as_ref().map(indented_json))),
        ("Created by", or_dash(schedule.created_by_user_id.as_ref().map(ToString::to_string))),
        ("Managed by", or_dash(schedule.managed_by.map(|by| format!("tasklane {by}")))),
        ("Created", schedule.creation_timestamp.to_string()),
        ("Updated", schedule.update_timestamp.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schedule_is_shown_with_its_times_in_words() {
        let mut schedule: Schedule = serde_json::from_value(json!({
            "id": "0123456789abcdef01234567", "name": "daily", "cron": "0 9 * * *", "timezone": "Europe/Berlin",
            "functionName": "hello-js", "overlap": "skip", "enabled": true, "data": {"a": 1}, "managedBy": "sync",
            "startTimestamp": "2026-01-31T08:15:30.123Z", "nextTimestamp": "2026-02-01T08:00:00.000Z",
            "creationTimestamp": "2026-01-31T08:15:30.123Z", "updateTimestamp": "2026-01-31T08:15:30.123Z",
        }))
        .unwrap();
        insta::assert_snapshot!(details(Layout::PLAIN, &schedule), @r#"
        Id           0123456789abcdef01234567
        Name         daily
        Function     hello-js
        When         0 9 * * * Europe/Berlin
        Next         2026-02-01T08:00:00.000Z
        Start        2026-01-31T08:15:30.123Z
        End          -
        Overlap      skip
        Catch-up     latest
        Priority     -
        On complete  -
        Data         {
                       "a": 1
                     }
        Created by   -
        Managed by   tasklane sync
        Created      2026-01-31T08:15:30.123Z
        Updated      2026-01-31T08:15:30.123Z
        "#);
        let shown = |schedule: &Schedule| (when(&schedule.recurrence), next_time(schedule));
        schedule.enabled = false;
        assert_eq!(shown(&schedule), ("0 9 * * * Europe/Berlin".to_owned(), "paused".to_owned()));
        schedule.recurrence = serde_json::from_value(json!({ "interval": 604_800 })).unwrap();
        (schedule.enabled, schedule.next_timestamp) = (true, None);
        assert_eq!(shown(&schedule), ("every 7d".to_owned(), "none any more".to_owned()));
    }
}
