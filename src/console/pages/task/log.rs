//! The log of a run, with search and levels.

use maud::{Markup, html};
use tasklane_client::LogSource;
use tasklane_model::{ObjectId, Permission, Task, TaskStatus};
use tasklane_ports::LogLine;

use crate::{
    door::ROOT,
    parts::{clean, count, cut, field, select, time},
    problem::Problem,
};

use super::super::Cx;

/// How many lines are read: the first ones.
const MOST_READ: usize = 1000;
/// How many of them are shown: the last ones.
const MOST_LINES: usize = 500;
const LINE_CHARS: usize = 4000;

const LEVELS: [(&str, &str); 4] =
    [("", "every line"), ("warn", "warnings and errors"), ("error", "errors"), ("own", "what the code printed")];

/// The log of a Task.
pub(super) async fn lines(cx: &Cx<'_>, task: &Task) -> Markup {
    if task.status == TaskStatus::New || task.status == TaskStatus::Canceled {
        return html! {};
    }
    of_run(cx, LogSource::Task(task.id), task.id, "tasks").await
}

/// The log of a run, and the form that searches it.
pub(in crate::pages) async fn of_run(cx: &Cx<'_>, source: LogSource, id: ObjectId, place: &str) -> Markup {
    let permission = match source {
        LogSource::Task(_) => Permission::ViewTaskLogs,
        LogSource::ApiRequest(_) => Permission::ViewApiFunctionRequestLogs,
    };
    if !cx.access.may(permission) {
        return html! { p.note { "The log takes the permission " (permission) "." } };
    }
    let (all, trouble) = match cx.app.client.first_logs(source, None, MOST_READ).await {
        Ok(lines) => (lines, None),
        // It has not run yet.
        Err(error) if error.code() == Some(27) => (Vec::new(), None),
        Err(error) => (Vec::new(), Some(Problem::from(error))),
    };
    let (search, level) = (cx.query.get("find").map(str::to_lowercase), cx.query.get("level").unwrap_or_default());
    let fits = |line: &&LogLine| {
        search.as_ref().is_none_or(|search| line.message.to_lowercase().contains(search)) && is_of(level, &line.message)
    };
    let found: Vec<_> = all.iter().filter(fits).collect();
    let skipped = found.len().saturating_sub(MOST_LINES);
    html! {
        h2 { "Log" }
        form.filters.small method="get" action={ (ROOT) (place) "/" (id) } role="search" aria-label="Search the log" {
            (field("Find", "find", cx.query.get("find"), "text"))
            (select("Level", "level", Some(level), &LEVELS))
            p.buttons { button type="submit" { "Search" } }
        }
        @if let Some(trouble) = trouble { (trouble.shown()) }
        @if skipped > 0 || all.len() >= MOST_READ {
            p.note {
                @if all.len() >= MOST_READ { "Only the first " (count(all.len() as u64, true)) " lines are searched. " }
                @if skipped > 0 { "The first " (count(skipped as u64, true)) " of them are left out. " }
                code { "tasklane " (if place == "tasks" { "tasks" } else { "api-requests" }) " logs " (id) } " has all."
            }
        }
        @if found.is_empty() { p.empty { @if all.is_empty() { "There are no lines." } @else { "No line matches." } } }
        @else {
            ol.log tabindex="0" aria-label="Log lines" {
                @for line in &found[skipped..] {
                    li class=[severity(&line.message)] {
                        (time(line.timestamp)) code { (cut(&clean(line.message.trim_end()), LINE_CHARS)) }
                    }
                }
            }
        }
    }
}

fn is_of(level: &str, message: &str) -> bool {
    match level {
        "error" => severity(message) == Some("error"),
        "warn" => severity(message).is_some(),
        "own" => !["START RequestId", "END RequestId", "REPORT RequestId", "INIT_START"]
            .iter()
            .any(|own| message.starts_with(own)),
        _ => true,
    }
}

/// What the runtimes and loggers write for a level.
fn severity(message: &str) -> Option<&'static str> {
    let head: String = message.chars().take(200).collect::<String>().to_uppercase();
    let says = |word: &str| head.split(|char: char| !char.is_alphanumeric()).any(|found| found == word);
    if says("ERROR") || says("FATAL") || says("CRITICAL") {
        Some("error")
    } else if says("WARN") || says("WARNING") {
        Some("warn")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_from_what_loggers_write() {
        for (line, level) in [
            ("2026-01-31T08:15:30.123Z\tid\tERROR\tno", Some("error")),
            (r#"{"level":"warn","message":"slow"}"#, Some("warn")),
            ("terror and warnings", None),
            ("hello", None),
        ] {
            assert_eq!(severity(line), level, "{line}");
        }
        assert!(!is_of("own", "START RequestId: 1") && is_of("own", "hello") && is_of("", "x"));
    }
}
