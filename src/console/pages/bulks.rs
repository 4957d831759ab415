//! Bulk operations: their progress, and what a new one would do.

use maud::html;
use tasklane_client::{HowMany, NewBulkBody, Query};
use tasklane_model::{Bulk, BulkAction, BulkStatus, ObjectId, Permission};

use crate::{
    acts::bulk_of,
    door::ROOT,
    parts::{brief, bulk_status, clean, confirm, count, cut, field, link_button, moment, name, progress, time},
    problem::Problem,
    request,
    view::View,
};

use super::Cx;

const MOST_ROWS: u64 = 50;

pub(super) async fn list(cx: &Cx<'_>) -> Result<View, Problem> {
    if !cx.access.may(Permission::ViewTasks) {
        return Err(Problem::NotAllowed(Permission::ViewTasks.as_str()));
    }
    let found =
        cx.app.client.bulks(Query::new().sort_by_default("-creationTimestamp"), HowMany::First(MOST_ROWS)).await?;
    let bulks = found.parse().map_err(|error| Problem::Invalid(error.to_string()))?;
    let bulks: Vec<Bulk> = bulks.into_iter().map(|bulk| bulk.value).collect();
    Ok(View::new("Bulk operations").live(
        "list",
        html! {
            @if bulks.is_empty() {
                p.empty {
                    "There is none. Select " a href={ (ROOT) "tasks" } { "Tasks" } ", or replay "
                    a href={ (ROOT) "failures" } { "failures" } "."
                }
            }
            @else {
                table {
                    thead {
                        tr {
                            th { "Status" } th { "Operation" } th.n { "Done" } th.n { "Passed over" } th.n { "Of" }
                            th.bar { "Progress" } th { "Created" } th { "By" }
                        }
                    }
                    tbody {
                        @for bulk in &bulks {
                            tr {
                                td data-l="Status" { (bulk_status(bulk.status)) }
                                td data-l="Operation" {
                                    a href={ (ROOT) "bulk/" (bulk.id) } { (bulk.action) " " span.id { (bulk.id) } }
                                }
                                td.n data-l="Done" { (count(bulk.done, true)) }
                                td.n data-l="Passed over" { (count(bulk.handled().saturating_sub(bulk.done), true)) }
                                td.n data-l="Of" { (count(bulk.matches, bulk.matches_is_exact)) }
                                td.bar data-l="Progress" { (progress(bulk.handled(), bulk.matches)) }
                                td data-l="Created" { (brief(bulk.creation_timestamp)) }
                                td data-l="By" {
                                    @if let Some(user) = &bulk.origin.created_by_user_id { (name(&user.to_string())) }
                                }
                            }
                        }
                    }
                }
            }
        },
    ))
}

pub(super) async fn one(cx: &Cx<'_>, id: &str) -> Result<View, Problem> {
    let bulk = cx.app.client.bulk(request::id(id)?).await?.value;
    let state = html! {
        section.card.why {
            p.lead { (bulk_status(bulk.status)) " " strong { (bulk.action) } }
            p.sentence {
                (count(bulk.handled(), true)) " of " (count(bulk.matches, bulk.matches_is_exact)) " Tasks: "
                (count(bulk.done, true)) " done"
                @for skipped in &bulk.skipped {
                    ", " (count(skipped.count.get(), true)) " passed over because " (reason(skipped))
                }
                "."
            }
            (progress(bulk.handled(), bulk.matches))
            @if bulk.status == BulkStatus::Running && may(cx, bulk.action) {
                p.buttons { (link_button(&format!("bulk/{}/stop", bulk.id), "Stop…")) }
            }
        }
        dl.facts {
            div { dt { "Created" } dd { (time(bulk.creation_timestamp)) } }
            @if let Some(user) = &bulk.origin.created_by_user_id {
                div { dt { "By" } dd { (name(&user.to_string())) } }
            }
            @if let Some(ended) = bulk.ended_timestamp { div { dt { "Ended" } dd { (time(ended)) } } }
            @if let Some(rql) = &bulk.rql { div.wide { dt { "Tasks" } dd { code { (cut(&clean(rql), 500)) } } } }
            @if let Some(schedule) = bulk.schedule_id {
                div { dt { "Schedule" } dd { a.id href={ (ROOT) "schedules/" (schedule) } { (schedule) } } }
            }
            @if let Some(why) = &bulk.reason { div.wide { dt { "Why" } dd { bdi { (clean(why)) } } } }
            @if let Some(pace) = bulk.per_second { div { dt { "At most" } dd { (pace) " in a second" } } }
        }
        @if bulk.action == BulkAction::Replay {
            p { a href={ (ROOT) "tasks?rql=" "ge(id," (bulk.id) ")" } { "Tasks created since" } }
        }
    };
    Ok(View::new(format!("Bulk operation {}", bulk.id)).live("state", state))
}

