//! `tasklane tasks logs` and `tasklane api-requests logs`: the logs of runs.

use std::time::Duration;

use anyhow::bail;
use tasklane_client::{Client, ClientError, LogSource};
use tasklane_model::{ObjectId, Task, TaskStatus, Timestamp};
use tasklane_ports::LogLine;

use super::{Outcome, Verdict, output, session::Session};

/// Show the logs of a Task.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all went well; 1 with --follow, the Task failed; 2 an error.

Example:
  tasklane tasks logs 0123456789abcdef01234567 --follow")]
pub(super) struct TaskLogsArgs {
    /// The Task's id
    id: ObjectId,

    /// Keep showing new lines until the Task ends
    #[arg(long, short)]
    follow: bool,
}

/// Show the logs of an API Request.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane api-requests logs 0123456789abcdef01234567")]
pub(super) struct ApiRequestLogsArgs {
    /// The API Request's id
    id: ObjectId,
}

pub(super) async fn of_task(session: Session, args: TaskLogsArgs) -> Outcome {
    if args.follow {
        let json = session.json;
        let task = follow(&session.client, args.id, Pace::DEFAULT, |line| print(line, json)).await?;
        return Ok(conclude(&task));
    }
    show(&session, LogSource::Task(args.id)).await
}

pub(super) async fn of_api_request(session: Session, args: ApiRequestLogsArgs) -> Outcome {
    show(&session, LogSource::ApiRequest(args.id)).await
}

/// Says how a Task ended if its log lines do not.
fn conclude(task: &Task) -> Verdict {
    if let Some(error) = &task.error {
        output::note(&format!("{}: {}", error.name, error.message));
    }
    match task.status {
        TaskStatus::Failed => return Verdict::No,
        TaskStatus::Retried => {
            if let Some(next) = task.retried_by_task_id {
                output::note(&format!("It will be retried. Follow the next run: tasklane tasks logs {next} --follow"));
            }
        }
        TaskStatus::Canceled => output::note("the Task was canceled before it ran"),
        TaskStatus::New | TaskStatus::InProgress | TaskStatus::Complete => {}
    }
    Verdict::Yes
}

async fn show(session: &Session, source: LogSource) -> Outcome {
    let lines = session.client.logs(source, None).await?;
    if session.json {
        session.show_json(&lines)?;
    } else if lines.is_empty() {
        output::note("no log lines yet");
    } else {
        for line in &lines {
            print(line, false)?;
        }
    }
    Ok(Verdict::Yes)
}

/// Prints one line; with `json` as a JSON object, so that programs can read lines as they come.
fn print(line: &LogLine, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::json(&serde_json::to_string(line)?)?);
    }
    Ok(output::data(&format!("{}  {}", line.timestamp, line.message.trim_end()))?)
}

/// How long to wait for lines.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The pause between two requests.
    between: Duration,
    /// The number of requests after the Task has ended, because logs may arrive later.
    looks_after_end: u32,
}

impl Pace {
    const DEFAULT: Self = Self { between: Duration::from_secs(1), looks_after_end: 15 };
}

/// "Not in this state": the Task has not run yet.
const NOT_RUN: u16 = 27;

