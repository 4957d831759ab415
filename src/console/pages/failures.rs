//! Failures: which errors, of which Functions, how often, since when; and replaying them.

use std::time::Duration;

use maud::{Markup, html};
use tasklane_client::Query;
use tasklane_model::{Failure, Permission, Timestamp};

use crate::{
    door::ROOT,
    parts::{brief, clean, count, cut, field, moment, name, select},
    problem::Problem,
    request::query as write_query,
    view::View,
};

use super::Cx;

const SINCE: [(&str, &str); 5] = [
    ("hour", "the last hour"),
    ("day", "the last day"),
    ("week", "the last week"),
    ("", "any time"),
    ("from", "the time on the right"),
];

pub(super) async fn view(cx: &Cx<'_>) -> Result<View, Problem> {
    if !cx.access.may(Permission::ViewTasks) {
        return Err(Problem::NotAllowed(Permission::ViewTasks.as_str()));
    }
    let since = if cx.query.with(&[]).is_empty() { Some("day") } else { cx.query.get("since") };
    let (from, to) = (from(cx, since)?, cx.query.moment("to")?);
    let mut query = Query::new();
    if let Some(function) = cx.query.get("function") {
        query = query.eq("functionName", function);
    }
    if let Some(from) = from {
        query = query.ge("statusChangedTimestamp", from);
    }
    if let Some(to) = to {
        query = query.le("statusChangedTimestamp", to);
    }
    let view = View::new("Failures").still(form(cx, since));
    let (failures, is_partial) = match cx.app.client.failures(query.clone()).await {
        Ok(found) => found,
        Err(error) => return Ok(view.still(Problem::from(error).shown())),
    };
    let failures: Vec<Failure> = failures.into_iter().map(|failure| failure.value).collect();
    Ok(view.live("groups", groups(cx, &failures, is_partial, &query)))
}

fn from(cx: &Cx<'_>, since: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let ago = |hours: u64| {
        // The same for a minute, so that the page does not change with each second.
        let from = cx.now.saturating_sub(Duration::from_secs(hours * 3600)).as_millis() / 60_000 * 60_000;
        Some(Timestamp::saturating_from_millis(from))
    };
    Ok(match since {
        Some("hour") => ago(1),
        Some("day") => ago(24),
        Some("week") => ago(24 * 7),
        _ => cx.query.moment("from")?,
    })
}

fn form(cx: &Cx<'_>, since: Option<&str>) -> Markup {
    html! {
        form.filters method="get" action={ (ROOT) "failures" } role="search" aria-label="Filter failures" {
            (select("Failed in", "since", Some(since.unwrap_or(if cx.query.get("from").is_some() { "from" } else { "" })), &SINCE))
            (moment("From", "from", cx.query.get("from"), "2026-01-31 12:00"))
            (moment("To", "to", cx.query.get("to"), "2026-01-31 13:00"))
            (field("Function", "function", cx.query.get("function"), "any"))
            p.buttons { button type="submit" { "Show" } }
        }
    }
}

fn groups(cx: &Cx<'_>, failures: &[Failure], is_partial: bool, query: &Query) -> Markup {
    let all = query.clone().eq("status", "failed");
    let may_replay = cx.access.may(Permission::CreateTasks);
    let total: u64 = failures.iter().map(|failure| failure.count).sum();
    html! {
        div.acts {
            p.total { strong { (count(total, !is_partial)) } @if total == 1 { " Task failed" } @else { " Tasks failed" }
                @if is_partial { ". There was no time for older ones: choose a shorter time." } }
            @if may_replay && total > 0 { a.button href={ (ROOT) "bulk/new?" (replay(&all)) } { "Replay all…" } }
        }
        @if failures.is_empty() { p.empty { "No Task failed in this time." } }
        @else {
            table {
                thead {
                    tr {
                        th.n { "Count" } th { "Function" } th { "Error" } th { "Message of the latest" } th { "First" }
                        th { "Last" } th { "Example" } th { span.sr { "Acts" } }
                    }
                }
                tbody { @for failure in failures { (row(failure, query, may_replay)) } }
            }
        }
    }
}

fn row(failure: &Failure, query: &Query, may_replay: bool) -> Markup {
    let these = query
        .clone()
        .eq("status", "failed")
        .eq("functionName", &failure.function_name)
        .eq("error.name", &failure.error_name);
    let listed = write_query([("rql", these.as_rql().as_str())].into_iter());
    html! {
        tr {
            td.n.bad data-l="Count" { a href={ (ROOT) "tasks?" (listed) } { (count(failure.count, true)) } }
            td data-l="Function" {
                a href={ (ROOT) "functions/" (failure.function_name) } { (name(failure.function_name.as_str())) }
            }
            td data-l="Error" { (name(&failure.error_name)) }
            td.says data-l="Message" { bdi { (cut(&clean(&failure.message), 160)) } }
            td data-l="First" { (brief(failure.first_timestamp)) }
            td data-l="Last" { (brief(failure.last_timestamp)) }
            td data-l="Example" {
                a.id href={ (ROOT) "tasks/" (failure.example_task_id) } { (failure.example_task_id) }
            }
            td.do { @if may_replay { a.button href={ (ROOT) "bulk/new?" (replay(&these)) } { "Replay…" } } }
        }
    }
}

fn replay(query: &Query) -> String {
    write_query([("action", "replay"), ("which", "all"), ("rql", query.as_rql().as_str())].into_iter())
}
