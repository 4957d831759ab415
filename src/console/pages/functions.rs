//! Functions: all of them, and one: its configuration, a form that executes it, its runs, Schedules and API Requests.

use std::collections::BTreeMap;

use maud::{Markup, html};
use tasklane_client::{FunctionDetails, HowMany, Query, Record};
use tasklane_model::{ApiRequest, Flow, FlowKeyState, FunctionName, ObjectId, Permission, RunStats, Schedule, Task};

use crate::{
    door::ROOT,
    parts::{brief, clean, count, cut, editable, link_button, name, seconds, status, time},
    problem::Problem,
    view::View,
};

use super::{Cx, overview, requests, schedules, versions};

/// How many Functions are listed. Others are found by the beginning of their name.
const MOST_ROWS: usize = 500;

/// How many busy keys of a Function are shown.
const MOST_KEYS: u64 = 20;

pub(super) async fn list(cx: &Cx<'_>) -> Result<View, Problem> {
    let (functions, overview, history) =
        tokio::join!(cx.app.client.functions(), cx.app.client.overview(), overview::history(cx));
    let functions = functions?;
    let loads: BTreeMap<String, (u64, u64)> = overview
        .map(|overview| overview.value.functions)
        .unwrap_or_default()
        .into_iter()
        .map(|load| (load.function_name.to_string(), (load.running, load.ready)))
        .collect();
    let history = history.ok().flatten();
    let stats: BTreeMap<&str, &RunStats> = history
        .iter()
        .flat_map(|history| history.by_function())
        .filter_map(|stats| stats.function_name.as_ref().map(|name| (name.as_str(), stats)))
        .collect();
    let find = cx.query.get("find").unwrap_or_default().to_lowercase();
    let found: Vec<_> = functions
        .iter()
        .map(|function| &function.value)
        .filter(|f| f.name.as_str().to_lowercase().contains(&find))
        .collect();
    let table = html! {
        p.total {
            strong { (count(found.len() as u64, true)) } @if found.len() == 1 { " Function" } @else { " Functions" }
        }
        @if found.is_empty() { p.empty { "There is none. " code { "tasklane sync" } " creates Functions." } }
        @else {
            table {
                thead {
                    tr {
                        th { "Function" } th { "For" } th.n { "Running" } th.n { "Ready" } th.n { "Started today" }
                        th.n { "Failed today" } th.n { "Late (p99)" } th { "Changed" }
                    }
                }
                tbody {
                    @for function in found.iter().take(MOST_ROWS) {
                        @let (running, ready) = loads.get(function.name.as_str()).copied().unwrap_or_default();
                        @let stats = stats.get(function.name.as_str());
                        tr {
                            td { a href={ (ROOT) "functions/" (function.name) } { (name(function.name.as_str())) } }
                            td.says data-l="For" { bdi { (cut(&clean(&function.description), 80)) } }
                            td.n data-l="Running" { (running) } td.n data-l="Ready" { (ready) }
                            td.n data-l="Started today" { (stats.map_or(0, |s| s.started)) }
                            td.n.bad[stats.is_some_and(|s| s.failed > 0)] data-l="Failed today" {
                                (stats.map_or(0, |s| s.failed))
                            }
                            td.n data-l="Late (p99)" {
                                (stats.and_then(|s| s.lateness).map_or_else(|| "–".to_owned(), |l| seconds(l.p99)))
                            }
                            td data-l="Changed" { (brief(function.update_timestamp)) }
                        }
                    }
                }
            }
            @if found.len() > MOST_ROWS { p.note { "The first " (MOST_ROWS) " are shown. Type a part of the name." } }
            p.note { "Today begins at midnight UTC." }
        }
    };
    let form = html! {
        form.filters.small method="get" action={ (ROOT) "functions" } role="search" aria-label="Find a Function" {
            (crate::parts::field("Find", "find", cx.query.get("find"), "a part of the name"))
            p.buttons { button type="submit" { "Find" } }
        }
    };
    Ok(View::new("Functions").still(form).live("list", table))
}

