//! `tasklane execute`: runs a Function directly.

use tasklane_client::{ClientError, ServiceError};
use tasklane_model::{FunctionName, IdempotencyKey};

use super::{
    Outcome, Verdict, functions,
    input::{JsonSource, idempotency_key},
    output,
    session::{Session, json_of},
};

/// Run a Function now, bypassing the queue, and wait for its result.
///
/// Prints the result as JSON on stdout, or with --json the whole finished Task, or {"error": …} if it failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the Function returned; 1 it failed (its error is on stderr); 2 it could not be run.

Example:
  tasklane execute hello-js --data '{\"name\":\"Ada\"}'")]
pub(super) struct Args {
    /// The Function's name
    #[arg(value_parser = functions::name)]
    name: FunctionName,

    /// Input for the Function, as event.data: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    data: Option<JsonSource>,

    /// A name for this call, such as order-4711: the same call with the same name has an effect only once within 24 hours
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    idempotency_key: Option<IdempotencyKey>,
}

/// The code of the error that the Function threw.
const RUNTIME_ERROR: u16 = 1406;

pub(super) async fn run(session: Session, args: Args) -> Outcome {
    let data = args.data.map(|source| source.read()).transpose()?;
    match session.client.execute(&args.name, data.as_ref(), args.idempotency_key.as_ref()).await {
        Ok(answer) if session.json => session.show_json(&answer.json)?,
        // On one line, as `run` prints it.
        Ok(answer) => output::json(answer.value.result.as_str())?,
        Err(ClientError::Service(error)) if error.code == Some(RUNTIME_ERROR) => {
            output::note(&failure(&error));
            if session.json {
                session.show_json(&json_of(&ClientError::Service(error).into()))?;
            }
            return Ok(Verdict::No);
        }
        Err(e) => return Err(e.into()),
    }
    Ok(Verdict::Yes)
}

fn failure(error: &ServiceError) -> String {
    let part = |value: Option<&serde_json::Value>| value.and_then(|value| value.as_str()).map(str::to_owned);
    let thrown = error.details.get("runtimeError");
    let name = part(thrown.and_then(|thrown| thrown.get("name"))).unwrap_or_else(|| error.name.clone());
    let message = part(thrown.and_then(|thrown| thrown.get("message"))).unwrap_or_else(|| error.message.clone());
    match part(error.details.get("taskId")) {
        Some(task) => format!("{name}: {message}\nsee its logs: tasklane tasks logs {task}"),
        None => format!("{name}: {message}"),
    }
}
