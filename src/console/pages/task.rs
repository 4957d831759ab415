//! One Task: why it waits or how it ended, its whole chain, what went in and came out, its log, and what can be done.

mod copies;
pub(super) mod log;

use maud::{Markup, html};
use tasklane_client::ClientError;
use tasklane_model::{Attempt, Json, ObjectId, Permission, Task, TaskStatus, Timestamp};

use crate::{
    door::ROOT,
    parts::{
        clean, cut, duration, editable, field, json, link_button, moment, name, sentence, status, time, time_line,
    },
    problem::Problem,
    request,
    view::View,
};

use super::Cx;

pub(super) async fn view(cx: &Cx<'_>, id: &str) -> Result<View, Problem> {
    let id = request::id(id)?;
    let client = &cx.app.client;
    let (task, why, attempts) = tokio::join!(client.wait_for_task(id, 0), client.why(id), client.task_attempts(id));
    let task = task?.value;
    let attempts: Vec<Attempt> =
        attempts.map(|all| all.into_iter().map(|attempt| attempt.value).collect()).unwrap_or_default();
    let (result, log) = tokio::join!(result(cx, &task), log::lines(cx, &task));
    let why = match why {
        Ok(why) => why.value.message,
        Err(error) => format!("Why is not known: {error}"),
    };
    Ok(View::new(format!("Task {id}"))
        .live("state", state(&task, &why))
        .live("acts", acts(cx, &task))
        .live("chain", chain(&attempts, id, cx.now))
        .live("outcome", outcome(&task, result.as_ref()))
        .live("log", log)
        .still(facts(&task))
        .still(html! { details.card { summary { "Copy as CLI, curl or SDK call" } (copies::all(&client.base().to_string(), &task)) } }))
}

/// What the run returned, if it is kept.
async fn result(cx: &Cx<'_>, task: &Task) -> Option<Json> {
    match task.status {
        TaskStatus::Complete => cx.app.client.task_result(task.id).await.ok(),
        _ => None,
    }
}

fn state(task: &Task, why: &str) -> Markup {
    let error = task.error.as_ref();
    let reason = error.map(|error| format!("{}: {}", error.name, error.message.lines().next().unwrap_or_default()));
    html! {
        section.card.why {
            p.lead {
                (status(task.status)) " "
                a href={ (ROOT) "functions/" (task.function_name) } { (name(task.function_name.as_str())) }
            }
            p.sentence { (sentence(why)) @if let Some(reason) = reason { " " bdi.bad { (cut(&clean(&reason), 200)) } } }
            @if let Some(by) = task.retried_by_task_id {
                p { "The next attempt: " a.id href={ (ROOT) "tasks/" (by) } { (by) } }
            }
        }
    }
}

fn acts(cx: &Cx<'_>, task: &Task) -> Markup {
    let path = format!("tasks/{}", task.id);
    html! {
        p.buttons {
            @if cx.access.may(Permission::CreateTasks) { (link_button(&format!("{path}/again"), "Run again…")) }
            @if task.status == TaskStatus::New && cx.access.may(Permission::CancelTasks) {
                (link_button(&format!("{path}/cancel"), "Cancel…"))
            }
        }
    }
}

