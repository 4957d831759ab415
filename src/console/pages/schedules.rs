//! Schedules: when they are due next, and what can be done with them.

use jiff::tz::TimeZone as Zone;
use maud::{Markup, html};
use tasklane_client::{HowMany, Query};
use tasklane_model::{FunctionName, Permission, Recurrence, Schedule, Timestamp};

use crate::{
    door::ROOT,
    parts::{brief, count, duration, field, json, link_button, moment, name, time},
    problem::Problem,
    request,
    view::View,
};

use super::Cx;

/// How many Schedules are listed.
const MOST_ROWS: u64 = 200;
/// How many times are shown.
const NEXT: u8 = 10;

pub(super) async fn list(cx: &Cx<'_>) -> Result<View, Problem> {
    if !cx.access.may(Permission::ViewTaskSchedules) {
        return Err(Problem::NotAllowed(Permission::ViewTaskSchedules.as_str()));
    }
    let found = cx.app.client.schedules(Query::new(), HowMany::First(MOST_ROWS)).await?;
    let schedules = found.parse().map_err(|error| Problem::Invalid(error.to_string()))?;
    let schedules: Vec<Schedule> = schedules.into_iter().map(|schedule| schedule.value).collect();
    Ok(View::new("Schedules").still(form(cx, None)).live("list", html! {
        p.total {
            strong {
                (found.total.map_or_else(|| count(schedules.len() as u64, false), |total| count(total, found.total_is_exact)))
            }
            " Schedules"
        }
        @if schedules.is_empty() {
            p.empty { "There is none. A task-config.json may describe some." }
        }
        @else { (table(&schedules)) }
        @if schedules.len() as u64 >= MOST_ROWS { p.note { "The first " (MOST_ROWS) " are shown." } }
    }))
}

/// The form that makes one, of this Function or of the one that it names.
pub(super) fn form(cx: &Cx<'_>, function: Option<&FunctionName>) -> Markup {
    if !cx.access.may(Permission::CreateTaskSchedule) {
        return html! {};
    }
    html! {
        details.card {
            summary { "Create a Schedule" }
            form method="post" action={ (ROOT) "schedules/new" } {
                @match function {
                    Some(function) => { input type="hidden" name="function" value=(function); }
                    None => { (field("Function", "function", None, "its name")) }
                }
                (field("Name", "name", None, "what it is called, or nothing"))
                (field("Times (cron)", "cron", None, "30 8 * * MON-FRI"))
                (field("Time zone", "timezone", None, "UTC"))
                (field("Or seconds between two Tasks", "interval", None, "3600"))
                (moment("From", "start", None, "now"))
                (moment("Until", "end", None, "for ever"))
                label.field.wide {
                    span { "Input of each Task (JSON)" }
                    textarea name="data" rows="3" spellcheck="false" placeholder="{}" {}
                }
                p.buttons { button.go type="submit" { "Create it" } }
            }
        }
    }
}

/// A table of them.
pub(super) fn table(schedules: &[Schedule]) -> Markup {
    html! {
        table {
            thead { tr { th { "Schedule" } th { "Function" } th { "When" } th { "Next" } th { "State" } } }
            tbody {
                @for schedule in schedules {
                    tr {
                        td data-l="Schedule" {
                            a href={ (ROOT) "schedules/" (schedule.id) } {
                                @match &schedule.name { Some(title) => (name(&title.to_string())), None => { span.id { (schedule.id) } } }
                            }
                        }
                        td data-l="Function" {
                            a href={ (ROOT) "functions/" (schedule.function_name) } {
                                (name(schedule.function_name.as_str()))
                            }
                        }
                        td data-l="When" { (recurrence(&schedule.recurrence)) }
                        td data-l="Next" { @match schedule.next_timestamp { Some(next) => (brief(next)), None => "–" } }
                        td data-l="State" { (state(schedule)) }
                    }
                }
            }
        }
    }
}

fn recurrence(recurrence: &Recurrence) -> Markup {
    match recurrence {
        Recurrence::Every(interval) => html! { "every " (duration(interval.as_duration())) },
        Recurrence::Cron(cron, timezone) => html! { code { (cron) } " in " (name(&timezone.to_string())) },
    }
}

fn state(schedule: &Schedule) -> Markup {
    html! {
        @if !schedule.enabled {
            strong.bad { "paused" }
        } @else if schedule.next_timestamp.is_none() {
            "over"
        } @else {
            "active"
        }
    }
}

