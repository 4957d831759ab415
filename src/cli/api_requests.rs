//! `tasklane api-requests`: list. `logs` is in the file of the other logs.

use clap::Subcommand;
use tasklane_client::{Query, Record};
use tasklane_model::{ApiRequest, FunctionName};

use super::{
    Outcome, Verdict,
    functions::{self, HowManyArgs},
    logs,
    session::{Remote, Session},
    table::{Layout, cell, optional},
};

/// See the calls of API Functions and their logs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(Remote<ListArgs>),
    Logs(Remote<logs::ApiRequestLogsArgs>),
}

/// List API Requests, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane api-requests list --rql 'ge(statusCode,400)'")]
pub(super) struct ListArgs {
    /// Only requests to this Function
    #[arg(long, value_name = "NAME", value_parser = functions::name)]
    function: Option<FunctionName>,

    /// Only requests that match this RQL
    #[arg(long, value_name = "RQL")]
    rql: Option<String>,

    #[command(flatten)]
    how_many: HowManyArgs,
}

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::List(remote) => remote.run(list).await,
            Self::Logs(remote) => remote.run(logs::of_api_request).await,
        }
    }
}

async fn list(session: Session, args: ListArgs) -> Outcome {
    let mut query = Query::new();
    if let Some(function) = &args.function {
        query = query.eq("functionName", function);
    }
    query = query.and(args.rql.as_deref().unwrap_or_default()).sort_by_default("-timestamp");
    let requests = session.client.api_requests(query, args.how_many.into()).await?;
    session.show_listing(&requests, "API Requests", |requests| table(session.layout, requests))?;
    Ok(Verdict::Yes)
}

fn table(layout: Layout, requests: &[Record<ApiRequest>]) -> String {
    layout.list(
        &["ID", "FUNCTION", "METHOD", "PATH", "STATUS", "TIME", "SECONDS", "USER", "ERROR"],
        requests.iter().map(|Record { value: request, .. }| {
            vec![
                cell(request.id),
                cell(&request.function_name),
                cell(request.method),
                cell(format!("/{}", request.path)),
                cell(request.status_code),
                cell(request.timestamp),
                cell(format!("{:.3}", request.duration)),
                optional(request.user_id.as_ref()),
                optional(request.error.as_ref().map(|error| &error.name)),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_has_a_line_per_request() {
        let request = json!({
            "id": "0123456789abcdef01234567", "functionName": "web", "method": "GET", "path": "a/b?c=d", "userId": "ada",
            "statusCode": 400, "timestamp": "2026-01-31T08:15:30.123Z", "duration": 0.25,
            "error": { "type": "response", "name": "INVALID_API_FUNCTION_RESULT", "message": "m" },
        });
        let request: Record<ApiRequest> = serde_json::from_str(&request.to_string()).unwrap();
        insta::assert_snapshot!(table(Layout::PLAIN, &[request]), @"
        ID                        FUNCTION  METHOD  PATH      STATUS  TIME                      SECONDS  USER  ERROR
        0123456789abcdef01234567  web       GET     /a/b?c=d  400     2026-01-31T08:15:30.123Z  0.250    ada   INVALID_API_FUNCTION_RESULT
        ");
    }
}
