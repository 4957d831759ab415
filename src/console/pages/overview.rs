//! Overview: what needs a person, what happens now, the last hour and the last day, and who the load is.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use maud::{Markup, html};
use tasklane_client::{ClientError, HowMany, Query};
use tasklane_model::{Bulk, BulkStatus, FunctionLoad, Overview, Permission, RunStats, StatsRange, Timestamp};

use crate::{
    door::ROOT,
    parts::{Bar, chart, count, duration, meter, name, seconds, time},
    problem::Problem,
    view::View,
};

use super::Cx;

/// How late a Task may be before somebody should look.
const LATE: Duration = Duration::from_secs(10);
/// How many Functions are listed.
const MOST_ROWS: usize = 30;

/// What ran lately, if the service remembers it.
pub(crate) struct History {
    hour: Vec<RunStats>,
    day: Vec<RunStats>,
    by_function: Vec<RunStats>,
}

pub(super) async fn view(cx: &Cx<'_>) -> Result<View, Problem> {
    if !cx.access.may(Permission::ViewTasks) {
        return Err(Problem::NotAllowed(Permission::ViewTasks.as_str()));
    }
    let client = &cx.app.client;
    let (overview, history, bulks) = tokio::join!(
        client.overview(),
        history(cx),
        client.bulks(Query::new().and("skipCount()&sort(-creationTimestamp)"), HowMany::First(20))
    );
    let (overview, history) = (overview?.value, history?);
    let bulks = bulks.ok().and_then(|bulks| bulks.parse().ok()).unwrap_or_default();
    let running: Vec<Bulk> =
        bulks.into_iter().map(|bulk| bulk.value).filter(|bulk: &Bulk| bulk.status == BulkStatus::Running).collect();
    let attention = attention(cx, &overview, history.as_deref(), &running);
    Ok(View::new("Overview")
        .live("attention", attention)
        .live("now", now(cx, &overview))
        .live("charts", html! { @if let Some(history) = &history { (charts(history, cx.now)) } @else { p.note { "This service keeps no history of runs. On AWS, CloudWatch has its metrics." } } })
        .live("functions", functions(&overview, history.as_deref(), cx.now)))
}

