//! `tasklane tasks`: create, list, get; the others are in files of their own.

use anyhow::bail;
use clap::{
    Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use tasklane_client::{NewTaskBody, Query, Record};
use tasklane_model::{
    FlowKey, FunctionName, IdempotencyKey, ObjectId, Priority, QueuedTimeout, Tags, Task, TaskStatus, Timeouts,
};
use tasklane_ports::{Clock, SystemClock};

use super::{
    Outcome, Verdict,
    debounce::DebounceArgs,
    follow::FollowArgs,
    functions::{self, HowManyArgs},
    input::{JsonSource, When, idempotency_key, seconds},
    logs, output,
    session::{Remote, Session, indented_json},
    table::{Layout, cell, optional},
    task_arg::TaskArg,
    task_batch, task_bulk, task_history, task_outcome,
};

/// Create Tasks, and see their status and logs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Create(Remote<CreateArgs>),
    Batch(Remote<task_batch::Args>),
    Wait(Remote<task_outcome::WaitArgs>),
    Result(Remote<task_outcome::ResultArgs>),
    List(Remote<ListArgs>),
    Get(Remote<GetArgs>),
    Cancel(Remote<task_bulk::CancelArgs>),
    Replay(Remote<task_bulk::ReplayArgs>),
    RetryNow(Remote<task_bulk::RetryNowArgs>),
    Reschedule(Remote<task_bulk::RescheduleArgs>),
    SetPriority(Remote<task_bulk::SetPriorityArgs>),
    Attempts(Remote<task_history::AttemptsArgs>),
    Why(Remote<task_history::WhyArgs>),
    Logs(Remote<logs::TaskLogsArgs>),
}

/// Queue a Task. Prints its id.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane tasks create hello-js --data '{\"name\":\"Ada\"}' --start +5m --tag demo")]
pub(super) struct CreateArgs {
    /// The Function to run
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,

    /// Input for the Function, as event.data: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    data: Option<JsonSource>,

    /// When it is due: 2026-01-31T08:15:30Z, or +90s, +5m, +2h, +30d [default: now]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    start: Option<When>,

    /// Among due Tasks, higher priority runs first [default: the Function's]
    #[arg(long, value_name = "N", value_parser = priority, allow_negative_numbers = true)]
    priority: Option<Priority>,

    /// Let it fail if it has not started this long after it was due: 90s, 5m, 2h [default: the Function's]
    #[arg(long, value_name = "TIME", value_parser = queued_timeout)]
    queued_timeout: Option<QueuedTimeout>,

    /// A word to find it by; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Keep what it returns; see it with `tasklane tasks result`
    #[arg(long)]
    store_result: bool,

    #[command(flatten)]
    follow: FollowArgs,

    #[command(flatten)]
    debounce: DebounceArgs,

    /// Its key, if its Function takes turns by key [default: the one in its data]
    #[arg(long, value_name = "KEY", value_parser = flow_key)]
    flow_key: Option<FlowKey>,

    /// Wait until the Task and its retries have ended, and show the last one
    #[arg(long)]
    wait: bool,

    /// Show its logs and those of its retries, until they have ended
    #[arg(long = "follow", conflicts_with = "wait")]
    follow_logs: bool,

    /// A name for this call, such as order-4711: the same call with the same name has an effect only once within 24 hours
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    idempotency_key: Option<IdempotencyKey>,
}

/// List Tasks, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane tasks list --status failed --function hello-js --all --json")]
pub(super) struct ListArgs {
    /// Only Tasks with this status; may be given more than once, or with commas
    #[arg(long = "status", value_name = "STATUS", value_delimiter = ',', value_parser = status())]
    statuses: Vec<TaskStatus>,

    /// Only Tasks with this tag; may be given more than once, and then they have all of them
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Only Tasks of this Function
    #[arg(long, value_name = "NAME", value_parser = functions::name)]
    function: Option<FunctionName>,

    /// Only Tasks that match this RQL, e.g. 'gt(priority,5)&sort(startTimestamp)'; percent-encode special characters in values twice
    #[arg(long, value_name = "RQL")]
    rql: Option<String>,

    #[command(flatten)]
    how_many: HowManyArgs,
}

