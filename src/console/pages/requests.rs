//! API Requests and their logs.

use maud::{Markup, html};
use tasklane_client::{HowMany, LogSource, Query};
use tasklane_model::{ApiRequest, Permission};

use crate::{
    door::ROOT,
    parts::{brief, clean, count, cut, field, name, seconds},
    problem::Problem,
    request,
    view::View,
};

use super::{Cx, task::log};

const PAGE: u64 = 50;

pub(super) async fn list(cx: &Cx<'_>) -> Result<View, Problem> {
    if !cx.access.may(Permission::ViewApiFunctionRequests) {
        return Err(Problem::NotAllowed(Permission::ViewApiFunctionRequests.as_str()));
    }
    let mut query = Query::new().and("sort(-id)");
    if let Some(function) = cx.query.get("function") {
        query = query.eq("functionName", function);
    }
    if let Some(code) = cx.query.parsed::<u16>("code", "a number such as 404")? {
        query = query.eq("statusCode", code);
    }
    if let Some(before) = cx.query.parsed::<tasklane_model::ObjectId>("before", "an id")? {
        query = query.lt("id", before);
    }
    let form = html! {
        form.filters method="get" action={ (ROOT) "requests" } role="search" aria-label="Filter API Requests" {
            (field("Function", "function", cx.query.get("function"), "any"))
            (field("Status code", "code", cx.query.get("code"), "any"))
            p.buttons { button type="submit" { "Filter" } }
        }
    };
    let found = cx.app.client.api_requests(query, HowMany::First(PAGE)).await?;
    let requests = found.parse().map_err(|error| Problem::Invalid(error.to_string()))?;
    let requests: Vec<ApiRequest> = requests.into_iter().map(|request| request.value).collect();
    let older = requests
        .last()
        .filter(|_| requests.len() as u64 >= PAGE)
        .map(|last| cx.query.with(&[("before", Some(&last.id.to_string()))]));
    Ok(View::new("API Requests").still(form).live("list", html! {
        p.total {
            strong {
                (found.total.map_or_else(|| count(requests.len() as u64, false), |total| count(total, found.total_is_exact)))
            }
            " API Requests"
        }
        @if requests.is_empty() { p.empty { "No Function was called over HTTP." } } @else { (table(&requests)) }
        @if let Some(older) = older {
            nav.pages aria-label="Pages of API Requests" { a.button href={ (ROOT) "requests?" (older) } { "Older" } }
        }
    }))
}

/// A table of them.
pub(super) fn table(requests: &[ApiRequest]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th.n { "Code" } th { "Call" } th { "Function" } th { "When" } th.n { "Took" } th { "Error" }
                    th { "Request" }
                }
            }
            tbody {
                @for request in requests {
                    tr {
                        td.n.bad[request.error.is_some()] data-l="Code" { (request.status_code) }
                        td.says data-l="Call" {
                            code { (request.method.as_str()) " /" (cut(&clean(&request.path), 80)) }
                        }
                        td data-l="Function" {
                            a href={ (ROOT) "functions/" (request.function_name) } {
                                (name(request.function_name.as_str()))
                            }
                        }
                        td data-l="When" { (brief(request.timestamp)) }
                        td.n data-l="Took" { (seconds(request.duration)) }
                        td.says data-l="Error" {
                            @if let Some(error) = &request.error {
                                bdi { (cut(&clean(&format!("{}: {}", error.name, error.message)), 80)) }
                            }
                        }
                        td data-l="Request" { a.id href={ (ROOT) "requests/" (request.id) } { (request.id) } }
                    }
                }
            }
        }
    }
}

pub(super) async fn one(cx: &Cx<'_>, id: &str) -> Result<View, Problem> {
    let id = request::id(id)?;
    let found = cx.app.client.api_requests(Query::new().eq("id", id), HowMany::First(1)).await?;
    let found = found.parse().map_err(|error| Problem::Invalid(error.to_string()))?;
    let request = found.into_iter().next().ok_or(Problem::NoPage)?.value;
    let log = log::of_run(cx, LogSource::ApiRequest(id), id, "requests").await;
    Ok(View::new(format!("API Request {id}"))
        .still(html! {
            (table(std::slice::from_ref(&request)))
            @if let Some(error) = &request.error {
                h2 { "Error" }
                pre.error tabindex="0" aria-label="Error" { (clean(&format!("{}: {}", error.name, error.message))) }
            }
        })
        .live("log", log))
}