fn whole(time: Timestamp, step: Duration) -> Timestamp {
    let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
    Timestamp::saturating_from_millis(time.as_millis() / step * step)
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const HALF_HOUR: Duration = Duration::from_secs(1800);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the service said a moment ago about what ran lately.
#[derive(Default)]
pub(crate) struct Recent(tokio::sync::Mutex<Option<(Instant, Option<Arc<History>>)>>);

/// How long that is good for: charts of minutes need not be newer, and adding up a day takes the service some time.
const GOOD_FOR: Duration = Duration::from_secs(3);

/// `None` where nothing is remembered.
pub(super) async fn history(cx: &Cx<'_>) -> Result<Option<Arc<History>>, ClientError> {
    let mut recent = cx.app.history.0.lock().await;
    if let Some((since, history)) = &*recent
        && since.elapsed() < GOOD_FOR
    {
        return Ok(history.clone());
    }
    let history = ask(cx).await?.map(Arc::new);
    *recent = Some((Instant::now(), history.clone()));
    Ok(history)
}

async fn ask(cx: &Cx<'_>) -> Result<Option<History>, ClientError> {
    let range = |length: Duration, step, per_function| StatsRange {
        from: whole(cx.now.saturating_sub(length), step).saturating_add(step),
        to: cx.now.saturating_add(MINUTE),
        step,
        per_function,
    };
    let client = &cx.app.client;
    let (hour, day, by_function) = tokio::join!(
        client.stats(range(HOUR, MINUTE, false)),
        client.stats(range(DAY, HALF_HOUR, false)),
        // One step: it begins where the day did, so that all of today is in it.
        client.stats(StatsRange { from: whole(cx.now, DAY), ..range(DAY, DAY, true) }),
    );
    match (hour, day, by_function) {
        (Ok(hour), Ok(day), Ok(by_function)) => Ok(Some(History { hour, day, by_function })),
        (Err(ClientError::Service(error)), ..) if error.status == 404 => Ok(None),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => Err(error),
    }
}

fn attention(cx: &Cx<'_>, overview: &Overview, history: Option<&History>, bulks: &[Bulk]) -> Markup {
    let failed: u64 = history.map_or(0, |history| history.hour.iter().map(|step| step.failed).sum());
    let late = overview.oldest_due_timestamp.map(|due| cx.now.since(due)).filter(|late| *late > LATE);
    let is_full = overview.slots.used >= overview.slots.limit;
    let all_is_well = failed == 0 && late.is_none() && overview.dispatchers > 0;
    html! {
        section.attention.calm[all_is_well] aria-label="What needs somebody" {
            @if all_is_well { p { "Nothing needs you: no run failed in the last hour, and no Task is late." } }
            @if overview.dispatchers == 0 {
                p { strong { "No dispatcher is at work." } " Due Tasks wait until one is." }
            }
            @if failed > 0 {
                p { strong { (count(failed, true)) @if failed == 1 { " run" } @else { " runs" } " failed" } " in the last hour. "
                    a href={ (ROOT) "failures?since=hour" } { "See which errors" } }
            }
            @if let Some(late) = late {
                p { strong { "The oldest due Task is " (duration(late)) " late." }
                    @if is_full {
                        " All slots are in use. "
                    } @else {
                        " Slots are free: its Function may be disabled, or at its own limit. "
                    }
                    a href={ (ROOT) "tasks?status=new" } { "See what waits" } }
            }
            @for bulk in bulks {
                p {
                    "A bulk operation is at work: "
                    a href={ (ROOT) "bulk/" (bulk.id) } {
                        (bulk.action) ", " (count(bulk.handled(), true)) " of "
                        (count(bulk.matches, bulk.matches_is_exact))
                    }
                }
            }
        }
    }
}

fn now(cx: &Cx<'_>, overview: &Overview) -> Markup {
    let tile = |label: &str, figure: String, to: Option<&str>, more: Markup| {
        html! {
            div.tile {
                dt { (label) }
                dd { @if let Some(to) = to { a href={ (ROOT) (to) } { (figure) } } @else { (figure) } (more) }
            }
        }
    };
    let none = || html! {};
    let slots = |used: u16, limit: u16| format!("{used} of {limit}");
    let oldest = overview.oldest_due_timestamp;
    html! {
        dl.tiles {
            (tile("Running", count(overview.running, overview.running_is_exact), Some("tasks?status=inProgress"), none()))
            (tile("Ready", count(overview.ready, overview.ready_is_exact), Some("tasks?status=new"), none()))
            (tile("Waiting", count(overview.waiting, overview.waiting_is_exact), Some("tasks?status=new"), none()))
            (tile("Held by key", count(overview.held, overview.held_is_exact), None, none()))
            (tile("Slots in use", slots(overview.slots.used, overview.slots.limit), None,
                meter("Slots in use", overview.slots.used.into(), overview.slots.limit.into())))
            (tile("Direct slots", slots(overview.direct_slots.used, overview.direct_slots.limit), None,
                meter("Direct slots", overview.direct_slots.used.into(), overview.direct_slots.limit.into())))
            (tile("Oldest due", oldest.map_or_else(|| "none".to_owned(), |due| ago(cx.now.since(due))), None, none()))
            (tile("Dispatchers", count(overview.dispatchers, true), None, none()))
        }
    }
}

/// How long ago something was, in whole seconds: a page that only counts milliseconds is not worth another version.
fn ago(length: Duration) -> String {
    match length.as_secs() {
        0 => "just now".to_owned(),
        seconds => format!("{} ago", duration(Duration::from_secs(seconds))),
    }
}

fn charts(history: &History, now: Timestamp) -> Markup {
    html! {
        div.charts {
            (three("last hour", &history.hour, now, HOUR, MINUTE))
            (three("last day", &history.day, now, DAY, HALF_HOUR))
        }
    }
}

/// Started, failed and lateness over a length of time.
pub(super) fn three(when: &str, stats: &[RunStats], now: Timestamp, length: Duration, step: Duration) -> Markup {
    let mut steps: BTreeMap<Timestamp, &RunStats> = BTreeMap::new();
    for stats in stats {
        steps.insert(stats.timestamp, stats);
    }
    let mut at = whole(now.saturating_sub(length), step).saturating_add(step);
    let mut times = Vec::new();
    while at <= now {
        times.push(at);
        at = at.saturating_add(step);
    }
    let bars = |value: &dyn Fn(&RunStats) -> f64| -> Vec<Bar> {
        times.iter().map(|at| Bar { at: *at, value: steps.get(at).map_or(0.0, |stats| value(stats)) }).collect()
    };
    #[allow(clippy::cast_precision_loss)] // nobody sees the difference
    let number = |count: u64| count as f64;
    let (started, failed) =
        (stats.iter().map(|s| s.started).sum::<u64>(), stats.iter().map(|s| s.failed + s.retried).sum::<u64>());
    let latest = stats.iter().filter_map(|stats| stats.lateness).map(|late| late.p99).fold(0.0, f64::max);
    html! {
        (chart("started", &format!("Started, {when}"), &count(started, true), &format!("{started} runs"), &bars(&|stats| number(stats.started))))
        (chart("failed", &format!("Failed or retried, {when}"), &count(failed, true), &format!("{failed} runs"), &bars(&|stats| number(stats.failed + stats.retried))))
        (chart("late", &format!("Late by (p99), {when}"), &seconds(latest), &format!("at most {}", seconds(latest)), &bars(&|stats| stats.lateness.map_or(0.0, |late| late.p99))))
    }
}

fn functions(overview: &Overview, history: Option<&History>, now: Timestamp) -> Markup {
    let mut rows: BTreeMap<&str, (FunctionLoad, Option<&RunStats>)> = BTreeMap::new();
    for load in &overview.functions {
        rows.insert(load.function_name.as_str(), (load.clone(), None));
    }
    for stats in history.iter().flat_map(|history| &history.by_function) {
        let Some(function) = &stats.function_name else { continue };
        let none = || FunctionLoad { function_name: function.clone(), running: 0, ready: 0, waiting: 0, held: 0 };
        rows.entry(function.as_str()).or_insert_with(|| (none(), None)).1 = Some(stats);
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_by_key(|(load, stats)| {
        std::cmp::Reverse((
            stats.map_or(0, |stats| stats.failed),
            load.running + load.ready,
            stats.map_or(0, |s| s.started),
            load.waiting,
        ))
    });
    let others = rows.len().saturating_sub(MOST_ROWS);
    html! {
        h2 { "Functions by failures and load" }
        @if rows.is_empty() {
            p.empty {
                "Nothing runs or waits, and nothing ran lately. " a href={ (ROOT) "functions" } { "All Functions" }
            }
        }
        @else {
            table {
                thead {
                    tr {
                        th { "Function" } th.n { "Running" } th.n { "Ready" } th.n { "Waiting" } th.n { "Started" }
                        th.n { "Failed" } th.n { "Retried" } th.n { "Late (p99)" }
                    }
                }
                tbody {
                    @for (load, stats) in rows.iter().take(MOST_ROWS) {
                        tr {
                            td {
                                a href={ (ROOT) "functions/" (load.function_name) } {
                                    (name(load.function_name.as_str()))
                                }
                            }
                            td.n data-l="Running" { (load.running) }
                            td.n data-l="Ready" { (load.ready) }
                            td.n data-l="Waiting" { (load.waiting) }
                            td.n data-l="Started" { (count(stats.map_or(0, |s| s.started), true)) }
                            td.n.bad[stats.is_some_and(|s| s.failed > 0)] data-l="Failed" {
                                (count(stats.map_or(0, |s| s.failed), true))
                            }
                            td.n data-l="Retried" { (count(stats.map_or(0, |s| s.retried), true)) }
                            td.n data-l="Late (p99)" {
                                (stats.and_then(|s| s.lateness).map_or_else(|| "–".to_owned(), |late| seconds(late.p99)))
                            }
                        }
                    }
                }
            }
            p.note { "Started, failed, retried and late: since " (time(whole(now, DAY))) "."
                @if others > 0 { " " (others) " more are on the page of " a href={ (ROOT) "functions" } { "Functions" } "." } }
        }
    }
}

impl History {
    /// What each Function did today.
    pub(super) fn by_function(&self) -> &[RunStats] {
        &self.by_function
    }
}
