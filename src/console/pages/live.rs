//! Live: everything as it happens.

use maud::{Markup, html};

use crate::{
    door::ROOT,
    live::{Follows, Happening, What},
    parts::{brief, clean, name, status},
    view::View,
};

use super::Cx;

pub(super) fn view(cx: &Cx<'_>) -> View {
    let (follows, happened) = cx.app.hub.happened();
    let find = cx.query.get("find").unwrap_or_default().to_lowercase();
    let happened: Vec<_> =
        happened.into_iter().filter(|happening| find.is_empty() || text(happening).contains(&find)).collect();
    let form = html! {
        form.filters.small method="get" action={ (ROOT) "live" } role="search" aria-label="Filter what happens" {
            (crate::parts::field("Find", "find", cx.query.get("find"), "a Function, an id, a part of a line"))
            p.buttons { button type="submit" { "Filter" } }
        }
    };
    View::new("Live").still(form).live("happening", html! {
        p.note { (how(follows)) }
        @if happened.is_empty() { p.empty { "Nothing has happened since somebody looked." } }
        @else { ol.log.events tabindex="0" aria-label="What happens, the latest first" { @for happening in &happened { (row(happening)) } } }
    })
}

fn how(follows: Follows) -> &'static str {
    match follows {
        Follows::Stream => "As it happens, the latest first.",
        Follows::Poll => "The latest Tasks, every few seconds: this service has no streams.",
        Follows::Nothing => {
            "The console follows the service while a page is open. Without JavaScript, load this page again."
        }
    }
}

fn text(happening: &Happening) -> String {
    match &happening.what {
        What::Task { id, function, status, error } => {
            format!("{id} {function} {} {}", status.as_str(), error.as_deref().unwrap_or_default()).to_lowercase()
        }
        What::Line { task, message } => format!("{task} {message}").to_lowercase(),
        What::Gap => String::new(),
    }
}

fn row(happening: &Happening) -> Markup {
    html! {
        li {
            (brief(happening.at))
            @match &happening.what {
                What::Task { id, function, status: of, error } => {
                    span.event { (status(*of)) " " a href={ (ROOT) "functions/" (function) } { (name(function.as_str())) } " " a.id href={ (ROOT) "tasks/" (id) } { (id) }
                        @if let Some(error) = error { " " (name(error)) } }
                }
                What::Line { task, message } => { code { (clean(message.trim_end())) } a.id.by href={ (ROOT) "tasks/" (task) } { (task) } }
                What::Gap => em { "Some of what happened was too much to be shown." },
            }
        }
    }
}
