//! Tasks: filters, RQL, and acts on many.

use maud::{Markup, html};
use tasklane_client::Query;
use tasklane_model::{FunctionName, ObjectId, Permission, Task};

use crate::{
    door::ROOT,
    parts::{brief, clean, count, cut, field, moment, name, select, status},
    problem::Problem,
    request::Fields,
    view::View,
};

use super::Cx;

/// How many Tasks are on a page.
const PAGE: u64 = 50;

const STATUSES: [(&str, &str); 7] = [
    ("", "any status"),
    ("new", "new"),
    ("inProgress", "running"),
    ("complete", "complete"),
    ("failed", "failed"),
    ("retried", "retried"),
    ("canceled", "canceled"),
];

/// What can stand in RQL, for the list of suggestions.
const WORDS: [&str; 26] = [
    "eq(status,failed)",
    "in(status,new,inProgress)",
    "eq(functionName,",
    "eq(tags,",
    "eq(error.name,",
    "eq(data.",
    "like(error.message,",
    "ge(creationTimestamp,",
    "le(creationTimestamp,",
    "ge(startTimestamp,",
    "le(startTimestamp,",
    "ge(statusChangedTimestamp,",
    "gt(priority,",
    "eq(scheduleId,",
    "eq(replayOf,",
    "eq(createdByUserId,",
    "ne(",
    "in(",
    "out(",
    "or(",
    "and(",
    "contains(",
    "excludes(",
    "sort(-creationTimestamp)",
    "sort(startTimestamp)",
    "sort(-priority)",
];

/// The fields of the form as a query, without a page's bounds.
fn query_of(fields: &Fields) -> Result<Query, Problem> {
    let mut query = Query::new();
    if let Some(function) = fields.get("function") {
        query = query.eq("functionName", function);
    }
    if let Some(status) = fields.get("status") {
        query = query.eq("status", status);
    }
    if let Some(tag) = fields.get("tag") {
        query = query.eq("tags", tag);
    }
    if let (Some(key), Some(value)) = (fields.get("key"), fields.get("value")) {
        if !key.chars().all(|char| char.is_alphanumeric() || matches!(char, '.' | '_' | '-')) {
            return Err(Problem::Invalid("A key is a path of names with dots, such as tenant.id.".to_owned()));
        }
        query = query.eq(&format!("data.{key}"), value);
    }
    if let Some(from) = fields.moment("from")? {
        query = query.ge("creationTimestamp", from);
    }
    if let Some(to) = fields.moment("to")? {
        query = query.le("creationTimestamp", to);
    }
    Ok(match fields.get("rql") {
        Some(rql) => query.and(rql),
        None => query,
    })
}

pub(super) async fn view(cx: &Cx<'_>) -> Result<View, Problem> {
    if !cx.access.may(Permission::ViewTasks) {
        return Err(Problem::NotAllowed(Permission::ViewTasks.as_str()));
    }
    let names = match cx.access.may(Permission::ViewTaskFunctions) {
        true => cx.app.client.functions().await.unwrap_or_default(),
        false => Vec::new(),
    };
    let names: Vec<_> = names.into_iter().map(|function| function.value.name).collect();
    let view = View::new("Tasks").still(form(cx, &names));
    let found = match found(cx).await {
        Ok(found) => found,
        Err(problem) => return Ok(view.still(problem.shown())),
    };
    let acts = acts(cx, &found);
    Ok(view.live(
        "list",
        html! { form method="get" action={ (ROOT) "bulk/new" } { (acts) (list(cx, &found)) } (pages(cx, &found)) },
    ))
}

struct Found {
    tasks: Vec<Task>,
    total: Option<u64>,
    total_is_exact: bool,
    /// Where the next page begins: after a Task, or after a number of Tasks.
    next: Option<Next>,
    is_partial: bool,
    rql: String,
}

enum Next {
    Before(ObjectId),
    Offset(u64),
}