/// Show a Task.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane tasks get 0123456789abcdef01234567 --json")]
pub(super) struct GetArgs {
    #[command(flatten)]
    task: TaskArg,
}

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Create(remote) => remote.run(create).await,
            Self::Batch(remote) => remote.run(task_batch::run).await,
            Self::Wait(remote) => remote.run(task_outcome::wait).await,
            Self::Result(remote) => remote.run(task_outcome::result).await,
            Self::List(remote) => remote.run(list).await,
            Self::Get(remote) => remote.run(get).await,
            Self::Cancel(remote) => remote.run(task_bulk::cancel).await,
            Self::Replay(remote) => remote.run(task_bulk::replay).await,
            Self::RetryNow(remote) => remote.run(task_bulk::retry_now).await,
            Self::Reschedule(remote) => remote.run(task_bulk::reschedule).await,
            Self::SetPriority(remote) => remote.run(task_bulk::set_priority).await,
            Self::Attempts(remote) => remote.run(task_history::attempts).await,
            Self::Why(remote) => remote.run(task_history::why).await,
            Self::Logs(remote) => remote.run(logs::of_task).await,
        }
    }
}

/// Reads a priority from the command line.
pub(super) fn priority(text: &str) -> Result<Priority, String> {
    let number = text.parse().map_err(|_| "must be a whole number".to_owned())?;
    Priority::new(number).map_err(|e| e.to_string())
}

fn flow_key(text: &str) -> Result<FlowKey, String> {
    FlowKey::parse(text).map_err(|e| e.to_string())
}

fn queued_timeout(text: &str) -> Result<QueuedTimeout, String> {
    seconds(text, QueuedTimeout::new)
}

/// Reads a status; completions and `--help` list all.
fn status() -> impl TypedValueParser<Value = TaskStatus> {
    PossibleValuesParser::new(TaskStatus::ALL.map(TaskStatus::as_str)).try_map(|text| text.parse::<TaskStatus>())
}

async fn create(session: Session, args: CreateArgs) -> Outcome {
    let body = NewTaskBody {
        function_name: args.function,
        data: args.data.map(|source| source.read()).transpose()?,
        start_timestamp: args.start.map(|when| when.resolve(SystemClock.now())),
        priority: args.priority,
        timeouts: Timeouts { queued: args.queued_timeout },
        tags: Tags::try_from(args.tags).map_err(|e| anyhow::anyhow!("the tags {e}"))?,
        store_result: args.store_result.then_some(true),
        on_complete: args.follow.read()?,
        debounce: args.debounce.read(),
        flow_key: args.flow_key,
        idempotency_key: args.idempotency_key,
    };
    let task = session.client.create_task(&body).await?;
    if args.wait {
        return task_outcome::show_when_final(&session, task.value.id, None).await;
    }
    if args.follow_logs {
        output::note(&format!("created {}", task.value.id));
        return logs::follow_chain(&session, task.value.id, &logs::Style::default()).await;
    }
    session.show(&task, |task| task.id.to_string())?;
    Ok(Verdict::Yes)
}

async fn list(session: Session, args: ListArgs) -> Outcome {
    let tasks = session.client.tasks(args.query(), args.how_many.into()).await?;
    session.show_listing(&tasks, "Tasks", |tasks| table(session.layout, tasks))?;
    Ok(Verdict::Yes)
}

async fn get(session: Session, args: GetArgs) -> Outcome {
    let id = args.task.resolve(&session.client).await?;
    let Some(task) = session.client.find_task(id).await? else {
        bail!("there is no Task '{id}'");
    };
    session.show(&task, |task| details(session.layout, task))?;
    Ok(Verdict::Yes)
}

impl ListArgs {
    fn query(&self) -> Query {
        let mut query = Query::new();
        if let Some(function) = &self.function {
            query = query.eq("functionName", function);
        }
        match self.statuses.as_slice() {
            [] => {}
            [status] => query = query.eq("status", status),
            statuses => query = query.any("status", statuses),
        }
        for tag in &self.tags {
            query = query.eq("tags", tag);
        }
        query.and(self.rql.as_deref().unwrap_or_default()).sort_by_default("-creationTimestamp")
    }
}