fn reason(skipped: &tasklane_model::Skipped) -> String {
    match serde_json::to_value(skipped.reason) {
        Ok(serde_json::Value::String(reason)) => format!("they are '{reason}'"),
        _ => "of another reason".to_owned(),
    }
}

/// Whether the caller may do this to Tasks.
pub(super) fn may(cx: &Cx<'_>, action: BulkAction) -> bool {
    cx.access.may(match action {
        BulkAction::Replay => Permission::CreateTasks,
        BulkAction::Backfill => Permission::CreateTaskSchedule,
        BulkAction::Cancel | BulkAction::RetryNow | BulkAction::Reschedule | BulkAction::SetPriority => {
            Permission::CancelTasks
        }
    })
}

/// What a new one would do: it is tried without effect first.
pub(super) async fn new(cx: &Cx<'_>) -> Result<View, Problem> {
    let action = cx.query.get("action").unwrap_or_default();
    let lacks = |name: &str| cx.query.get(name).is_none();
    let label = match action {
        "cancel" => "Cancel them",
        "replay" => "Replay them",
        "retryNow" => "Start them now",
        "reschedule" => "Reschedule them",
        "setPriority" => "Change it",
        _ => return Err(Problem::Invalid("There is no such operation.".to_owned())),
    };
    let ids: Vec<&str> = cx.query.all("id").collect();
    let fields: Vec<(&str, &str)> = ["action", "which", "rql", "start", "priority", "reason"]
        .into_iter()
        .filter_map(|name| cx.query.get(name).map(|value| (name, value)))
        .chain(ids.iter().map(|id| ("id", *id)))
        .collect();
    let view = View::new(label);
    let asked = match action {
        "reschedule" if lacks("start") => Some(moment("Start them at", "start", None, "2026-01-31 08:15")),
        "setPriority" if lacks("priority") => {
            Some(field("Their priority", "priority", None, "higher ones start first"))
        }
        _ => None,
    };
    if let Some(asked) = asked {
        return Ok(view.still(html! {
            section.card { form method="get" action={ (ROOT) "bulk/new" } {
                @for (name, value) in &fields { input type="hidden" name=(name) value=(value); }
                (asked)
                p.buttons { button type="submit" { "Count them…" } a.button href={ (ROOT) "tasks" } { "Go back" } }
            } }
        }));
    }
    let body: NewBulkBody = bulk_of(cx.query, true)?;
    let tried = cx.app.client.create_bulk(&body).await?.value;
    let matches = count(tried.matches, tried.matches_is_exact);
    let what = html! {
        p.sentence {
            (will(body.action)) " " strong { (matches) } @if tried.matches == 1 { " Task." } @else { " Tasks." }
        }
        @if let Some(rql) = &body.rql { p { "Those that match " code { (cut(&clean(rql), 500)) } } }
        @if let Some(ids) = &body.ids {
            p.note {
                (ids.len()) " selected: " @for id in ids.iter().take(5) { span.id { (id) } " " }
                @if ids.len() > 5 { "…" }
            }
        }
        p.note {
            (how(body.action)) " Only Tasks that exist now are touched, each once. You can stop it while it runs."
        }
    };
    if tried.matches == 0 {
        return Ok(view.still(html! { section.card { p.sentence { "No Task matches: nothing would happen." } p.buttons { a.button href={ (ROOT) "tasks" } { "Go back" } } } }));
    }
    Ok(view.still(confirm("bulk/new", &fields, what, label, "tasks")))
}

fn will(action: BulkAction) -> &'static str {
    match action {
        BulkAction::Cancel => "This cancels",
        BulkAction::Replay => "This runs again, as new Tasks with the same input,",
        BulkAction::RetryNow => "This starts as soon as possible",
        BulkAction::Reschedule => "This changes the start of",
        BulkAction::SetPriority => "This changes the priority of",
        BulkAction::Backfill => "This creates",
    }
}

fn how(action: BulkAction) -> &'static str {
    match action {
        BulkAction::Cancel => "Tasks that have started meanwhile are passed over. A canceled Task never runs.",
        BulkAction::Replay => "The old Tasks stay as they are. What their runs did outside happens a second time.",
        BulkAction::RetryNow | BulkAction::Reschedule | BulkAction::SetPriority => {
            "Tasks that have started meanwhile are passed over."
        }
        BulkAction::Backfill => "They start now.",
    }
}

/// The ids of a form.
pub(crate) fn ids(texts: impl Iterator<Item = impl AsRef<str>>) -> Result<Vec<ObjectId>, Problem> {
    let parse = |text: &str| {
        text.parse().map_err(|_| Problem::Invalid(format!("'{}' is not the id of a Task.", cut(&clean(text), 40))))
    };
    texts.map(|text| parse(text.as_ref())).collect()
}
