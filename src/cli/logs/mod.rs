//! `tasklane logs`, `tasklane tasks logs` and `tasklane api-requests logs`: what Functions print.

mod line;
pub(super) mod of_functions;

use std::time::Duration;

use anyhow::bail;
use tasklane_client::{Client, ClientError, LogSource, TaskNews, TaskStream};
use tasklane_model::{ObjectId, Task, TaskStatus, Timestamp};
use tasklane_ports::{Clock as _, LogLine, SystemClock};

use self::line::print;
pub(super) use self::line::{Style, is_platform};
use super::{Outcome, Verdict, output, session::Session, task_arg::TaskArg};

/// Show the logs of a Task.
///
/// With --json the lines are a JSON array, or with --follow a JSON object each (NDJSON).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all went well; 1 with --follow, the Task failed; 2 an error.

Examples:
  tasklane tasks logs 0123456789abcdef01234567 --follow
  tasklane tasks logs --last")]
pub(super) struct TaskLogsArgs {
    #[command(flatten)]
    task: TaskArg,

    /// Keep showing new lines until the Task ends; after a failed run, continue with the next one
    #[arg(long, short)]
    follow: bool,

    #[command(flatten)]
    style: Style,
}

/// Show the logs of an API Request.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane api-requests logs 0123456789abcdef01234567")]
pub(super) struct ApiRequestLogsArgs {
    /// The API Request's id
    id: ObjectId,

    #[command(flatten)]
    style: Style,
}

pub(super) async fn of_task(session: Session, args: TaskLogsArgs) -> Outcome {
    let id = args.task.resolve(&session.client).await?;
    if args.follow {
        return follow_chain(&session, id, &args.style).await;
    }
    show(&session, LogSource::Task(id), &args.style).await
}

pub(super) async fn of_api_request(session: Session, args: ApiRequestLogsArgs) -> Outcome {
    show(&session, LogSource::ApiRequest(args.id), &args.style).await
}

/// Shows the lines of every new run of a Task, from the first to the last.
pub(super) async fn follow_chain(session: &Session, mut id: ObjectId, style: &Style) -> Outcome {
    loop {
        let json = session.json;
        let show = |line: &LogLine| if style.shows(line) { print(line, None, json) } else { Ok(()) };
        let task = follow(&session.client, id, Pace::DEFAULT, show).await?;
        if let Some(error) = &task.error {
            output::note(&format!("{}: {}", error.name, error.message));
        }
        match (task.status, task.retried_by_task_id) {
            (TaskStatus::Failed, _) => return Ok(Verdict::No),
            (TaskStatus::Retried, Some(next)) => {
                output::note(&format!("retried as {next}"));
                id = next;
            }
            (TaskStatus::Canceled, _) => {
                output::note("the Task was canceled before it ran");
                return Ok(Verdict::Yes);
            }
            _ => return Ok(Verdict::Yes),
        }
    }
}

