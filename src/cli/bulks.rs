//! `tasklane bulk`: list, get and stop operations on many Tasks.

use std::time::Duration;

use clap::Subcommand;
use tasklane_client::{Query, Record};
use tasklane_model::{Bulk, BulkStatus, ObjectId};
use tasklane_ports::{Clock as _, SystemClock};

use super::{
    Outcome, Verdict,
    functions::HowManyArgs,
    output,
    session::{Remote, Session},
    table::{Layout, cell, optional},
};

/// See operations on many Tasks, and stop them. `tasklane tasks replay|cancel|… --rql` begin one.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(Remote<ListArgs>),
    Get(Remote<GetArgs>),
    Stop(Remote<StopArgs>),
}

/// List operations, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane bulk list --rql 'status=running'")]
pub(super) struct ListArgs {
    /// Only operations that match this RQL
    #[arg(long, value_name = "RQL")]
    rql: Option<String>,

    #[command(flatten)]
    how_many: HowManyArgs,
}

/// Show how far an operation is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 it is complete, or still running; 1 with --wait: it was stopped; 2 it could not be read.

Example:
  tasklane bulk get 0123456789abcdef01234567 --wait")]
pub(super) struct GetArgs {
    /// The operation's id
    id: ObjectId,

    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
}

/// Stop an operation. What was done stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane bulk stop 0123456789abcdef01234567")]
pub(super) struct StopArgs {
    /// The operation's id
    id: ObjectId,
}

/// How often the progress of an operation is read.
const PACE: Duration = Duration::from_secs(1);

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::List(remote) => remote.run(list).await,
            Self::Get(remote) => remote.run(get).await,
            Self::Stop(remote) => remote.run(stop).await,
        }
    }
}

async fn list(session: Session, args: ListArgs) -> Outcome {
    let query = Query::new().and(args.rql.as_deref().unwrap_or_default()).sort_by_default("-creationTimestamp");
    let bulks = session.client.bulks(query, args.how_many.into()).await?;
    session.show_listing(&bulks, "operations", |bulks| table(session.layout, bulks))?;
    Ok(Verdict::Yes)
}

async fn get(session: Session, args: GetArgs) -> Outcome {
    if args.wait {
        return show_when_ended(&session, args.id).await;
    }
    let bulk = session.client.bulk(args.id).await?;
    session.show(&bulk, |bulk| details(session.layout, bulk))?;
    Ok(Verdict::Yes)
}

async fn stop(session: Session, args: StopArgs) -> Outcome {
    let answer = session.client.stop_bulk(args.id).await?;
    let sentence = if answer.value.affected_records == 0 { "had ended already" } else { "stopped" };
    session.done(&answer, &format!("{}: {sentence}", args.id))?;
    Ok(Verdict::Yes)
}

/// Shows the progress of an operation on stderr until it has ended, and then what it did.
pub(super) async fn show_when_ended(session: &Session, id: ObjectId) -> Outcome {
    let mut last = None;
    loop {
        let bulk = session.client.bulk(id).await?;
        let handled = bulk.value.handled();
        if bulk.value.status != BulkStatus::Running {
            session.show(&bulk, |bulk| details(session.layout, bulk))?;
            return Ok(if bulk.value.status == BulkStatus::Complete { Verdict::Yes } else { Verdict::No });
        }
        if last != Some(handled) {
            output::note(&progress(&bulk.value));
            last = Some(handled);
        }
        SystemClock.sleep(PACE).await;
    }
}

fn progress(bulk: &Bulk) -> String {
    let skipped = bulk.handled() - bulk.done;
    let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} passed over") };
    format!("{} {}: {} of {} done{skipped}", bulk.action, bulk.id, bulk.done, matches(bulk))
}

fn matches(bulk: &Bulk) -> String {
    if bulk.matches_is_exact { bulk.matches.to_string() } else { format!("more than {}", bulk.matches) }
}

fn table(layout: Layout, bulks: &[Record<Bulk>]) -> String {
    layout.list(
        &["ID", "ACTION", "STATUS", "DONE", "SKIPPED", "MATCHES", "CREATED", "REASON"],
        bulks.iter().map(|Record { value: bulk, .. }| {
            vec![
                cell(bulk.id),
                cell(bulk.action),
                cell(status(bulk.status)),
                cell(bulk.done),
                cell(bulk.handled() - bulk.done),
                cell(matches(bulk)),
                cell(bulk.creation_timestamp),
                optional(bulk.reason.as_ref()),
            ]
        }),
    )
}

fn status(status: BulkStatus) -> &'static str {
    match status {
        BulkStatus::Running => "running",
        BulkStatus::Complete => "complete",
        BulkStatus::Stopped => "stopped",
    }
}

fn details(layout: Layout, bulk: &Bulk) -> String {
    let mut rows = vec![
        ("Id", bulk.id.to_string()),
        ("Action", bulk.action.to_string()),
        ("Status", status(bulk.status).to_owned()),
        ("Matches", matches(bulk)),
        ("Done", bulk.done.to_string()),
    ];
    if !bulk.skipped.is_empty() {
        let line = |skipped: &tasklane_model::Skipped| {
            let reason = serde_json::to_value(skipped.reason).unwrap_or_default();
            format!("{} {}", skipped.count, reason.as_str().unwrap_or_default())
        };
        rows.push(("Skipped", bulk.skipped.iter().map(line).collect::<Vec<_>>().join("\n")));
    }
    rows.extend(bulk.rql.as_ref().map(|rql| ("RQL", rql.clone())));
    rows.extend(bulk.start_timestamp.map(|start| ("Start", start.to_string())));
    rows.extend(bulk.priority.map(|priority| ("Priority", priority.to_string())));
    rows.extend(bulk.per_second.map(|per_second| ("Per second", per_second.to_string())));
    rows.extend(bulk.reason.as_ref().map(|reason| ("Reason", reason.clone())));
    rows.push(("Created", bulk.creation_timestamp.to_string()));
    let user = bulk.origin.created_by_user_id.as_ref();
    rows.extend(user.map(|user| ("Created by", user.to_string())));
    rows.extend(bulk.ended_timestamp.map(|ended| ("Ended", ended.to_string())));
    layout.details(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bulk() -> Record<Bulk> {
        let bulk = json!({
            "id": "0123456789abcdef01234567", "action": "replay", "status": "running", "matches": 1000,
            "matchesIsExact": false, "done": 40, "skipped": [{ "reason": "retried", "count": 2 }],
            "rql": "status=failed", "reason": "after the bad\nhour", "createdByUserId": "ada",
            "creationTimestamp": "2026-01-31T08:15:30.123Z", "updateTimestamp": "2026-01-31T08:15:30.123Z",
        });
        serde_json::from_str(&bulk.to_string()).unwrap()
    }

    #[test]
    fn an_operation_is_shown_in_a_list_by_itself_and_while_it_runs() {
        insta::assert_snapshot!(table(Layout::PLAIN, &[bulk()]), @"
        ID                        ACTION  STATUS   DONE  SKIPPED  MATCHES         CREATED                   REASON
        0123456789abcdef01234567  replay  running  40    2        more than 1000  2026-01-31T08:15:30.123Z  after the bad hour
        ");
        let progress = progress(&bulk().value);
        assert_eq!(progress, "replay 0123456789abcdef01234567: 40 of more than 1000 done, 2 passed over");
        let details = details(Layout::PLAIN, &bulk().value);
        assert!(details.contains("2 retried") && details.contains("status=failed"), "{details}");
    }
}
