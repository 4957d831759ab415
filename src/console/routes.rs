//! Which page or act an address is.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use http::{Method, StatusCode, request::Parts};

use crate::{
    access::Access,
    acts::{self, Done},
    app::App,
    door::{ROOT, Secret},
    live,
    pages::{self, Written},
    problem::Problem,
    reply::Reply,
    request::Fields,
};

/// A request of a browser that was let in.
pub(crate) struct Asked<'a> {
    pub(crate) app: Arc<App>,
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) query: Fields,
    pub(crate) form: Fields,
    pub(crate) session: Secret,
}

/// What anybody gets who comes under the right name: the files of the console, and the page behind the link.
pub(crate) fn open(app: &App, head: &Parts) -> Option<Reply> {
    let path = head.uri.path();
    if path == "/" {
        return Some(Reply::Go(ROOT.to_owned()));
    }
    let rest = path.strip_prefix(ROOT)?;
    if let Some(name) = rest.strip_prefix("static/") {
        return Some(pages::file(name).unwrap_or_else(|| no_page(&Problem::NoPage)));
    }
    if rest != "open" || head.method != Method::GET {
        return None;
    }
    let query = Fields::parse(head.uri.query().unwrap_or_default());
    let now = App::now();
    Some(match app.door.open(query.get("key").unwrap_or_default(), now) {
        Ok(cookie) => Reply::Welcome { cookie, page: pages::welcome() },
        // A browser that was let in may use its link again, such as from its history.
        Err(_) if app.door.enter(&head.headers, now).is_ok() => Reply::Go(ROOT.to_owned()),
        Err(refused) => Reply::Page(
            StatusCode::FORBIDDEN,
            pages::plain(
                &refused.to_string(),
                "If nobody you know used it, stop the console. `tasklane console` prints a new link.",
            ),
        ),
    })
}

/// Answers a request.
pub(crate) async fn answer(asked: Asked<'_>) -> Reply {
    let Some(path) = asked.path.strip_prefix(ROOT) else { return no_page(&Problem::NoPage) };
    match asked.method {
        Method::GET | Method::HEAD if path == "changes" => changes(&asked),
        Method::GET | Method::HEAD => show(&asked, path).await,
        Method::POST => act(&asked, path).await,
        _ => no_page(&Problem::NoPage),
    }
}

fn changes(asked: &Asked<'_>) -> Reply {
    let page = asked.query.get("page").unwrap_or_default();
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let Some(path) = path.strip_prefix(ROOT) else { return no_page(&Problem::NoPage) };
    match live::stream(Arc::clone(&asked.app), path.to_owned(), Fields::parse(query)) {
        Some(events) => Reply::Events(events),
        None => Reply::Page(
            StatusCode::SERVICE_UNAVAILABLE,
            pages::plain("Too many pages are open", "Close some, then load this one again."),
        ),
    }
}

/// How long a browser waits for the first byte, while the service is asked.
const PATIENCE: Duration = Duration::from_millis(40);

async fn show(asked: &Asked<'_>, path: &str) -> Reply {
    let (app, session) = (Arc::clone(&asked.app), asked.session);
    let (at, query) = (path.to_owned(), asked.query.clone());
    let mut work = async move {
        match app.access().await {
            Ok(access) => {
                let notice = app.door.told(&session);
                let made = pages::view(&app, &access, &at, &query).await;
                pages::written(made, &app, &access, notice.as_deref())
            }
            // Not even the caller is known.
            Err(error) => pages::written(Err(error.into()), &app, &Access::unknown(), None),
        }
    }
    .boxed();
    match tokio::time::timeout(PATIENCE, &mut work).await {
        Ok(written) => page(&asked.app, path, &written),
        Err(_) => Reply::Slow {
            beginning: pages::beginning(path, None, asked.app.known_access().as_deref()),
            rest: work.map(|written| written.rest).boxed(),
        },
    }
}

async fn act(asked: &Asked<'_>, path: &str) -> Reply {
    let page = |made, access: &Access| page(&asked.app, path, &pages::written(made, &asked.app, access, None));
    let access = match asked.app.access().await {
        Ok(access) => access,
        Err(error) => return page(Err(error.into()), &Access::unknown()),
    };
    let done = acts::act(&asked.app, &access, path, &asked.form).await;
    asked.app.cache.clear();
    match done {
        Ok(Done::Go { to, notice }) => {
            asked.app.door.tell(&asked.session, notice);
            Reply::Go(format!("{ROOT}{to}"))
        }
        Ok(Done::Show(view)) => page(Ok(*view), &access),
        Err(problem) => page(Err(problem), &access),
    }
}

fn page(app: &App, path: &str, Written { status, title, rest }: &Written) -> Reply {
    Reply::Page(*status, pages::beginning(path, Some(title), app.known_access().as_deref()) + rest)
}

fn no_page(problem: &Problem) -> Reply {
    Reply::Page(problem.status(), pages::trouble(problem))
}