async fn show(session: &Session, source: LogSource, style: &Style) -> Outcome {
    let lines = match session.client.logs(source, None).await {
        Ok(lines) => lines,
        Err(error) if error.code() == Some(NOT_RUN) => {
            output::note("it has not run, so it has no log lines; --follow waits for them");
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let is_empty = lines.is_empty();
    let lines: Vec<_> = lines.into_iter().filter(|line| style.shows(line)).collect();
    if session.json {
        session.show_json(&lines)?;
    } else if is_empty {
        output::note("no log lines yet");
    } else {
        for line in &lines {
            print(line, None, false)?;
        }
    }
    Ok(Verdict::Yes)
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
    let mut seen = 0;
    let mut broken = 0;
    while broken < MOST_BROKEN
        && let Some(mut stream) = stream_of(client, id).await?
    {
        match through(&mut stream, &mut seen, &mut each).await? {
            Ending::Final(task) => return Ok(*task),
            Ending::Closed => broken = 0,
            Ending::Broken => broken += 1,
        }
        tokio::time::sleep(pace.between).await;
    }
    // A stream begins with the first line again, and so does this.
    let skipped = std::mem::take(&mut seen);
    poll(client, id, pace, |line| {
        seen += 1;
        if seen > skipped { each(line) } else { Ok(()) }
    })
    .await
}

/// How often in a row a stream may break before the service is asked again and again instead.
const MOST_BROKEN: u32 = 3;

/// How a stream ended.
enum Ending {
    /// The Task is final.
    Final(Box<Task>),
    /// The service closed it, as it does with each one after some time.
    Closed,
    /// The connection broke.
    Broken,
}

/// A stream of the Task, or `None` where there is none for now.
async fn stream_of(client: &Client, id: ObjectId) -> anyhow::Result<Option<TaskStream>> {
    let stream = match client.stream_task(id).await {
        Ok(stream) => stream,
        Err(ClientError::Service(error)) if error.code.is_some() && error.status < 429 => return Err(error.into()),
        // The service has no streams, or none to spare. What else is wrong shows in the other requests, which are repeated.
        Err(_) => return Ok(None),
    };
    // Who may follow the Task may not be allowed to read its lines, and should learn why there are none.
    match client.logs(LogSource::Task(id), Some(SystemClock.now())).await {
        Err(error) if error.code() != Some(NOT_RUN) => Err(error.into()),
        Ok(_) | Err(_) => Ok(Some(stream)),
    }
}

/// Passes on each line of a stream but the first `seen`.
async fn through(
    stream: &mut TaskStream,
    seen: &mut usize,
    each: &mut impl FnMut(&LogLine) -> anyhow::Result<()>,
) -> anyhow::Result<Ending> {
    let (mut number, mut last) = (0, None);
    loop {
        match stream.next().await {
            Ok(Some(TaskNews::Task(task))) => last = Some(task),
            Ok(Some(TaskNews::Line(line))) => {
                number += 1;
                if number > *seen {
                    *seen = number;
                    each(&line)?;
                }
            }
            Ok(Some(TaskNews::End)) => match last {
                Some(task) => return Ok(Ending::Final(task)),
                None => bail!("the Task is gone"),
            },
            Ok(None) if last.is_some() => return Ok(Ending::Closed),
            Ok(None) | Err(ClientError::Broken { .. } | ClientError::TimedOut { .. }) => return Ok(Ending::Broken),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The same as [`follow`], by asking again and again.
async fn poll(
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

    fn task(status: &str) -> Value {
        json!({
            "id": ID, "functionName": "hello", "status": status, "statusChangedTimestamp": moment(0), "tags": [],
            "startTimestamp": moment(0), "priority": 0, "creationTimestamp": moment(0), "updateTimestamp": moment(0),
        })
    }

    /// A Task that has the status `statuses[n]` and the lines `lines[..count[n]]` at the n-th request.
    async fn followed(
        statuses: &'static [&str],
        lines: &'static [(usize, &str)],
        counts: &'static [usize],
    ) -> (Vec<String>, TaskStatus) {
        let look = AtomicUsize::new(0);
        let server = Server::start(move |seen: &Seen| {
            if seen.target.ends_with("/events") {
                // As on AWS.
                return (404, json!({ "name": "ENDPOINT_EXCEPTION", "message": "there are no streams" }));
            }
            if !seen.target.contains("/logs") {
                let status = statuses[look.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1)];
                let task = task(status);
                return (200, json!({ "query": "", "page": { "total": 1, "offset": 0, "limit": 20 }, "data": [task] }));
            }
            let look = look.load(Ordering::SeqCst) - 1;
            if statuses[look.min(statuses.len() - 1)] == "new" {
                return (400, json!({ "code": 27, "name": "ILLEGAL_STATE_EXCEPTION", "message": "not yet" }));
            }
            let from = seen
                .target
                .split_once("ge(timestamp,")
                .map(|(_, rest)| rest.split(')').next().unwrap().replace("%253A", ":"));
            let count = counts[look.min(counts.len() - 1)];
            let data: Vec<Value> = lines[..count]
                .iter()
                .filter(|(second, _)| from.as_ref().is_none_or(|from| moment(*second) >= *from))
                .map(|(second, message)| json!({ "timestamp": moment(*second), "message": message }))
                .collect();
            (200, json!({ "page": { "offset": 0, "limit": 50 }, "data": data }))
        })
        .await;
        let (printed, task) = shown(&server).await;
        (printed, task.unwrap().status)
    }

    /// What is printed of the Task that this service has, and the Task at the end.
    async fn shown(server: &Server) -> (Vec<String>, anyhow::Result<Task>) {
        let mut printed = Vec::new();
        let pace = Pace { between: Duration::ZERO, looks_after_end: 2 };
        let task = follow(&server.client(), ID.parse().unwrap(), pace, |line| {
            printed.push(line.message.clone());
            Ok(())
        })
        .await;
        (printed, task)
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

    /// What is printed of a Task with these streams, one after the other, and how often the service was asked for one.
    async fn streamed(
        streams: Vec<Vec<(&'static str, &'static str)>>,
        logs: u16,
    ) -> (Vec<String>, anyhow::Result<Task>, usize) {
        let opened = AtomicUsize::new(0);
        let server = Server::start(move |seen: &Seen| {
            if !seen.target.ends_with("/events") {
                let error = json!({ "code": logs, "name": "AN_EXCEPTION", "message": "no" });
                return (400, error);
            }
            let events = streams.get(opened.fetch_add(1, Ordering::SeqCst)).cloned().unwrap_or_default();
            let write = |(name, value)| {
                let data = match name {
                    "task" => task(value),
                    _ => json!({ "taskId": ID, "timestamp": moment(1), "message": value }),
                };
                format!("event: {name}\ndata: {data}\n\n")
            };
            (200, Value::String(events.into_iter().map(write).collect()))
        })
        .await;
        let (printed, task) = shown(&server).await;
        let opened = server.seen().iter().filter(|seen| seen.target.ends_with("/events")).count();
        (printed, task, opened)
    }

    #[tokio::test]
    async fn a_stream_that_was_closed_is_opened_again_and_no_line_is_shown_twice() {
        let first = vec![("task", "inProgress"), ("log", "a"), ("log", "a")];
        let second =
            vec![("task", "inProgress"), ("log", "a"), ("log", "a"), ("log", "b"), ("task", "complete"), ("end", "")];
        let (printed, task, opened) = streamed(vec![first, second], NOT_RUN).await;
        assert_eq!((printed, opened), (vec!["a".to_owned(), "a".to_owned(), "b".to_owned()], 2));
        assert_eq!(task.unwrap().status, TaskStatus::Complete);
    }

    #[tokio::test]
    async fn who_may_not_read_lines_learns_that_and_a_stream_that_says_nothing_is_given_up() {
        let (_, refused, opened) = streamed(vec![vec![("task", "inProgress")]], 10).await;
        assert!(refused.unwrap_err().to_string().contains("AN_EXCEPTION") && opened == 1);
        let (_, _, opened) = streamed(Vec::new(), NOT_RUN).await;
        assert_eq!(opened, 3);
    }

    #[tokio::test]
    async fn following_ends_when_no_report_ever_comes() {
        let (printed, status) = followed(&["inProgress", "failed"], &[(1, "a")], &[1]).await;
        assert_eq!((printed, status), (vec!["a".to_owned()], TaskStatus::Failed));
        let (printed, status) = followed(&["new", "canceled"], &[], &[0]).await;
        assert_eq!((printed, status), (vec![], TaskStatus::Canceled));
    }
}
