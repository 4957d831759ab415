//! What is around every page.

use http::StatusCode;
use maud::{DOCTYPE, Markup, html};
use tasklane_model::Permission;

use crate::{
    access::Access,
    app::App,
    door::ROOT,
    parts::clean,
    problem::Problem,
    reply::Reply,
    view::{Part, View, mark},
};

const STYLE: &str = include_str!("../static/console.css");
const SCRIPT: &str = include_str!("../static/console.js");
const ICON: &str = include_str!("../static/icon.svg");

/// The places, in the order of the navigation, and what it takes to see them. Versions, canaries and flow by key get theirs
/// when the console shows them.
const PLACES: [(&str, &str, Permission); 9] = [
    ("", "Overview", Permission::ViewTasks),
    ("tasks", "Tasks", Permission::ViewTasks),
    ("failures", "Failures", Permission::ViewTasks),
    ("functions", "Functions", Permission::ViewTaskFunctions),
    ("schedules", "Schedules", Permission::ViewTaskSchedules),
    ("bulk", "Bulk", Permission::ViewTasks),
    ("requests", "API Requests", Permission::ViewApiFunctionRequests),
    ("live", "Live", Permission::ViewTasks),
    ("credentials", "Credentials", Permission::ViewCredentials),
];

/// A name that changes with the content, so that a browser can keep the file for ever.
const fn version(text: &str) -> u32 {
    let (bytes, mut at, mut hash) = (text.as_bytes(), 0, 0x811c_9dc5_u32);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// A file of the console's own.
pub(crate) fn file(name: &str) -> Option<Reply> {
    let (kind, text) = match name {
        "console.css" => ("text/css; charset=utf-8", STYLE),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return None,
    };
    Some(Reply::File { kind, bytes: text.as_bytes() })
}

/// A page in two parts: what is known before the service has answered, and what its answer makes of it.
pub(crate) struct Written {
    pub(crate) status: StatusCode,
    pub(crate) title: String,
    /// The page without its beginning.
    pub(crate) rest: String,
}

/// The page, or what went wrong.
pub(crate) fn written(made: Result<View, Problem>, app: &App, access: &Access, notice: Option<&str>) -> Written {
    match made {
        Ok(view) => Written { status: StatusCode::OK, rest: rest(&view, app, access, notice), title: view.title },
        Err(problem) => {
            let view = View::new(problem.title()).still(problem.shown());
            Written { status: problem.status(), rest: rest(&view, app, access, notice), title: view.title }
        }
    }
}

/// The beginning of the page at this path. It needs no answer of the service, so a browser can have it at once; the title and
/// the caller are in it if they are known.
pub(crate) fn beginning(path: &str, title: Option<&str>, access: Option<&Access>) -> String {
    let first = path.split('/').next().unwrap_or_default();
    let label = PLACES.iter().find(|(place, ..)| *place == first).map_or("tasklane", |(_, label, _)| *label);
    let may_see = |permission| access.is_none_or(|access| access.may(permission));
    let top = html! {
        a.skip href="#main" { "Skip to the content" }
        header.top {
            a.brand href=(ROOT) { (mark_of_house()) "tasklane" }
            nav aria-label="Pages" {
                @for (place, label, _) in PLACES.into_iter().filter(|(.., permission)| may_see(*permission)) {
                    a href={ (ROOT) (place) } aria-current=[(place == first).then_some("page")] { (label) }
                }
            }
        }
    };
    format!("{}<body>{}<main id=\"main\" tabindex=\"-1\">", head(title.unwrap_or(label), &html! {}), top.into_string())
}

fn rest(view: &View, app: &App, access: &Access, notice: Option<&str>) -> String {
    let service = app.client.base().to_string();
    let is_live = view.parts.iter().any(|part| matches!(part, Part::Live(..)));
    let content = html! {
        h1 data-live[is_live] { bdi { (clean(&view.title)) } }
        @if let Some(notice) = notice { p.notice role="status" { bdi { (clean(notice)) } } }
        div id="trouble" role="alert" {}
        @for part in &view.parts {
            @match part {
                Part::Still(html) => (html),
                Part::Live(id, html) => { div id=(id) data-mark=(mark(html)) { (html) } }
            }
        }
    };
    let bottom = html! {
        footer {
            span { "Service: " bdi { (clean(&service)) } }
            span { "You: " bdi { (clean(&access.user)) } }
            span { "Times: " span id="zone" { "UTC" } }
            span id="link" {}
        }
    };
    format!("{}</main>{}</body></html>", content.into_string(), bottom.into_string())
}

/// A page for those who were not let in: it says nothing about the service.
pub(crate) fn plain(title: &str, advice: &str) -> String {
    page(
        title,
        &html! { main.alone id="main" { h1 { (title) } p { (advice) } p { a href=(ROOT) { "Go to the console" } } } },
    )
}

/// A problem without anything around it, because not even the caller is known.
pub(crate) fn trouble(problem: &Problem) -> String {
    page(
        problem.title(),
        &html! {
            main.alone id="main" { h1 { (problem.title()) } (problem.shown()) p { a href=(ROOT) { "Try again" } } }
        },
    )
}

/// The page behind the link. It goes on by itself: the browser sends the new cookie only where it comes from a page of this
/// origin.
pub(crate) fn welcome() -> String {
    let head = html! { meta http-equiv="refresh" content={ "0;url=" (ROOT) }; };
    with_head(
        "Opening the console",
        &head,
        &html! { main.alone id="main" { h1 { "Opening the console" } p { a href=(ROOT) { "Go on" } } } },
    )
}

fn page(title: &str, body: &Markup) -> String {
    with_head(title, &html! {}, body)
}

fn with_head(title: &str, more: &Markup, body: &Markup) -> String {
    format!("{}<body>{}</body></html>", head(title, more), body.0)
}

fn head(title: &str, more: &Markup) -> String {
    let head = html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (clean(title)) " · tasklane" }
            link rel="icon" href={ (ROOT) "static/icon.svg" };
            link rel="stylesheet" href={ (ROOT) "static/console.css?" (const { version(STYLE) }) };
            script type="module" src={ (ROOT) "static/console.js?" (const { version(SCRIPT) }) } {}
            (more)
        }
    };
    format!("{}<html lang=\"en\">{}", DOCTYPE.0, head.0)
}

fn mark_of_house() -> Markup {
    html! {
        svg viewBox="0 0 16 16" aria-hidden="true" {
            path d="M1 4h9M4 8h11M1 12h6" {}
        }
    }
}
