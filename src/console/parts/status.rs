//! States, by shape and word, and by color besides.

use maud::{Markup, html};
use tasklane_model::{BulkStatus, TaskStatus};

/// A Task's status.
pub(crate) fn status(status: TaskStatus) -> Markup {
    let (class, word) = match status {
        TaskStatus::New => ("new", "new"),
        TaskStatus::InProgress => ("running", "running"),
        TaskStatus::Complete => ("complete", "complete"),
        TaskStatus::Failed => ("failed", "failed"),
        TaskStatus::Retried => ("retried", "retried"),
        TaskStatus::Canceled => ("canceled", "canceled"),
    };
    state(class, word)
}

/// A bulk operation's status.
pub(crate) fn bulk_status(status: BulkStatus) -> Markup {
    match status {
        BulkStatus::Running => state("running", "running"),
        BulkStatus::Complete => state("complete", "complete"),
        BulkStatus::Stopped => state("canceled", "stopped"),
    }
}

fn state(class: &str, word: &str) -> Markup {
    html! {
        span class={ "state " (class) } {
            svg viewBox="0 0 12 12" aria-hidden="true" { (shape(class)) }
            (word)
        }
    }
}

fn shape(class: &str) -> Markup {
    match class {
        "new" => html! { circle cx="6" cy="6" r="4.5" {} },
        "running" => html! { path.full d="M3 1.5 10.5 6 3 10.5Z" {} },
        "complete" => html! { path d="M1.5 6.5 4.5 9.5 10.5 2.5" {} },
        "failed" => html! { path d="M2 2 10 10 M10 2 2 10" {} },
        "retried" => html! { path d="M10 6A4 4 0 1 1 8.5 2.9 M9.5 .5V3.5H6.5" {} },
        _ => html! { circle cx="6" cy="6" r="4.5" {} path d="M3 9 9 3" {} },
    }
}
