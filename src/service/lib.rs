//! Everything that callers can do, one file per capability.
//!
//! The methods take parsed values and return the contract's [`tasklane_model::Error`]. They do not depend on axum, but
//! they do use headers and status codes, because an API Function is an HTTP endpoint. Global permissions (contract §3)
//! are checked by the layer that admits callers; permission modes (§6) depend on the Function and are checked here.

mod access;
mod accounts;
mod anonymous;
mod answer_headers;
mod answer_json;
mod api_answer;
mod api_event;
mod api_functions;
mod api_requests;
mod attempts;
mod batch;
mod bulks;
mod core;
mod credentials;
mod debounce;
mod execute;
mod execute_once;
mod execution_credentials;
mod failures;
mod feed;
mod flow;
mod functions;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod lists;
mod logs;
mod overview;
mod passed_headers;
mod passwords;
mod recorder;
mod rehearsal;
mod results;
mod roles;
mod schedules;
mod settings;
mod short_lists;
mod stats;
mod streams;
mod tasks;
mod turns;
mod uploads;
mod versions;
mod why;

pub use self::core::{Core, Limits};
pub use accounts::{NewAccount, Profile, ShownUser, UserToken};
pub use api_functions::{ApiAnswer, ApiCall};
pub use batch::{BatchEntry, BatchOutcome};
pub use bulks::Backfill;
pub use credentials::{CreatedCredential, Credential, NewCredential, Revoked};
pub use execute::Executed;
pub use execution_credentials::{ExecutionCredentials, ExecutionKeys, HeldKeys, NewExecutionCredentials};
pub use feed::Feed;
pub use functions::{FunctionChange, NewFunction, NewProgram};
pub use logs::LogsAnswer;
pub use rehearsal::Rehearsal;
pub use results::TaskResult;
pub use roles::{NewRole, ShownPermission, ShownRole};
pub use schedules::ScheduleEndpoint;
pub use settings::{AnonymousConcurrency, Settings, UnknownRuntimes};
pub use stats::RunHistory;
pub use streams::{StreamEnd, StreamItem, StreamedLine, TaskStream};
pub use tasklane_dispatch::ENDED_RUNS;
pub use tasklane_model::FunctionOptions;
pub use uploads::{Announced, SentCode};
pub use versions::{ListedVersion, NewCanary};

use std::{sync::Arc, time::Duration};

use tasklane_auth::SecretBox;
use tasklane_dispatch::{FunctionDirectory, Runner, Slots};
use tasklane_model::{Error, Result, Timestamp};
use tasklane_ports::{Ports, Wakeup};
use tasklane_runtime::detach::detach_on_drop;
use tasklane_store::Store;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::warn;

use self::{anonymous::AnonymousRuns, lists::Lists, passwords::Passwords, recorder::Recorder, turns::Turns};

/// The service, shared by all handlers. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    ports: Ports,
    settings: Settings,
    functions: Arc<FunctionDirectory>,
    slots: Arc<Slots>,
    secrets: Arc<dyn SecretBox>,
    runner: Runner,
    api_slots: Arc<Semaphore>,
    anonymous: AnonymousRuns,
    recorder: Recorder,
    lists: Lists,
    turns: Arc<Turns>,
    passwords: Passwords,
    /// Work that continues after its caller was answered or hung up.
    background: TaskTracker,
}

impl Service {
    /// `slots` and `functions` are shared with the dispatcher of the same process, if there is one; `secrets` seals the
    /// secrets of credentials.
    pub fn new(
        store: Store,
        ports: Ports,
        settings: Settings,
        slots: Arc<Slots>,
        functions: Arc<FunctionDirectory>,
        secrets: Arc<dyn SecretBox>,
    ) -> Self {
        let runner = Runner::new(store.clone(), ports.clone());
        let api_slots = Arc::new(Semaphore::new(usize::from(settings.api_concurrency)));
        let recorder = Recorder::new(store.api_requests.clone());
        let background = TaskTracker::new();
        let anonymous = AnonymousRuns::new(settings.anonymous_concurrency);
        let inner = Inner {
            store,
            ports,
            settings,
            functions,
            slots,
            secrets,
            runner,
            api_slots,
            anonymous,
            recorder,
            lists: Lists::default(),
            turns: Arc::default(),
            passwords: Passwords::default(),
            background,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The time on this service's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.ports.clock.now()
    }

    /// Waits for all work that continues after its caller was answered or hung up.
    pub async fn drain(&self) {
        self.inner.background.close();
        self.inner.background.wait().await;
        self.inner.background.reopen();
    }

    /// Does work for a caller who is waiting. If the caller cannot wait any longer, the answer is `late`, and the work
    /// continues.
    async fn answer_of<T: Send>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
        late: impl FnOnce(Duration) -> Error,
    ) -> Result<T> {
        let work = detach_on_drop(&self.inner.background, work);
        let Some(patience) = self.inner.settings.answer_within else { return work.await };
        tokio::select! {
            biased;
            done = work => done,
            () = self.inner.ports.clock.sleep(patience) => Err(late(patience)),
        }
    }

    /// Asks a dispatcher to look for due Tasks. If the wake-up is lost, the ticker finds them.
    pub async fn wake(&self, wakeup: Wakeup) {
        if let Err(error) = self.inner.ports.wakeups.wake(wakeup).await {
            warn!(%error, "no wake-up was sent; the ticker will find the task");
        }
    }

    /// Tells the ticker that something may be due earlier than it expects.
    async fn times_changed(&self) {
        if let Err(error) = self.inner.ports.wakeups.times_changed().await {
            warn!(%error, "the ticker was not told that something is due; its next tick will find it");
        }
    }
}
