//! `tasklane tasks replay|cancel|retry-now|reschedule|set-priority`: acts on many Tasks.

use tasklane_client::{NewBulkBody, Record};
use tasklane_model::{BulkAction, BulkCreated, PerSecond, Priority};
use tasklane_ports::{Clock, SystemClock};

use super::{
    Outcome, Verdict, bulks,
    input::{JsonSource, When},
    output,
    session::Session,
    task_arg::{IdPrefix, newest},
    tasks,
};

/// Which Tasks, and how.
#[derive(Debug, clap::Args)]
pub(super) struct ManyArgs {
    /// The ids of the Tasks, at most 1000, or their first digits, at least 6
    #[arg(value_name = "ID", required_unless_present_any = ["rql", "last"])]
    ids: Vec<IdPrefix>,

    /// The Task that was created last
    #[arg(long, conflicts_with_all = ["ids", "rql"])]
    last: bool,

    /// All Tasks that match this RQL, e.g. 'status=failed&functionName=hello-js', and that exist already; percent-encode special characters in values twice
    #[arg(long, value_name = "RQL", conflicts_with = "ids")]
    rql: Option<String>,

    /// Only count the Tasks
    #[arg(long)]
    dry_run: bool,

    /// Handle at most this many Tasks in a second [default: as many as possible]
    #[arg(long, value_name = "N", value_parser = per_second)]
    per_second: Option<PerSecond>,

    /// Why, for those who read it later in `tasklane bulk list`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Print the operation's id at once, and see how far it is with `tasklane bulk get`
    #[arg(long)]
    no_wait: bool,
}

/// Create new Tasks like ones that have ended: with their data, and the Functions of now.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all Tasks were handled; 1 the operation was stopped; 2 it could not be done.

Example:
  tasklane tasks replay --rql 'status=failed&error.name=TimeoutError' --per-second 50 --reason outage")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    many: ManyArgs,

    /// Other input for the new Tasks, as event.data: JSON, @FILE, or - for stdin [default: that of each Task]
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    data: Option<JsonSource>,

    /// When they are due: 2026-01-31T08:15:30Z, or +90s, +5m, +2h, +30d [default: now]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    start: Option<When>,

    /// Their priority [default: that of each Task]
    #[arg(long, value_name = "N", value_parser = tasks::priority, allow_negative_numbers = true)]
    priority: Option<Priority>,
}

/// Cancel Tasks that have not started.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 done; 1 the operation was stopped; 2 it could not be done.

Examples:
  tasklane tasks cancel 0123456789abcdef01234567
  tasklane tasks cancel --rql 'status=new&functionName=hello-js' --dry-run")]
pub(super) struct CancelArgs {
    #[command(flatten)]
    many: ManyArgs,
}

/// Let waiting Tasks start now, such as retries that wait for their delay.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane tasks retry-now --rql 'status=new&functionName=hello-js'")]
pub(super) struct RetryNowArgs {
    #[command(flatten)]
    many: ManyArgs,
}

/// Change when Tasks that have not started are due.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane tasks reschedule --rql 'status=new&tags=nightly' --start +2h")]
pub(super) struct RescheduleArgs {
    #[command(flatten)]
    many: ManyArgs,

    /// When they are due: 2026-01-31T08:15:30Z, or +90s, +5m, +2h, +30d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    start: When,
}

/// Change the priority of Tasks that have not started.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane tasks set-priority --rql 'status=new&tags=urgent' --priority 10")]
pub(super) struct SetPriorityArgs {
    #[command(flatten)]
    many: ManyArgs,

    /// Among due Tasks, higher priority runs first
    #[arg(long, value_name = "N", value_parser = tasks::priority, allow_negative_numbers = true)]
    priority: Priority,
}

pub(super) async fn replay(session: Session, args: ReplayArgs) -> Outcome {
    let body = NewBulkBody {
        data: args.data.map(|source| source.read()).transpose()?,
        start_timestamp: args.start.map(|when| when.resolve(SystemClock.now())),
        priority: args.priority,
        ..args.many.body(&session, BulkAction::Replay).await?
    };
    act(session, body, args.many.no_wait).await
}

pub(super) async fn cancel(session: Session, args: CancelArgs) -> Outcome {
    let body = args.many.body(&session, BulkAction::Cancel).await?;
    if let (Some([id]), false) = (body.ids.as_deref(), body.dry_run) {
        let answer = session.client.cancel_task(*id).await?;
        session.done(&answer, &format!("{id}: canceled"))?;
        return Ok(Verdict::Yes);
    }
    act(session, body, args.many.no_wait).await
}

pub(super) async fn retry_now(session: Session, args: RetryNowArgs) -> Outcome {
    let body = args.many.body(&session, BulkAction::RetryNow).await?;
    act(session, body, args.many.no_wait).await
}

pub(super) async fn reschedule(session: Session, args: RescheduleArgs) -> Outcome {
    let start_timestamp = Some(args.start.resolve(SystemClock.now()));
    let body = NewBulkBody { start_timestamp, ..args.many.body(&session, BulkAction::Reschedule).await? };
    act(session, body, args.many.no_wait).await
}

pub(super) async fn set_priority(session: Session, args: SetPriorityArgs) -> Outcome {
    let body =
        NewBulkBody { priority: Some(args.priority), ..args.many.body(&session, BulkAction::SetPriority).await? };
    act(session, body, args.many.no_wait).await
}

async fn act(session: Session, body: NewBulkBody, no_wait: bool) -> Outcome {
    let created = session.client.create_bulk(&body).await?;
    follow(session, created, ("Task", "Tasks"), no_wait).await
}

/// Shows what has begun, and how it ends unless `no_wait`.
pub(super) async fn follow(
    session: Session,
    created: Record<BulkCreated>,
    (one, many): (&str, &str),
    no_wait: bool,
) -> Outcome {
    let (matches, is_exact) = (created.value.matches, created.value.matches_is_exact);
    let count = match (matches, is_exact) {
        (1, true) => format!("1 {one}"),
        (_, true) => format!("{matches} {many}"),
        (_, false) => format!("more than {matches} {many}"),
    };
    match created.value.id {
        None => session.show(&created, |_| format!("{count} {}", if matches == 1 { "matches" } else { "match" }))?,
        Some(id) if no_wait => session.show(&created, |_| id.to_string())?,
        Some(id) => {
            output::note(&format!("operation {id}: {count}; it goes on if you leave (Ctrl-C)"));
            return bulks::show_when_ended(&session, id).await;
        }
    }
    Ok(Verdict::Yes)
}

impl ManyArgs {
    async fn body(&self, session: &Session, action: BulkAction) -> anyhow::Result<NewBulkBody> {
        let mut ids = Vec::with_capacity(self.ids.len());
        if self.last {
            ids.push(newest(&session.client).await?);
        }
        for prefix in &self.ids {
            ids.push(prefix.resolve(&session.client).await?);
        }
        Ok(NewBulkBody {
            action,
            rql: self.rql.clone(),
            ids: self.rql.is_none().then_some(ids),
            start_timestamp: None,
            priority: None,
            data: None,
            dry_run: self.dry_run,
            per_second: self.per_second,
            reason: self.reason.clone(),
        })
    }
}

pub(super) fn per_second(text: &str) -> Result<PerSecond, String> {
    let number = text.parse().map_err(|_| "must be a whole number".to_owned())?;
    PerSecond::new(number).map_err(|error| error.to_string())
}