async fn found(cx: &Cx<'_>) -> Result<Found, Problem> {
    let mut query = query_of(cx.query)?;
    let rql = query.as_rql();
    if query.has_limit() || rql.contains("select(") {
        return Err(Problem::Invalid(
            "Leave limit(…) and select(…) out: the console turns the pages itself.".to_owned(),
        ));
    }
    let is_ordered = query.has_order();
    let offset: u64 = cx.query.parsed("offset", "a number")?.unwrap_or(0);
    if let Some(before) = cx.query.parsed::<ObjectId>("before", "the id of a Task")? {
        query = query.lt("id", before);
    }
    // Counting what one cannot see costs time.
    let page = cx.app.client.task_page(&query.sort_by_default("-id").limit(PAGE, offset)).await?;
    let tasks = page.data.iter().map(|json| serde_json::from_str(json.as_str())).collect::<Result<Vec<Task>, _>>();
    let tasks =
        tasks.map_err(|error| Problem::Invalid(format!("The service sent a Task that cannot be read: {error}.")))?;
    let is_full = tasks.len() as u64 >= PAGE;
    let next = match (is_ordered, page.page.next) {
        (false, Some(next)) => Some(Next::Before(next)),
        (false, None) => tasks.last().filter(|_| is_full).map(|task| Next::Before(task.id)),
        (true, _) => is_full.then_some(Next::Offset(offset + PAGE)),
    };
    Ok(Found {
        tasks,
        total: page.page.total,
        total_is_exact: page.page.total_is_exact.unwrap_or(true),
        next,
        is_partial: page.page.is_partial == Some(true),
        rql,
    })
}

fn form(cx: &Cx<'_>, functions: &[FunctionName]) -> Markup {
    let get = |name: &str| cx.query.get(name);
    html! {
        form.filters method="get" action={ (ROOT) "tasks" } role="search" aria-label="Filter Tasks" {
            label.field {
                span { "Function" }
                input name="function" list="names" value=(get("function").map(clean).unwrap_or_default()) placeholder="any" autocomplete="off" spellcheck="false" maxlength="64";
            }
            datalist id="names" { @for name in functions.iter().take(1000) { option value=(name) {} } }
            (select("Status", "status", get("status"), &STATUSES))
            (field("Tag", "tag", get("tag"), "any"))
            (field("Key in data", "key", get("key"), "tenant.id"))
            (field("Its value", "value", get("value"), "42"))
            (moment("Created from", "from", get("from"), "2026-01-31 08:00"))
            (moment("Created to", "to", get("to"), "2026-01-31 09:00"))
            label.field.wide {
                span { "RQL" }
                input name="rql" list="words" data-words value=(get("rql").map(clean).unwrap_or_default()) placeholder="eq(error.name,TypeError)&ge(priority,5)" autocomplete="off" spellcheck="false" maxlength="4000";
            }
            datalist id="words" { @for word in WORDS { option value=(word) {} } }
            p.buttons { button type="submit" { "Filter" } a.button href={ (ROOT) "tasks" } { "All Tasks" } }
            details.help {
                summary { "How to write RQL" }
                p {
                    "Conditions, joined by " code { "&" } ": "
                    code { "eq ne gt ge lt le in out like contains excludes and or" }
                    ". Dots reach into objects. The order: " code { "sort(-creationTimestamp)" } ". Times are in UTC."
                }
                ul {
                    li { code { "eq(status,failed)&like(error.message,*timeout*)" } }
                    li { code { "eq(data.tenant,acme)&ge(creationTimestamp,2026-01-31T08:00:00Z)" } }
                    li { code { "or(eq(tags,import),gt(priority,5))&sort(-priority)" } }
                }
            }
        }
    }
}

