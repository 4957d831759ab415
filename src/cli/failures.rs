//! `tasklane failures`: failed Tasks by Function and error.

use tasklane_client::{Query, Record};
use tasklane_model::{Failure, FunctionName};
use tasklane_ports::{Clock, SystemClock};

use super::{
    Outcome, Verdict, functions,
    input::When,
    output,
    session::Session,
    table::{Layout, cell},
};

/// Show which errors Tasks failed with, how often, and since when.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane failures --since -1d --function hello-js")]
pub(super) struct Args {
    /// Only Tasks of this Function
    #[arg(long, value_name = "NAME", value_parser = functions::name)]
    function: Option<FunctionName>,

    /// Only Tasks that failed after this: 2026-01-31T08:15:30Z, or -90s, -5m, -2h, -30d
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    since: Option<When>,

    /// Only Tasks that match this RQL; percent-encode special characters in values twice
    #[arg(long, value_name = "RQL")]
    rql: Option<String>,
}

pub(super) async fn run(session: Session, args: Args) -> Outcome {
    let mut query = Query::new();
    if let Some(function) = &args.function {
        query = query.eq("functionName", function);
    }
    if let Some(since) = args.since {
        query = query.ge("statusChangedTimestamp", since.resolve(SystemClock.now()));
    }
    let (failures, is_partial) = session.client.failures(query.and(args.rql.as_deref().unwrap_or_default())).await?;
    session.show_records(&failures, "failures", |failures| table(session.layout, failures))?;
    if is_partial {
        output::note("there was no time to look at older Tasks; use --since or --rql to look at fewer");
    }
    Ok(Verdict::Yes)
}

fn table(layout: Layout, failures: &[Record<Failure>]) -> String {
    layout.list(
        &["COUNT", "FUNCTION", "ERROR", "FIRST", "LAST", "EXAMPLE", "MESSAGE"],
        failures.iter().map(|Record { value: failure, .. }| {
            vec![
                cell(failure.count),
                cell(&failure.function_name),
                cell(&failure.error_name),
                cell(failure.first_timestamp),
                cell(failure.last_timestamp),
                cell(failure.example_task_id),
                cell(&failure.message),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_have_a_line_each() {
        let failure = json!({
            "functionName": "hello", "errorName": "TypeError", "message": "x is\tnot", "count": 12,
            "firstTimestamp": "2026-01-31T08:15:30.000Z", "lastTimestamp": "2026-01-31T08:16:30.000Z",
            "exampleTaskId": "0123456789abcdef01234567",
        });
        insta::assert_snapshot!(table(Layout::PLAIN, &[serde_json::from_str(&failure.to_string()).unwrap()]), @"
        COUNT  FUNCTION  ERROR      FIRST                     LAST                      EXAMPLE                   MESSAGE
        12     hello     TypeError  2026-01-31T08:15:30.000Z  2026-01-31T08:16:30.000Z  0123456789abcdef01234567  x is not
        ");
    }
}
