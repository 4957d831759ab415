//! `tasklane tasks batch`: creates many Tasks in one call.

use tasklane_client::{BatchEntry, TaskBatchBody};
use tasklane_model::IdempotencyKey;

use super::{
    Outcome, Verdict,
    input::{JsonSource, idempotency_key},
    output,
    session::Session,
};

/// Queue up to 100 Tasks at once. Prints their ids in the same order.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all Tasks are queued; 1 some are not (why is on stderr); 2 none is.

Example:
  tasklane tasks batch '[{\"functionName\":\"hello-js\",\"data\":1},{\"functionName\":\"hello-js\",\"data\":2}]'")]
pub(super) struct Args {
    /// The Tasks, a list of objects as for POST /tasks/v1: JSON, @FILE, or - for stdin
    #[arg(value_name = "JSON")]
    tasks: JsonSource,

    /// A name for this call, such as import-7: the same call with the same name has an effect only once within 24 hours
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    idempotency_key: Option<IdempotencyKey>,
}

pub(super) async fn run(session: Session, args: Args) -> Outcome {
    let body = TaskBatchBody { tasks: args.tasks.read()?, idempotency_key: args.idempotency_key };
    let outcome = session.client.create_tasks(&body).await?;
    if session.json {
        session.show_json(&outcome.json)?;
    } else {
        for (place, entry) in outcome.value.data.iter().enumerate() {
            match told(place, entry) {
                Ok(id) => output::data(&id)?,
                Err(why) => output::note(&why),
            }
        }
    }
    let is_complete = outcome.value.data.iter().all(|entry| entry.id.is_some());
    Ok(if is_complete { Verdict::Yes } else { Verdict::No })
}

fn told(place: usize, entry: &BatchEntry) -> Result<String, String> {
    entry.id.map(|id| id.to_string()).ok_or_else(|| {
        let (name, message) = (entry.name.as_deref().unwrap_or("?"), entry.message.as_deref().unwrap_or_default());
        format!("task {place}: {name}: {message}")
    })
}
