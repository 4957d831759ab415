//! The parts of an open page, again whenever they have changed.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use crate::{
    app::App,
    pages::{self, Parts},
    request::Fields,
};

use super::hub::Watching;

/// How long after a change a page is made again: what else changes meanwhile is part of it.
const GATHER: Duration = Duration::from_millis(60);
/// The least time between two versions of a page, and the most. In between it depends on how long one took, so that a page
/// that is expensive for the service is made less often.
const LEAST_GAP: Duration = Duration::from_millis(700);
const MOST_GAP: Duration = Duration::from_secs(5);
const GAP_PER_WORK: u32 = 10;
/// How long a page stays as it is although nothing has happened: what it says may depend on the time.
const QUIET: Duration = Duration::from_secs(15);

struct Page {
    app: Arc<App>,
    path: String,
    query: Fields,
    watching: Watching,
    /// The marks of the parts that the browser has.
    marks: HashMap<&'static str, String>,
    is_in_trouble: bool,
    /// When the next version may be made.
    not_before: Option<Instant>,
}

/// The events of a page: `part` for each part that has changed, and `trouble` when it cannot be made. `None` if too many
/// pages are open.
pub(crate) fn stream(app: Arc<App>, path: String, query: Fields) -> Option<BoxStream<'static, Bytes>> {
    let watching = app.hub.watch()?;
    let page = Page { app, path, query, watching, marks: HashMap::new(), is_in_trouble: false, not_before: None };
    Some(stream::unfold(page, |mut page| async { Some((page.next().await, page)) }).boxed())
}

impl Page {
    async fn next(&mut self) -> Bytes {
        if let Some(not_before) = self.not_before {
            let waited = tokio::time::timeout(QUIET, self.watching.changed()).await;
            if waited.is_ok() {
                tokio::time::sleep(GATHER).await;
            }
            tokio::time::sleep_until(not_before.into()).await;
        }
        let made = pages::parts(&self.app, &self.path, &self.query).await;
        let (events, work) = match made {
            Ok(Parts { parts, work }) => {
                let mut events = String::new();
                if std::mem::take(&mut self.is_in_trouble) {
                    events.push_str(&event("trouble", "", "", ""));
                }
                for (id, mark, html) in parts.iter() {
                    if self.marks.get(id) != Some(mark) {
                        events.push_str(&event("part", id, mark, html));
                        self.marks.insert(id, mark.clone());
                    }
                }
                (events, work)
            }
            Err(problem) => {
                self.is_in_trouble = true;
                (event("trouble", "", "", &problem.shown().into_string()), LEAST_GAP)
            }
        };
        self.not_before = Some(Instant::now() + (work * GAP_PER_WORK).clamp(LEAST_GAP, MOST_GAP));
        // A comment shows that the connection lives.
        if events.is_empty() { Bytes::from_static(b":\n\n") } else { events.into() }
    }
}

/// An event whose data is `{id, mark, html}`.
fn event(name: &str, id: &str, mark: &str, html: &str) -> String {
    let data = serde_json::json!({ "id": id, "mark": mark, "html": html });
    format!("event: {name}\ndata: {data}\n\n")
}