/// What can be done with the selected Tasks, or with all.
fn acts(cx: &Cx<'_>, found: &Found) -> Markup {
    let (may_cancel, may_create) = (cx.access.may(Permission::CancelTasks), cx.access.may(Permission::CreateTasks));
    let total =
        found.total.map_or_else(|| "all".to_owned(), |total| count(total, found.total_is_exact && !found.is_partial));
    html! {
        div.acts {
            p.total {
                strong { (total) } @if found.total == Some(1) { " Task" } @else { " Tasks" }
                @if found.is_partial { " so far: there was no time for more" }
            }
            @if (may_cancel || may_create) && !found.tasks.is_empty() {
                input type="hidden" name="rql" value=(found.rql);
                @if found.rql.is_empty() { span.note { "With those selected:" } }
                @else {
                    fieldset.choose {
                        legend.sr { "Which Tasks" }
                        label { input type="radio" name="which" value="selected" checked; " selected" }
                        label { input type="radio" name="which" value="all"; " all that match" }
                    }
                }
                @if may_cancel { button name="action" value="cancel" { "Cancel…" } }
                @if may_create { button name="action" value="replay" { "Replay…" } }
                @if may_cancel { button name="action" value="reschedule" { "Reschedule…" } }
                @if may_cancel { button name="action" value="setPriority" { "Priority…" } }
                @if may_cancel { button name="action" value="retryNow" { "Start now…" } }
            }
        }
    }
}

fn list(cx: &Cx<'_>, found: &Found) -> Markup {
    let may_act = cx.access.may(Permission::CancelTasks) || cx.access.may(Permission::CreateTasks);
    html! {
        @if found.tasks.is_empty() { p.empty { "No Task matches." } }
        @else {
            table.tasks {
                thead { tr {
                    @if may_act {
                        th.pick {
                            input type="checkbox" data-all="id" aria-label="Select all Tasks on this page" hidden;
                        }
                    }
                    th { "Status" } th { "Function" } th { "Task" } th { "Created" } th { "Due" } th { "Changed" }
                    th { "Says" }
                } }
                tbody { @for task in &found.tasks { (row(task, may_act)) } }
            }
        }
    }
}

fn row(task: &Task, may_act: bool) -> Markup {
    html! {
        tr {
            @if may_act {
                td.pick { input type="checkbox" name="id" value=(task.id) aria-label={ "Select Task " (task.id) }; }
            }
            td data-l="Status" { (status(task.status)) }
            td data-l="Function" {
                a href={ (ROOT) "functions/" (task.function_name) } { (name(task.function_name.as_str())) }
            }
            td data-l="Task" { a.id href={ (ROOT) "tasks/" (task.id) } { (task.id) } }
            td data-l="Created" { (brief(task.creation_timestamp)) }
            td data-l="Due" { (brief(task.start_timestamp)) }
            td data-l="Changed" { (brief(task.status_changed_timestamp)) }
            td.says data-l="Says" { (says(task)) }
        }
    }
}

fn says(task: &Task) -> Markup {
    html! {
        @if let Some(error) = &task.error {
            bdi { (cut(&clean(&format!("{}: {}", error.name, error.message.lines().next().unwrap_or_default())), 90)) }
        }
        @else { @for tag in task.tags.as_slice().iter().take(3) { span.tag { bdi { (cut(&clean(tag), 30)) } } " " } }
    }
}

fn pages(cx: &Cx<'_>, found: &Found) -> Markup {
    let next = found.next.as_ref().map(|next| match next {
        Next::Before(id) => cx.query.with(&[("before", Some(&id.to_string())), ("offset", None)]),
        Next::Offset(offset) => cx.query.with(&[("before", None), ("offset", Some(&offset.to_string()))]),
    });
    let is_first = cx.query.get("before").is_none() && cx.query.get("offset").is_none();
    html! {
        @if next.is_some() || !is_first {
            nav.pages aria-label="Pages of Tasks" {
                @if !is_first {
                    a.button href={ (ROOT) "tasks?" (cx.query.with(&[("before", None), ("offset", None)])) } {
                        "Newest"
                    }
                }
                @if let Some(next) = next { a.button href={ (ROOT) "tasks?" (next) } { "Older" } }
            }
        }
    }
}