pub(super) async fn one(cx: &Cx<'_>, text: &str) -> Result<View, Problem> {
    let function = FunctionName::parse(text).map_err(|_| Problem::NoPage)?;
    let client = &cx.app.client;
    let of = || Query::new().eq("functionName", &function);
    let (details, tasks, schedules, requests) = tokio::join!(
        client.function(&function),
        async {
            match cx.access.may(Permission::ViewTasks) {
                true => client.task_page(&of().and("skipCount()&sort(-id)").limit(8, 0)).await.ok(),
                false => None,
            }
        },
        async {
            match cx.access.may(Permission::ViewTaskSchedules) {
                true => client.schedules(of(), HowMany::First(20)).await.ok(),
                false => None,
            }
        },
        async {
            match cx.access.may(Permission::ViewApiFunctionRequests) {
                true => client.api_requests(of().and("skipCount()&sort(-id)"), HowMany::First(8)).await.ok(),
                false => None,
            }
        },
    );
    let details = details?.value;
    // An upstream service has none.
    let made = client.versions(&function).await.unwrap_or_default();
    let keys = match details.flow {
        Some(_) => client.flow_keys(&function, Query::new(), HowMany::First(MOST_KEYS)).await?.parse().ok(),
        None => None,
    };
    let tasks: Vec<Task> = tasks
        .map(|page| page.data.iter().filter_map(|json| serde_json::from_str(json.as_str()).ok()).collect())
        .unwrap_or_default();
    let schedules: Vec<Schedule> =
        schedules.and_then(|list| list.parse().ok()).unwrap_or_default().into_iter().map(|s| s.value).collect();
    let requests: Vec<ApiRequest> =
        requests.and_then(|list| list.parse().ok()).unwrap_or_default().into_iter().map(|r| r.value).collect();
    Ok(View::new(details.name.to_string())
        .live("state", state(cx, &details))
        .still(execute(cx, &details.name, &tasks).await)
        .live("turns", turns(details.flow.as_ref(), &keys.unwrap_or_default()))
        .live("runs", runs(&details.name, &tasks))
        .still(configuration(&details))
        .live("versions", versions::table(cx, &details, &made))
        .live("schedules", html! { @if !schedules.is_empty() { h2 { "Schedules" } (schedules::table(&schedules)) } })
        .still(schedules::form(cx, Some(&details.name)))
        .live("requests", html! { @if !requests.is_empty() { h2 { "API Requests" } (requests::table(&requests)) p { a href={ (ROOT) "requests?function=" (details.name) } { "All its API Requests" } } } }))
}

fn state(cx: &Cx<'_>, details: &FunctionDetails) -> Markup {
    let path = format!("functions/{}", details.name);
    html! {
        section.card.why {
            p.sentence {
                @if details.enabled { strong { "Enabled" } ": its Tasks run in their turn." }
                @else { strong.bad { "Disabled" } ": it runs nothing, and its Tasks wait." }
            }
            @if let Some(description) = &details.description { p { bdi { (clean(description)) } } }
            @if cx.access.may(Permission::UpdateTaskFunction) {
                p.buttons {
                    @if details.enabled { (link_button(&format!("{path}/disable"), "Disable…")) }
                    @else { (link_button(&format!("{path}/enable"), "Enable…")) }
                    a.button href={ (ROOT) "failures?since=day&function=" (details.name) } { "Its failures" }
                    a.button href={ (ROOT) "tasks?function=" (details.name) } { "Its Tasks" }
                }
            }
        }
    }
}

/// What its Tasks take turns by, and the keys that are busy.
fn turns(flow: Option<&Flow>, keys: &[Record<FlowKeyState>]) -> Markup {
    let Some(flow) = flow else { return html! {} };
    html! {
        h2 { "Turns by key" }
        p {
            "Tasks with the same " code { (clean(flow.key.as_str())) } " take turns with the others."
            @if let Some(most) = flow.concurrent { " At most " (most) " of a key run at once." }
            @if let Some(rate) = flow.rate { " At most " (rate.count) " of a key start in " (rate.seconds) " s." }
        }
        @if keys.is_empty() { p.empty { "No key is busy." } }
        @else {
            table {
                thead { tr { th { "Key" } th.n { "Running" } th.n { "Waiting" } th { "Next start" } } }
                tbody {
                    @for Record { value: state, .. } in keys {
                        tr {
                            td.says data-l="Key" { bdi { (cut(&clean(state.key.as_str()), 80)) } }
                            td.n data-l="Running" { (state.running) } td.n data-l="Waiting" { (state.waiting) }
                            td data-l="Next start" {
                                @match state.next_timestamp { Some(next) => (brief(next)), None => "when one ends" }
                            }
                        }
                    }
                }
            }
            @if keys.len() as u64 == MOST_KEYS { p.note { "The busiest " (MOST_KEYS) " are shown." } }
        }
    }
}