/// Passes each new line on, until the Task has ended and its last line has been seen. Returns the ended Task.
async fn follow(
    client: &Client,
    id: ObjectId,
    pace: Pace,
    mut each: impl FnMut(&LogLine) -> anyhow::Result<()>,
) -> anyhow::Result<Task> {
    let mut from: Option<Timestamp> = None;
    // How many lines with the time `from` were passed on: `ge` returns them again.
    let mut seen_at_from = 0;
    let mut reported = false;
    let mut looks_left = pace.looks_after_end;
    loop {
        // The status first, so that lines from before the end are certainly requested after it.
        let Some(task) = client.find_task(id).await? else { bail!("there is no Task {id}") };
        let lines = match client.logs(LogSource::Task(id), from).await {
            Ok(lines) => lines,
            Err(ClientError::Service(error)) if error.code == Some(NOT_RUN) => Vec::new(),
            Err(e) => return Err(e.into()),
        };
        for line in lines.iter().skip(seen_at_from) {
            each(line)?;
            // Lambda's own last line of a run.
            reported |= line.message.starts_with("REPORT RequestId:");
        }
        if let Some(last) = lines.last() {
            seen_at_from = lines.iter().rev().take_while(|line| line.timestamp == last.timestamp).count();
            from = Some(last.timestamp);
        }
        let status = task.value.status;
        if status.is_final() {
            // A canceled Task never ran; after its report, a run has no more lines.
            if reported || status == TaskStatus::Canceled || looks_left == 0 {
                return Ok(task.value);
            }
            looks_left -= 1;
        }
        tokio::time::sleep(pace.between).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};

    use super::*;
    use tasklane_client::testing::{Seen, Server};

    const ID: &str = "0123456789abcdef01234567";

    fn moment(second: usize) -> String {
        format!("2026-01-31T08:15:{second:02}.000Z")
    }

    /// A Task that has the status `statuses[n]` and the lines `lines[..count[n]]` at the n-th request.
    async fn followed(
        statuses: &'static [&str],
        lines: &'static [(usize, &str)],
        counts: &'static [usize],
    ) -> (Vec<String>, TaskStatus) {
        let look = AtomicUsize::new(0);
        let server = Server::start(move |seen: &Seen| {
            if !seen.target.contains("/logs") {
                let status = statuses[look.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1)];
                let task = json!({
                    "id": ID, "functionName": "hello", "status": status, "statusChangedTimestamp": moment(0), "tags": [],
                    "startTimestamp": moment(0), "priority": 0, "creationTimestamp": moment(0), "updateTimestamp": moment(0),
                });
                return (200, json!({ "query": "", "page": { "total": 1, "offset": 0, "limit": 20 }, "data": [task] }));
            }
            let look = look.load(Ordering::SeqCst) - 1;
            if statuses[look.min(statuses.len() - 1)] == "new" {
                return (400, json!({ "code": 27, "name": "ILLEGAL_STATE_EXCEPTION", "message": "not yet" }));
            }
            let from = seen.target.split_once("ge(timestamp,").map(|(_, rest)| {
                rest.split(')').next().unwrap().replace("%253A", ":")
            });
            let count = counts[look.min(counts.len() - 1)];
            let data: Vec<Value> = lines[..count]
                .iter()
                .filter(|(second, _)| from.as_ref().is_none_or(|from| moment(*second) >= *from))
                .map(|(second, message)| json!({ "timestamp": moment(*second), "message": message }))
                .collect();
            (200, json!({ "page": { "offset": 0, "limit": 50 }, "data": data }))
        })
        .await;
        let mut printed = Vec::new();
        let pace = Pace { between: Duration::ZERO, looks_after_end: 2 };
        let task = follow(&server.client(), ID.parse().unwrap(), pace, |line| {
            printed.push(line.message.clone());
            Ok(())
        })
        .await
        .unwrap();
        (printed, task.status)
    }

    #[tokio::test]
    async fn following_shows_each_line_once_and_ends_with_the_report() {
        let lines = &[(1, "a"), (1, "b"), (1, "c"), (2, "d"), (2, "d"), (3, "REPORT RequestId: x")];
        // The report comes two requests after the end of the Task.
        let (printed, status) =
            followed(&["new", "inProgress", "inProgress", "complete"], lines, &[0, 2, 4, 5, 5, 6]).await;
        assert_eq!(printed, ["a", "b", "c", "d", "d", "REPORT RequestId: x"]);
        assert_eq!(status, TaskStatus::Complete);
    }

    #[tokio::test]
    async fn following_ends_when_no_report_ever_comes() {
        let (printed, status) = followed(&["inProgress", "failed"], &[(1, "a")], &[1]).await;
        assert_eq!((printed, status), (vec!["a".to_owned()], TaskStatus::Failed));
        let (printed, status) = followed(&["new", "canceled"], &[], &[0]).await;
        assert_eq!((printed, status), (vec![], TaskStatus::Canceled));
    }
}
