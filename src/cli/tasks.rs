//! `tasklane tasks`: create, list, get, cancel; the others are in files of their own.

use anyhow::bail;
use clap::Subcommand;
use tasklane_client::{NewTaskBody, Query, Record};
use tasklane_model::{
    FunctionName, IdempotencyKey, ObjectId, Priority, QueuedTimeout, Tags, Task, TaskStatus, Timeouts,
};
use tasklane_ports::{Clock, SystemClock};

use super::{
    Outcome, Verdict,
    follow::FollowArgs,
    functions::{self, HowManyArgs},
    input::{JsonSource, When, duration, idempotency_key},
    logs,
    session::{Remote, Session, indented_json},
    table::{Layout, cell, optional},
    task_batch, task_history, task_outcome,
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
    Cancel(Remote<CancelArgs>),
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

    /// Wait until the Task and its retries have ended, and show the last one
    #[arg(long)]
    wait: bool,

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
    /// Only Tasks with this status: new, inProgress, complete, failed, retried, canceled
    #[arg(long, value_parser = status)]
    status: Option<TaskStatus>,

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
    /// The Task's id
    id: ObjectId,
}

/// Cancel a Task that has not started.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane tasks cancel 0123456789abcdef01234567")]
pub(super) struct CancelArgs {
    /// The Task's id
    id: ObjectId,
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
            Self::Cancel(remote) => remote.run(cancel).await,
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

fn queued_timeout(text: &str) -> Result<QueuedTimeout, String> {
    let seconds = duration(text).map_err(|e| e.to_string())?.as_secs();
    QueuedTimeout::new(i64::try_from(seconds).unwrap_or(i64::MAX)).map_err(|e| e.to_string())
}

fn status(text: &str) -> Result<TaskStatus, String> {
    text.parse().map_err(|_| {
        let names = TaskStatus::ALL.map(TaskStatus::as_str).join(", ");
        format!("must be one of {names}")
    })
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
        idempotency_key: args.idempotency_key,
    };
    let task = session.client.create_task(&body).await?;
    if args.wait {
        return task_outcome::show_when_final(&session, task.value.id, None).await;
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
    let Some(task) = session.client.find_task(args.id).await? else {
        bail!("there is no Task {}", args.id);
    };
    session.show(&task, |task| details(session.layout, task))?;
    Ok(Verdict::Yes)
}

async fn cancel(session: Session, args: CancelArgs) -> Outcome {
    let answer = session.client.cancel_task(args.id).await?;
    session.done(&answer, &format!("{}: canceled", args.id))?;
    Ok(Verdict::Yes)
}

impl ListArgs {
    fn query(&self) -> Query {
        let mut query = Query::new();
        if let Some(function) = &self.function {
            query = query.eq("functionName", function);
        }
        if let Some(status) = self.status {
            query = query.eq("status", status);
        }
        query.and(self.rql.as_deref().unwrap_or_default()).sort_by_default("-creationTimestamp")
    }
}

fn table(layout: Layout, tasks: &[Record<Task>]) -> String {
    layout.list(
        &["ID", "FUNCTION", "STATUS", "PRIORITY", "START", "CREATED", "ERROR"],
        tasks.iter().map(|Record { value: task, .. }| {
            vec![
                cell(task.id),
                cell(&task.function_name),
                layout.status(task.status),
                cell(task.priority),
                cell(task.start_timestamp),
                cell(task.creation_timestamp),
                optional(task.error.as_ref().map(|error| &error.name)),
            ]
        }),
    )
}

pub(super) fn details(layout: Layout, task: &Task) -> String {
    let join = |ids: &[ObjectId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let mut rows = vec![
        ("Id", task.id.to_string()),
        ("Function", task.function_name.to_string()),
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
        ID                        FUNCTION  STATUS  PRIORITY  START                     CREATED                   ERROR
        0123456789abcdef01234567  hello     new     -1        2026-01-31T08:15:30.123Z  2026-01-31T08:15:30.123Z  -
        0123456789abcdef01234567  hello     failed  -1        2026-01-31T08:15:30.123Z  2026-01-31T08:15:30.123Z  Error X
        ");
    }

    #[test]
    fn details_leave_out_absent_values() {
        let retried = json!({
            "status": "retried", "error": { "type": "runtime", "name": "E", "message": "m" },
            "retryForTaskIds": ["0123456789abcdef01234566"], "retriedByTaskId": "0123456789abcdef01234568",
        });
        insta::assert_snapshot!(details(Layout::PLAIN, &task(retried).value), @r#"
        Id          0123456789abcdef01234567
        Function    hello
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