/// The form that executes it, filled in with the input of an earlier Task on demand.
async fn execute(cx: &Cx<'_>, function: &FunctionName, tasks: &[Task]) -> Markup {
    let (may_execute, may_create) = (cx.access.may_execute(function), cx.access.may(Permission::CreateTasks));
    if !may_execute && !may_create {
        return html! {};
    }
    let chosen = cx.query.get("input").and_then(|id| id.parse::<ObjectId>().ok());
    let input = match chosen {
        Some(id) => match tasks.iter().find(|task| task.id == id) {
            Some(task) => task.data.clone(),
            None => cx.app.client.find_task(id).await.ok().flatten().and_then(|task| task.value.data),
        },
        None => None,
    };
    html! {
        details.card open[chosen.is_some()] {
            summary { "Execute it" }
            form method="post" action={ (ROOT) "functions/" (function) "/execute" } {
                label.field.wide {
                    span { "Input (JSON)" }
                    textarea name="data" rows="6" spellcheck="false" placeholder="{}" {
                        (input.as_ref().map(editable).unwrap_or_default())
                    }
                }
                @if tasks.iter().any(|task| task.data.is_some()) {
                    p.note { "Use the input of: "
                        @for task in tasks.iter().filter(|task| task.data.is_some()).take(5) { a.id href={ "?input=" (task.id) } { (task.id) } " " } }
                }
                p.buttons {
                    @if may_execute { button.go name="how" value="now" { "Execute now and wait" } }
                    @if may_create { button name="how" value="queue" { "Queue a Task" } }
                }
            }
        }
    }
}

fn runs(function: &FunctionName, tasks: &[Task]) -> Markup {
    html! {
        h2 { "Latest Tasks" }
        @if tasks.is_empty() { p.empty { "There is none." } }
        @else {
            table {
                thead { tr { th { "Status" } th { "Task" } th { "Created" } th { "Changed" } th { "Error" } } }
                tbody {
                    @for task in tasks {
                        tr {
                            td data-l="Status" { (status(task.status)) }
                            td data-l="Task" { a.id href={ (ROOT) "tasks/" (task.id) } { (task.id) } }
                            td data-l="Created" { (brief(task.creation_timestamp)) }
                            td data-l="Changed" { (brief(task.status_changed_timestamp)) }
                            td.says data-l="Error" {
                                @if let Some(error) = &task.error {
                                    bdi {
                                        (cut(&clean(&format!("{}: {}", error.name, error.message.lines().next().unwrap_or_default())), 90))
                                    }
                                }
                            }
                        }
                    }
                }
            }
            p { a href={ (ROOT) "tasks?function=" (function) } { "All its Tasks" } }
        }
    }
}

fn configuration(details: &FunctionDetails) -> Markup {
    let options = &details.execution_options;
    let fact = |label: &str, value: Markup| html! { div { dt { (label) } dd { (value) } } };
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "not said".to_owned());
    html! {
        h2 { "Configuration" }
        dl.facts {
            @if let Some(image) = &details.image { (fact("Image", html! { (name(image)) })) }
            @if let Some(runtime) = &details.runtime { (fact("Runtime", html! { (name(runtime)) })) }
            @if let Some(entry_point) = &details.entry_point { (fact("Entry point", html! { (name(entry_point)) })) }
            (fact("Time limit", html! { (or_none(details.time_limit.map(|limit| format!("{limit} s")))) }))
            (fact("Memory", html! { (or_none(details.memory_limit.map(|limit| format!("{limit} MB")))) }))
            (fact("Who may execute", html! { (name(options.permission_mode.as_deref().unwrap_or("permissionRequired"))) }))
            (fact("Default priority", html! { (options.default_priority.unwrap_or(0)) }))
            (fact("Own limit", html! { @match options.concurrency_limit.flatten() { Some(limit) => { (limit) " at once" } None => "none" } }))
            (fact("Retries", html! { @if details.retry_policy.enabled { "enabled" } @else { "disabled" } }))
            (fact("Results", html! { @if details.store_result == Some(true) { "kept" } @else { "not kept" } }))
            @if let Some(queued) = details.timeouts.queued {
                (fact("Expires after", html! { (queued) " s in the queue" }))
            }
            @if let Some(changed) = details.update_timestamp { (fact("Changed", time(changed))) }
            @if let Some(sha) = &details.code_sha256 { (fact("Code", html! { code { (cut(&clean(sha), 12)) } })) }
        }
        @if let Some(aws) = &details.aws {
            h2 { "On AWS" }
            dl.facts {
                @for (option, value) in serde_json::to_value(aws).ok().as_ref().and_then(|fields| fields.as_object()).into_iter().flatten() {
                    (fact(option, html! { (name(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))) }))
                }
            }
        }
        @if !details.secrets.is_empty() {
            h2 { "Secrets" }
            dl.facts { @for (variable, reference) in details.secrets.iter() { (fact(variable, name(reference.as_str()))) } }
        }
        @for (title, schema) in [("Schema of data", &details.data_schema), ("Schema of results", &details.result_schema)] {
            @if let Some(schema) = schema {
                h2 { (title) }
                pre { (clean(&format!("{:#}", schema.as_json().to_value()))) }
            }
        }
        h2 { "Environment" }
        @if details.environment_variables.is_empty() { p.empty { "It has no variables of its own." } }
        @else {
            ul.names { @for variable in details.environment_variables.keys() { li { (name(variable)) } } }
            p.note { "Values are not shown: they may be secrets." }
        }
    }
}
