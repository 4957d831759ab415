//! Follows the service while a page is open.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tasklane_client::{AllNews, Client, ClientError, Query};
use tasklane_model::{FunctionName, ObjectId, Task, TaskStatus, Timestamp};
use tasklane_runtime::lock::Lock;
use tokio::sync::watch;

use crate::{app::App, parts::cut};

/// How much is remembered for pages that are opened later.
const REMEMBERED: usize = 250;
/// How much is remembered of a line.
const LINE_CHARS: usize = 2000;
/// How often Tasks are listed where nothing can be followed.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// How long to wait after the service did not answer.
const PAUSE: Duration = Duration::from_secs(2);
/// How many streams pages may have open.
const MOST_PAGES: usize = 256;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    pub(crate) at: Timestamp,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Task {
        id: ObjectId,
        function: FunctionName,
        status: TaskStatus,
        error: Option<String>,
    },
    Line {
        task: ObjectId,
        message: String,
    },
    /// The service had more to say than could be read.
    Gap,
}

/// How the console learns of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Not at all: nobody looks, or the service does not answer.
    #[default]
    Nothing,
    /// As they happen.
    Stream,
    /// It looks from time to time: this service has no streams.
    Poll,
}

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

struct Inner {
    client: Client,
    pages: AtomicUsize,
    state: Lock<State>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    is_running: bool,
    follows: Follows,
    happened: VecDeque<Happening>,
}

/// A page that wants to know. It is forgotten when this is dropped.
pub(crate) struct Watching {
    hub: Hub,
    changes: watch::Receiver<u64>,
}

impl Watching {
    /// Returns once something has changed since the last time.
    pub(crate) async fn changed(&mut self) {
        // The sender is in the hub, which this holds.
        let _ = self.changes.changed().await;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.hub.0.pages.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Hub {
    pub(crate) fn new(client: Client) -> Self {
        let inner = Inner { client, pages: AtomicUsize::new(0), state: Lock::default(), changes: watch::channel(0).0 };
        Self(Arc::new(inner))
    }

    /// Begins to follow the service, unless it is followed already. `None` if too many pages are open.
    pub(crate) fn watch(&self) -> Option<Watching> {
        if self.0.pages.fetch_add(1, Ordering::SeqCst) >= MOST_PAGES {
            self.0.pages.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        let watching = Watching { hub: self.clone(), changes: self.0.changes.subscribe() };
        let mut state = self.0.state.lock();
        if !state.is_running {
            state.is_running = true;
            tokio::spawn(self.clone().follow());
        }
        Some(watching)
    }

    /// What happened, the latest first, and how the console knows.
    pub(crate) fn happened(&self) -> (Follows, Vec<Happening>) {
        let state = self.0.state.lock();
        (state.follows, state.happened.iter().rev().cloned().collect())
    }

    async fn follow(self) {
        loop {
            let outcome = tokio::select! {
                outcome = self.listen() => outcome,
                () = self.abandoned() => Ok(()),
            };
            let pause = match outcome {
                Ok(()) => Duration::ZERO,
                // No such endpoint: nothing can be followed here.
                Err(ClientError::Service(error)) if error.status == 404 => {
                    self.poll().await;
                    POLL_EVERY
                }
                Err(_) => {
                    self.note(Follows::Nothing, None);
                    PAUSE
                }
            };
            tokio::time::sleep(pause).await;
            let mut state = self.0.state.lock();
            if self.0.pages.load(Ordering::SeqCst) == 0 {
                *state = State::default();
                return;
            }
        }
    }

    /// Returns when no page is open any more, and has not been for a moment: a person goes from page to page.
    async fn abandoned(&self) {
        let mut idle = 0;
        while idle < 3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            idle = if self.0.pages.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
        }
    }

    async fn listen(&self) -> Result<(), ClientError> {
        let mut stream = self.0.client.stream_tasks(String::new()).await?;
        self.note(Follows::Stream, None);
        while let Some(news) = stream.next().await? {
            let happening = match news {
                AllNews::Task(task) => of_task(&task),
                AllNews::Line(line) => {
                    let what = What::Line { task: line.task_id, message: cut(&line.message, LINE_CHARS) };
                    Happening { at: line.timestamp, what }
                }
                AllNews::Gap => Happening { at: App::now(), what: What::Gap },
            };
            self.note(Follows::Stream, Some(happening));
        }
        Ok(())
    }

    async fn poll(&self) {
        let query = Query::new().and("skipCount()&sort(-id)").limit(50, 0);
        let tasks = self.0.client.task_page(&query).await.map(|page| page.data).unwrap_or_default();
        let tasks = tasks.iter().filter_map(|json| serde_json::from_str::<Task>(json.as_str()).ok());
        let mut happened: Vec<_> = tasks.map(|task| of_task(&task)).collect();
        happened.sort_by_key(|happening| happening.at);
        self.0.state.lock().happened = happened.into();
        self.note(Follows::Poll, None);
    }

    fn note(&self, follows: Follows, happening: Option<Happening>) {
        {
            let mut state = self.0.state.lock();
            state.follows = follows;
            if let Some(happening) = happening {
                if state.happened.len() >= REMEMBERED {
                    state.happened.pop_front();
                }
                state.happened.push_back(happening);
            }
        }
        self.0.changes.send_modify(|number| *number = number.wrapping_add(1));
    }
}

fn of_task(task: &Task) -> Happening {
    let error = task.error.as_ref().map(|error| cut(&error.name, 80));
    let what = What::Task { id: task.id, function: task.function_name.clone(), status: task.status, error };
    Happening { at: task.status_changed_timestamp, what }
}
