//! `tasklane api-requests`: list and get. `logs` is in the file of the other logs.

use anyhow::bail;
use clap::Subcommand;
use tasklane_client::{HowMany, Query, Record};
use tasklane_model::{ApiRequest, FunctionName, ObjectId};

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
    Get(Remote<GetArgs>),
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

/// Show an API Request.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane api-requests get 0123456789abcdef01234567")]
pub(super) struct GetArgs {
    /// The API Request's id
    id: ObjectId,
}

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::List(remote) => remote.run(list).await,
            Self::Get(remote) => remote.run(get).await,
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

async fn get(session: Session, args: GetArgs) -> Outcome {
    let found = session.client.api_requests(Query::new().eq("id", args.id), HowMany::First(1)).await?.parse()?;
    let Some(request) = found.into_iter().next() else { bail!("there is no API Request '{}'", args.id) };
    session.show(&request, |request| details(session.layout, request))?;
    Ok(Verdict::Yes)
}

fn details(layout: Layout, request: &ApiRequest) -> String {
    let error = request.error.as_ref().map(|error| format!("{}: {}", error.name, error.message));
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    layout.details([
        ("Id", request.id.to_string()),
        ("Function", request.function_name.to_string()),
        ("Request", format!("{} /{}", request.method, request.path)),
        ("Status", request.status_code.to_string()),
        ("Time", request.timestamp.to_string()),
        ("Duration", format!("{:.3} s", request.duration)),
        ("User", or_dash(request.user_id.as_ref().map(ToString::to_string))),
        ("Error", or_dash(error)),
        ("Logs", format!("tasklane api-requests logs {}", request.id)),
    ])
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
                layout.time(request.timestamp),
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