pub(super) async fn one(cx: &Cx<'_>, id: &str) -> Result<View, Problem> {
    let id = request::id(id)?;
    let (schedule, next) = tokio::join!(cx.app.client.schedule(id), cx.app.client.next_occurrences(id, NEXT));
    let schedule = schedule?.value;
    let next = next.map(|next| next.value.data).unwrap_or_default();
    let title = schedule.name.as_ref().map_or_else(|| format!("Schedule {id}"), ToString::to_string);
    Ok(View::new(title)
        .live("state", card(cx, &schedule))
        .live("next", html! { h2 { "Next times" } (times(&schedule, &next)) })
        .still(facts(cx, &schedule)))
}

fn card(cx: &Cx<'_>, schedule: &Schedule) -> Markup {
    let path = format!("schedules/{}", schedule.id);
    html! {
        section.card.why {
            p.sentence {
                "Creates a Task of "
                a href={ (ROOT) "functions/" (schedule.function_name) } { (name(schedule.function_name.as_str())) } ", "
                (recurrence(&schedule.recurrence)) ". It is " (state(schedule)) "."
            }
            p.buttons {
                @if cx.access.may(Permission::CreateTaskSchedule) {
                    @if schedule.enabled {
                        (link_button(&format!("{path}/pause"), "Pause…"))
                    } @else {
                        (link_button(&format!("{path}/resume"), "Resume…"))
                    }
                    (link_button(&format!("{path}/run"), "Run now…"))
                }
                @if cx.access.may(Permission::DeleteTaskSchedule) {
                    (link_button(&format!("{path}/delete"), "Delete…"))
                }
                @if cx.access.may(Permission::ViewTasks) {
                    a.button href={ (ROOT) "tasks?rql=eq(scheduleId," (schedule.id) ")" } { "Its Tasks" }
                }
            }
        }
    }
}

fn times(schedule: &Schedule, next: &[Timestamp]) -> Markup {
    let zone = match &schedule.recurrence {
        Recurrence::Cron(_, timezone) => Some(timezone.to_string()),
        Recurrence::Every(_) => None,
    };
    html! {
        @if next.is_empty() { p.empty { "There are none." } }
        @else {
            table.times {
                thead { tr { th { "Your time" } @if let Some(zone) = &zone { th { "In " (name(zone)) } } } }
                tbody {
                    @for at in next {
                        tr {
                            td data-l="Your time" { (brief(*at)) }
                            @if let Some(zone) = &zone { td data-l="In its zone" { (in_zone(*at, zone)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The time that clocks show in a zone.
fn in_zone(at: Timestamp, zone: &str) -> String {
    let shown = Zone::get(zone).ok().zip(jiff::Timestamp::from_millisecond(at.as_millis()).ok());
    shown.map_or_else(String::new, |(zone, at)| {
        at.to_zoned_datetime(zone).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string()
    })
}

fn facts(cx: &Cx<'_>, schedule: &Schedule) -> Markup {
    html! {
        @if cx.access.may(Permission::CreateTaskSchedule) {
            details.card {
                summary { "Backfill: create the Tasks of times that have passed" }
                form method="get" action={ (ROOT) "schedules/" (schedule.id) "/backfill" } {
                    (moment("From", "from", None, "2026-01-31 08:00"))
                    (moment("To", "to", None, "2026-01-31 20:00"))
                    p.buttons { button type="submit" { "Count them…" } }
                }
            }
        }
        @if let Some(data) = &schedule.data { h2 { "Input of each Task" } (json(data, "Input")) }
        h2 { "About it" }
        dl.facts {
            div { dt { "Id" } dd { span.id { (schedule.id) } } }
            div { dt { "Begins" } dd { (time(schedule.start_timestamp)) } }
            @if let Some(end) = schedule.end_timestamp { div { dt { "Ends" } dd { (time(end)) } } }
            @if let Some(overlap) = schedule.overlap { div { dt { "Overlap" } dd { (word(&overlap)) } } }
            @if let Some(catch_up) = schedule.catch_up { div { dt { "Catch-up" } dd { (word(&catch_up)) } } }
            @if let Some(user) = &schedule.created_by_user_id {
                div { dt { "Created by" } dd { (name(&user.to_string())) } }
            }
            div { dt { "Created" } dd { (time(schedule.creation_timestamp)) } }
        }
    }
}

/// The word by which the API names a choice.
fn word<T: serde::Serialize>(choice: &T) -> String {
    serde_json::to_value(choice).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
