//! `tasklane schedules`: create, list, delete.

use clap::Subcommand;
use tasklane_client::{NewScheduleBody, Query, Record};
use tasklane_model::{FunctionName, IdempotencyKey, Interval, ObjectId, Priority, Schedule};
use tasklane_ports::{Clock, SystemClock};

use super::{
    Outcome, Verdict,
    follow::FollowArgs,
    functions::{self, HowManyArgs},
    input::{JsonSource, When, duration, idempotency_key},
    session::{Remote, Session},
    table::{Layout, cell, optional},
    tasks,
};

/// Create Tasks at a fixed interval.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Create(Remote<CreateArgs>),
    List(Remote<ListArgs>),
    Delete(Remote<DeleteArgs>),
}

/// Create a Schedule. Prints its id.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane schedules create hello-js --interval 5m --data '{\"name\":\"Ada\"}'")]
pub(super) struct CreateArgs {
    /// The Function to run
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,

    /// The time between two Tasks: seconds, or 90s, 5m, 2h, 1d
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Interval,

    /// Input for the Function, as event.data: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    data: Option<JsonSource>,

    /// When the first Task is due: 2026-01-31T08:15:30Z, or +90s, +5m, +2h, +30d [default: now]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    start: Option<When>,

    /// The priority of the Tasks [default: the Function's]
    #[arg(long, value_name = "N", value_parser = tasks::priority, allow_negative_numbers = true)]
    priority: Option<Priority>,

    #[command(flatten)]
    follow: FollowArgs,

    /// A name for this call, such as order-4711: the same call with the same name has an effect only once within 24 hours
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    idempotency_key: Option<IdempotencyKey>,
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

/// Delete a Schedule. The Tasks that it created stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane schedules delete 0123456789abcdef01234567")]
pub(super) struct DeleteArgs {
    /// The Schedule's id
    id: ObjectId,
}

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Create(remote) => remote.run(create).await,
            Self::List(remote) => remote.run(list).await,
            Self::Delete(remote) => remote.run(delete).await,
        }
    }
}

fn interval(text: &str) -> Result<Interval, String> {
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => duration(text).map_err(|e| e.to_string())?.as_secs(),
    };
    Interval::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)).map_err(|e| e.to_string())
}

async fn create(session: Session, args: CreateArgs) -> Outcome {
    let body = NewScheduleBody {
        interval: args.interval,
        function_name: args.function,
        data: args.data.map(|source| source.read()).transpose()?,
        priority: args.priority,
        start_timestamp: args.start.map(|when| when.resolve(SystemClock.now())),
        on_complete: args.follow.read()?,
        idempotency_key: args.idempotency_key,
    };
    let schedule = session.client.create_schedule(&body).await?;
    session.show(&schedule, |schedule| schedule.id.to_string())?;
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

async fn delete(session: Session, args: DeleteArgs) -> Outcome {
    let answer = session.client.delete_schedule(args.id).await?;
    session.done(&answer, &format!("{}: deleted", args.id))?;
    Ok(Verdict::Yes)
}

fn table(layout: Layout, schedules: &[Record<Schedule>]) -> String {
    layout.list(
        &["ID", "FUNCTION", "EVERY", "NEXT", "PRIORITY", "CREATED BY"],
        schedules.iter().map(|Record { value: schedule, .. }| {
            vec![
                cell(schedule.id),
                cell(&schedule.function_name),
                cell(format!("{} s", i64::from(schedule.interval))),
                cell(schedule.next_timestamp),
                optional(schedule.priority),
                optional(schedule.created_by_user_id.as_ref()),
            ]
        }),
    )
}