fn table(layout: Layout, tasks: &[Record<Task>]) -> String {
    layout.list(
        &["ID", "FUNCTION", "STATUS", "PRIORITY", "START", "CREATED", "TAGS", "ERROR"],
        tasks.iter().map(|Record { value: task, .. }| {
            vec![
                cell(task.id),
                cell(&task.function_name),
                layout.status(task.status),
                cell(task.priority),
                layout.time(task.start_timestamp),
                layout.time(task.creation_timestamp),
                optional(Some(task.tags.as_slice().join(", ")).filter(|tags| !tags.is_empty())),
                optional(task.error.as_ref().map(|error| &error.name)),
            ]
        }),
    )
}

pub(super) fn details(layout: Layout, task: &Task) -> String {
    let join = |ids: &[ObjectId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let mut rows = vec![
        ("Id", task.id.to_string()),
        (
            "Function",
            match task.function_version {
                Some(version) => format!("{}, version {version}", task.function_name),
                None => task.function_name.to_string(),
            },
        ),
        ("Status", format!("{} since {}", task.status, task.status_changed_timestamp)),
        ("Start", task.start_timestamp.to_string()),
        ("Priority", task.priority.to_string()),
        ("Created", task.creation_timestamp.to_string()),
    ];
    let user = task.origin.created_by_user_id.as_ref();
    rows.extend(user.map(|user| ("Created by", user.to_string())));
    let application = task.origin.created_by_application_id.as_ref();
    rows.extend(application.map(|application| ("Through", application.to_string())));
    if !task.tags.as_slice().is_empty() {
        rows.push(("Tags", task.tags.as_slice().join(", ")));
    }
    if !task.retry_for_task_ids.is_empty() {
        rows.push(("Retry of", join(&task.retry_for_task_ids)));
    }
    rows.extend(task.options.replay_of.map(|id| ("Replay of", id.to_string())));
    rows.extend(task.retried_by_task_id.map(|id| ("Retried by", id.to_string())));
    rows.extend(task.error.as_ref().map(|error| ("Error", format!("{}: {}", error.name, error.message))));
    rows.extend(task.data.as_ref().map(|data| ("Data", indented_json(data))));
    layout.details(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(change: serde_json::Value) -> Record<Task> {
        let mut task = json!({
            "id": "0123456789abcdef01234567", "functionName": "hello", "status": "new",
            "statusChangedTimestamp": "2026-01-31T08:15:30.123Z", "data": { "a": [1] }, "tags": ["x", "y"],
            "startTimestamp": "2026-01-31T08:15:30.123Z", "priority": -1, "createdByUserId": "ada",
            "creationTimestamp": "2026-01-31T08:15:30.123Z", "updateTimestamp": "2026-01-31T08:15:30.123Z",
        });
        task.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_str(&task.to_string()).unwrap()
    }

    #[test]
    fn a_list_has_a_line_per_task() {
        let failed = json!({ "status": "failed", "error": { "type": "runtime", "name": "Error\nX", "message": "m" } });
        insta::assert_snapshot!(table(Layout::PLAIN, &[task(json!({})), task(failed)]), @"
        ID                        FUNCTION  STATUS  PRIORITY  START                     CREATED                   TAGS  ERROR
        0123456789abcdef01234567  hello     new     -1        2026-01-31T08:15:30.123Z  2026-01-31T08:15:30.123Z  x, y  -
        0123456789abcdef01234567  hello     failed  -1        2026-01-31T08:15:30.123Z  2026-01-31T08:15:30.123Z  x, y  Error X
        ");
    }

    #[test]
    fn details_leave_out_absent_values() {
        let retried = json!({
            "status": "retried", "error": { "type": "runtime", "name": "E", "message": "m" },
            "functionVersion": 7, "retryForTaskIds": ["0123456789abcdef01234566"], "retriedByTaskId": "0123456789abcdef01234568",
        });
        insta::assert_snapshot!(details(Layout::PLAIN, &task(retried).value), @r#"
        Id          0123456789abcdef01234567
        Function    hello, version 7
        Status      retried since 2026-01-31T08:15:30.123Z
        Start       2026-01-31T08:15:30.123Z
        Priority    -1
        Created     2026-01-31T08:15:30.123Z
        Created by  ada
        Tags        x, y
        Retry of    0123456789abcdef01234566
        Retried by  0123456789abcdef01234568
        Error       E: m
        Data        {
                      "a": [
                        1
                      ]
                    }
        "#);
    }
}