fn chain(attempts: &[Attempt], shown: ObjectId, now: Timestamp) -> Markup {
    let from = attempts.iter().map(|attempt| attempt.creation_timestamp).min().unwrap_or(now);
    let ended = attempts.iter().map(|attempt| attempt.ended_timestamp.unwrap_or(now)).max().unwrap_or(now);
    let to = ended.max(from);
    html! {
        @if !attempts.is_empty() {
            h2 { @if attempts.len() == 1 { "Its run" } @else { "Its " (attempts.len()) " attempts" } }
            table.chain {
                thead {
                    tr {
                        th.n { "#" } th { "Status" }
                        th.bar {
                            "Time line"
                            span.legend { span.wait { "not due" } span.queue { "in the queue" } span.run { "running" } }
                        }
                        th { "Due" } th.n { "Waited" } th.n { "Ran" } th { "Ended" }
                    }
                }
                tbody {
                    @for (number, attempt) in attempts.iter().enumerate() {
                        tr.this[attempt.task_id == shown] {
                            td.n data-l="#" {
                                a href={ (ROOT) "tasks/" (attempt.task_id) } aria-label={ "Attempt " (number + 1) } {
                                    (number + 1)
                                }
                            }
                            td data-l="Status" { (status(attempt.status)) }
                            td.bar data-l="Time line" { (time_line(attempt, from, to, now)) }
                            td data-l="Due" { (time(attempt.start_timestamp)) }
                            td.n data-l="Waited" {
                                (attempt.claimed_timestamp.map_or_else(|| "–".to_owned(), |claimed| duration(claimed.since(attempt.start_timestamp))))
                            }
                            td.n data-l="Ran" { (ran(attempt)) }
                            td data-l="Ended" {
                                @if let Some(ended) = attempt.ended_timestamp { (time(ended)) } @else { "–" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn ran(attempt: &Attempt) -> String {
    match (attempt.claimed_timestamp, attempt.ended_timestamp) {
        (Some(claimed), Some(ended)) => duration(ended.since(claimed)),
        (Some(_), None) => "still".to_owned(),
        (None, _) => "–".to_owned(),
    }
}

fn outcome(task: &Task, result: Option<&Json>) -> Markup {
    html! {
        div.columns {
            section {
                h2 { "Input" }
                @if let Some(data) = &task.data { (json(data, "Input")) } @else { p.empty { "It has no input." } }
            }
            section {
                @if let Some(error) = &task.error {
                    h2 { "Error" }
                    p { strong { bdi { (clean(&error.name)) } } }
                    pre.error tabindex="0" aria-label="Error" { (clean(&error.message)) }
                    p.note { "If the code threw, its stack is in the log below." }
                } @else if let Some(result) = result {
                    h2 { "Result" }
                    (json(result, "Result"))
                } @else {
                    h2 { "Result" }
                    p.empty {
                        @if task.status == TaskStatus::Complete {
                            "It is not kept. The option storeResult keeps it."
                        } @else {
                            "There is none yet."
                        }
                    }
                }
            }
        }
    }
}

fn facts(task: &Task) -> Markup {
    let options = &task.options;
    html! {
        h2 { "About it" }
        dl.facts {
            div { dt { "Created" } dd { (time(task.creation_timestamp)) } }
            div { dt { "Due" } dd { (time(task.start_timestamp)) } }
            div { dt { "Priority" } dd { (task.priority) } }
            @if let Some(version) = task.function_version {
                div { dt { "Version" } dd { (version) } }
            }
            @if let Some(user) = &task.origin.created_by_user_id {
                div { dt { "Created by" } dd { (name(&user.to_string())) } }
            }
            @if let Some(application) = &task.origin.created_by_application_id {
                div { dt { "Through" } dd { (name(&application.to_string())) } }
            }
            @if !task.tags.as_slice().is_empty() {
                div { dt { "Tags" } dd { @for tag in task.tags.as_slice() { span.tag { (name(tag)) } " " } } }
            }
            @if let Some(schedule) = options.schedule_id {
                div { dt { "Schedule" } dd { a.id href={ (ROOT) "schedules/" (schedule) } { (schedule) } } }
            }
            @if let Some(of) = options.replay_of {
                div { dt { "Replays" } dd { a.id href={ (ROOT) "tasks/" (of) } { (of) } } }
            }
            @if let Some(then) = &options.on_complete {
                div { dt { "When final" } dd { "runs " (name(then.function_name.as_str())) } }
            }
        }
    }
}

/// The form to run a Task again: as it was, or edited.
pub(super) async fn again(cx: &Cx<'_>, id: &str) -> Result<View, Problem> {
    let id = request::id(id)?;
    let task = cx.app.client.find_task(id).await?.ok_or_else(|| unknown(id))?.value;
    let data = task.data.as_ref().map(editable).unwrap_or_default();
    Ok(View::new("Run again").still(html! {
        section.card {
            p {
                "This creates a new Task of " (name(task.function_name.as_str())) ", which runs in its turn. Task "
                a.id href={ (ROOT) "tasks/" (id) } { (id) } " stays as it is."
            }
            form method="post" action={ (ROOT) "tasks/" (id) "/again" } {
                label.field.wide {
                    span { "Input (JSON)" } textarea name="data" rows="12" spellcheck="false" { (data) }
                }
                (moment("Start, or now if empty", "start", None, "2026-01-31 08:15"))
                (field("Priority", "priority", Some(&task.priority.to_string()), "0"))
                (field("Tags (separated by commas)", "tags", Some(&task.tags.as_slice().join(", ")), ""))
                p.buttons {
                    button.go type="submit" { "Create the Task" } a.button href={ (ROOT) "tasks/" (id) } { "Go back" }
                }
            }
        }
    }))
}

fn unknown(id: ObjectId) -> Problem {
    ClientError::Service(tasklane_client::ServiceError {
        status: 404,
        code: Some(16),
        name: "RESOURCE_UNKNOWN_EXCEPTION".to_owned(),
        message: format!("There is no task '{id}'."),
        details: serde_json::Map::new(),
    })
    .into()
}
