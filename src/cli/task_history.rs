//! `tasklane tasks attempts` and `why`.

use tasklane_client::Record;
use tasklane_model::Attempt;

use super::{
    Outcome, Verdict,
    session::Session,
    table::{Layout, cell, optional},
    task_arg::TaskArg,
};

/// List a Task and its retries, from the id of any of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane tasks attempts 0123456789abcdef01234567")]
pub(super) struct AttemptsArgs {
    #[command(flatten)]
    task: TaskArg,
}

/// Say in a sentence why a Task waits, or what became of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane tasks why 0123456789abcdef01234567")]
pub(super) struct WhyArgs {
    #[command(flatten)]
    task: TaskArg,
}

pub(super) async fn attempts(session: Session, args: AttemptsArgs) -> Outcome {
    let records = session.client.task_attempts(args.task.resolve(&session.client).await?).await?;
    session.show_records(&records, "attempts", |records| table(session.layout, records))?;
    Ok(Verdict::Yes)
}

pub(super) async fn why(session: Session, args: WhyArgs) -> Outcome {
    let why = session.client.why(args.task.resolve(&session.client).await?).await?;
    session.show(&why, |why| why.message.clone())?;
    Ok(Verdict::Yes)
}

fn table(layout: Layout, attempts: &[Record<Attempt>]) -> String {
    layout.list(
        &["TASK", "STATUS", "START", "CLAIMED", "ENDED", "ERROR"],
        attempts.iter().map(|Record { value: attempt, .. }| {
            vec![
                cell(attempt.task_id),
                layout.status(attempt.status),
                layout.time(attempt.start_timestamp),
                layout.optional_time(attempt.claimed_timestamp),
                layout.optional_time(attempt.ended_timestamp),
                optional(attempt.error.as_ref().map(|error| &error.name)),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attempts_have_a_line_each() {
        let at = |second: u8| format!("2026-01-31T08:15:{second}.000Z");
        let retried = json!({
            "taskId": "0123456789abcdef01234567", "status": "retried", "creationTimestamp": at(30), "startTimestamp": at(30),
            "claimedTimestamp": at(31), "endedTimestamp": at(32), "error": { "type": "runtime", "name": "E", "message": "m" },
        });
        let new = json!({
            "taskId": "0123456789abcdef01234568", "status": "new", "creationTimestamp": at(32), "startTimestamp": at(34),
        });
        let attempts = [retried, new].map(|json| serde_json::from_str(&json.to_string()).unwrap());
        insta::assert_snapshot!(table(Layout::PLAIN, &attempts), @"
        TASK                      STATUS   START                     CLAIMED                   ENDED                     ERROR
        0123456789abcdef01234567  retried  2026-01-31T08:15:30.000Z  2026-01-31T08:15:31.000Z  2026-01-31T08:15:32.000Z  E
        0123456789abcdef01234568  new      2026-01-31T08:15:34.000Z  -                         -                         -
        ");
    }
}
