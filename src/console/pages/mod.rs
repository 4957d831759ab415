//! The pages. Each is made of what the service says now; none keeps anything.

mod bulks;
mod confirm;
mod credentials;
mod failures;
mod functions;
mod live;
mod overview;
mod requests;
mod schedules;
mod shell;
mod task;
mod tasks;
mod versions;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tasklane_model::Timestamp;
use tasklane_runtime::lock::Lock;

use crate::{
    access::Access,
    app::App,
    problem::Problem,
    request::Fields,
    view::{self, Part, View},
};

pub(crate) use bulks::ids;
pub(crate) use credentials::{created, only};
pub(crate) use overview::Recent;
pub(crate) use shell::{Written, beginning, file, plain, trouble, welcome, written};
pub(crate) use versions::version_of;

/// What a page is made from.
pub(crate) struct Cx<'a> {
    pub(crate) app: &'a App,
    pub(crate) access: &'a Access,
    pub(crate) query: &'a Fields,
    pub(crate) now: Timestamp,
}

/// The page at this path below the console's root.
pub(crate) async fn view(app: &App, access: &Access, path: &str, query: &Fields) -> Result<View, Problem> {
    let cx = Cx { app, access, query, now: App::now() };
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    match *segments {
        [""] => overview::view(&cx).await,
        ["tasks"] => tasks::view(&cx).await,
        ["tasks", id] => task::view(&cx, id).await,
        ["tasks", id, "again"] => task::again(&cx, id).await,
        ["failures"] => failures::view(&cx).await,
        ["functions"] => functions::list(&cx).await,
        ["functions", name] => functions::one(&cx, name).await,
        ["schedules"] => schedules::list(&cx).await,
        ["schedules", id] => schedules::one(&cx, id).await,
        ["bulk"] => bulks::list(&cx).await,
        ["bulk", "new"] => bulks::new(&cx).await,
        ["bulk", id] => bulks::one(&cx, id).await,
        ["requests"] => requests::list(&cx).await,
        ["requests", id] => requests::one(&cx, id).await,
        ["credentials"] => credentials::list(&cx).await,
        ["live"] => Ok(live::view(&cx)),
        [kind, id, act] => confirm::view(&cx, kind, id, act).await,
        _ => Err(Problem::NoPage),
    }
}

/// The live parts of a page, and how long it took to make them.
#[derive(Clone)]
pub(crate) struct Parts {
    /// Id, mark and HTML of each.
    pub(crate) parts: Arc<Vec<(&'static str, String, String)>>,
    pub(crate) work: Duration,
}

/// Pages that were made a moment ago, for all who look at the same one.
#[derive(Default)]
pub(crate) struct Cache(Lock<HashMap<String, Arc<Slot>>>);

type Slot = tokio::sync::Mutex<Option<(Instant, Parts)>>;

/// How long a page is good for others.
const FRESH_FOR: Duration = Duration::from_millis(400);
/// How many pages are remembered.
const MOST_PAGES: usize = 64;

impl Cache {
    /// Forgets all of them, because something was done: a page that is being made may still show what was before.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// The live parts of the page at this path.
pub(crate) async fn parts(app: &App, path: &str, query: &Fields) -> Result<Parts, Problem> {
    let slot = {
        let mut slots = app.cache.0.lock();
        if slots.len() >= MOST_PAGES {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(format!("{path}?{}", query.with(&[]))).or_default())
    };
    let mut made = slot.lock().await;
    if let Some((since, parts)) = &*made
        && since.elapsed() < FRESH_FOR
    {
        return Ok(parts.clone());
    }
    let began = Instant::now();
    let access = app.access().await?;
    let view = view(app, &access, path, query).await?;
    let parts = view.parts.into_iter().filter_map(|part| match part {
        Part::Still(_) => None,
        Part::Live(id, html) => Some((id, view::mark(&html), html.into_string())),
    });
    let parts = Parts { parts: Arc::new(parts.collect()), work: began.elapsed() };
    *made = Some((Instant::now(), parts.clone()));
    Ok(parts)
}
