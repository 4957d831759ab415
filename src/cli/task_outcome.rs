//! `tasklane tasks wait` and `tasklane tasks result`: what became of a Task.

use std::time::Duration;

use tasklane_client::{ClientError, Record};
use tasklane_model::{ObjectId, Task, TaskStatus};
use tasklane_ports::{Clock as _, SystemClock};

use super::{
    Outcome, Verdict,
    input::duration,
    output,
    session::{Session, indented_json, json_of},
    task_arg::TaskArg,
    tasks,
};

/// Wait until a Task and its retries have ended, and show the last one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 it is complete; 1 it failed or was canceled, or the time is up; 2 it could not be read.

Example:
  tasklane tasks wait 0123456789abcdef01234567 --timeout 5m")]
pub(super) struct WaitArgs {
    #[command(flatten)]
    task: TaskArg,

    /// Give up after this time, such as 90s or 5m [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

/// Show what a Task returned, if its result was kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the result is on stdout; 1 there is none; 2 it could not be read.

Example:
  tasklane tasks result 0123456789abcdef01234567")]
pub(super) struct ResultArgs {
    #[command(flatten)]
    task: TaskArg,
}

/// The longest that a service waits.
const EACH: u64 = 25;

/// The least time between two questions.
const PACE: Duration = Duration::from_secs(1);

/// The code of an unknown record, and of a result that does not exist.
const UNKNOWN: u16 = 16;

pub(super) async fn wait(session: Session, args: WaitArgs) -> Outcome {
    let id = args.task.resolve(&session.client).await?;
    show_when_final(&session, id, args.timeout).await
}

/// Waits for the end of a Task and its retries, and shows the last one.
pub(super) async fn show_when_final(session: &Session, id: ObjectId, timeout: Option<Duration>) -> Outcome {
    let Some(task) = last_of_chain(session, id, timeout).await? else {
        let message = format!("{id}: has not ended yet");
        output::note(&message);
        if session.json {
            session.show_json(&json_of(&anyhow::anyhow!(message)))?;
        }
        return Ok(Verdict::No);
    };
    session.show(&task, |task| tasks::details(session.layout, task))?;
    Ok(if task.value.status == TaskStatus::Complete { Verdict::Yes } else { Verdict::No })
}

async fn last_of_chain(
    session: &Session,
    mut id: ObjectId,
    timeout: Option<Duration>,
) -> Result<Option<Record<Task>>, ClientError> {
    let until = timeout.map(|timeout| SystemClock.now().saturating_add(timeout));
    loop {
        let asked = SystemClock.now();
        let left = until.map_or(EACH, |until| until.since(asked).as_secs().clamp(1, EACH));
        let task = session.client.wait_for_task(id, u8::try_from(left).unwrap_or(u8::MAX)).await?;
        match task.value.retried_by_task_id {
            Some(next) => id = next,
            None if task.value.status.is_final() => return Ok(Some(task)),
            None => {}
        }
        let now = SystemClock.now();
        if until.is_some_and(|until| until <= now) {
            return Ok(None);
        }
        // A service may answer at once, whatever it was asked.
        SystemClock.sleep(PACE.saturating_sub(now.since(asked))).await;
    }
}

pub(super) async fn result(session: Session, args: ResultArgs) -> Outcome {
    let id = args.task.resolve(&session.client).await?;
    match session.client.task_result(id).await {
        Ok(result) => output::json(&indented_json(&result))?,
        Err(ClientError::Service(error)) if error.code == Some(UNKNOWN) => {
            output::note(&error.message);
            if session.json {
                session.show_json(&json_of(&ClientError::Service(error).into()))?;
            }
            return Ok(Verdict::No);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Verdict::Yes)
}
