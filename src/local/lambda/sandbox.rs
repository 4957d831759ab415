//! One process of a Function, which Lambda calls an execution environment.

use std::{fs, os::unix::process::ExitStatusExt, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration};

use tasklane_model::FunctionError;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    entrypoint::{self, StartError},
    folders::create_private,
    jail::{Cell, Entry},
    limits::MAX_PROCESSES,
    names::ProcessNames,
    output::{LogTarget, Output},
    peers::Owner,
    process_tree::ProcessTree,
    runtime_api::{Answer, Delivery, Event, RuntimeApi},
    runtimes::Support,
    site::Site,
    start::Start,
    versions::Version,
    watchdog,
};

/// How often the memory of a busy process is measured.
const MEMORY_CHECK: Duration = Duration::from_millis(50);
/// The pause between measurements is this many times as long as the last one took, up to a maximum: with a thousand
/// processes there are many files to read.
const MEMORY_CHECK_SHARE: u32 = 4;
const MEMORY_CHECK_AT_MOST: Duration = Duration::from_millis(250);
/// How long the last requests of an exited process may take to arrive: at least until its connection is accepted, at
/// most until all connections were read to their end.
const LAST_WORDS: Duration = Duration::from_millis(50);
const LAST_WORDS_AT_MOST: Duration = Duration::from_secs(2);

/// A running process. Dropping it kills the process and everything that it started.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) version: Arc<Version>,
    pub(super) output: Output,
    api: RuntimeApi,
    events: mpsc::UnboundedReceiver<Event>,
    exit: watch::Receiver<Option<ExitStatus>>,
    tree: Arc<ProcessTree>,
    /// Tells whether its program was started, if there is a jail.
    entry: Option<Entry>,
    is_bootstrap: bool,
    scratch: PathBuf,
    abort: CancellationToken,
    peak_bytes: u64,
    /// How long the last memory measurement took.
    last_look: Duration,
    killed: bool,
}

/// What can happen to a busy process.
#[derive(Debug)]
pub(super) enum Happening {
    /// It is waiting for its next invocation.
    Ready,
    /// It answered its invocation.
    Answered(Answer),
    /// Its initialisation failed.
    InitError(FunctionError),
    /// It exited by itself.
    Exited(ExitStatus),
    /// It uses more memory than its limit.
    OutOfMemory,
    /// It has started more processes than its limit.
    OutOfProcesses,
    /// The time limit was reached.
    Deadline,
    /// The server is stopping.
    Aborted,
}

impl Sandbox {
    /// Starts a process, which is not initialised yet. Its first lines belong to `target`.
    pub(super) async fn start(
        site: &Site,
        version: &Arc<Version>,
        support: &Support,
        target: LogTarget,
    ) -> Result<Self, StartError> {
        let jail = site.jail.as_ref().ok();
        if *support == Support::Bootstrap {
            entrypoint::check_bootstrap(&version.bootstrap(), jail.is_some())?;
        }
        let ProcessNames { id, log_stream } = ProcessNames::new();
        let scratch = site.scratch.path().join(&id);
        create_private(&scratch).map_err(StartError::Io)?;
        let socket = jail.map(|_| Cell::socket(&scratch));
        let (api, events) = RuntimeApi::listen(socket.as_deref()).await.map_err(StartError::Io)?;
        let (writer, output) = Output::start(site.config.logs.clone(), target).map_err(StartError::Io)?;
        let start = Start { site, version, support, api: api.address, scratch: &scratch, log_stream: &log_stream };
        let (mut launch, entry) = start.launch(writer).map_err(StartError::Io)?;
        let user = launch.user;
        launch.group = site.groups.as_ref().filter(|_| jail.is_some()).and_then(|groups| {
            let group = groups.group(&id, memory_limit(version));
            // Without a group, the process tree does what it can.
            group.inspect_err(|error| tracing::debug!("no control group: {error}")).ok().map(Arc::new)
        });
        let child = match site.launcher.spawn(launch).await {
            Ok(child) => child,
            Err(error) => {
                let _ = fs::remove_dir_all(&scratch);
                return Err(entrypoint::not_started(support, error));
            }
        };
        let pid = child.id().unwrap_or(i32::MAX);
        if site.config.platform.is_portable()
            && let Err(error) = watchdog::note(&scratch, pid)
        {
            tracing::warn!("if the server is killed, a process may outlive it: {error}");
        }
        let is_jailed = jail.is_some();
        let platform = site.config.platform;
        let tree = if is_jailed { ProcessTree::jailed(pid, platform) } else { ProcessTree::new(pid, platform) };
        let group = child.group().cloned();
        let tree = Arc::new(tree.in_group(group.clone()));
        let (exited, exit) = watch::channel(None);
        tokio::spawn(async move {
            if let Ok(status) = child.wait().await {
                let _ = exited.send(Some(if is_jailed { within_jail(status) } else { status }));
            }
            if let Some(group) = group {
                group.remove().await;
            }
        });
        api.belongs_to(Owner { tree: Arc::clone(&tree), user });
        Ok(Self {
            version: version.clone(),
            output,
            api,
            events,
            exit,
            tree,
            entry,
            is_bootstrap: *support == Support::Bootstrap,
            scratch,
            abort: site.abort.clone(),
            peak_bytes: 0,
            last_look: Duration::ZERO,
            killed: false,
        })
    }

    /// Waits until something happens, or until `deadline`.
    pub(super) async fn next(&mut self, deadline: Instant) -> Happening {
        loop {
            let (tree, limit) = (Arc::clone(&self.tree), self.memory_limit());
            let pause = (self.last_look * MEMORY_CHECK_SHARE).clamp(MEMORY_CHECK, MEMORY_CHECK_AT_MOST);
            let look = async {
                tokio::time::sleep(pause).await;
                let look = move || {
                    let begun = Instant::now();
                    (tree.look(limit), begun.elapsed())
                };
                tokio::task::spawn_blocking(look).await
            };
            tokio::select! {
                // An answer comes before the exit of the process that sent it.
                biased;
                Some(event) = self.events.recv() => return event.into(),
                () = self.abort.cancelled() => return Happening::Aborted,
                () = tokio::time::sleep_until(deadline) => return Happening::Deadline,
                status = exit_of(&mut self.exit) => {
                    return match self.last_words().await {
                        Some(event) => event.into(),
                        None if self.tree.ran_out_of_memory() => Happening::OutOfMemory,
                        None => Happening::Exited(status),
                    };
                }
                look = look => {
                    // Fails only when the runtime shuts down.
                    let Ok((look, took)) = look else { continue };
                    self.last_look = took;
                    self.peak_bytes = self.peak_bytes.max(look.resident);
                    if look.processes > MAX_PROCESSES {
                        return Happening::OutOfProcesses;
                    }
                    if look.held > limit {
                        return Happening::OutOfMemory;
                    }
                }
            }
        }
    }

    /// The message that an exited process sent just before, if any.
    async fn last_words(&mut self) -> Option<Event> {
        let heard = async {
            tokio::time::sleep(LAST_WORDS).await;
            // Processes that it started may hold a connection for ever.
            let _ = tokio::time::timeout(LAST_WORDS_AT_MOST, self.api.silent()).await;
        };
        tokio::select! {
            biased;
            event = self.events.recv() => event,
            () = heard => self.events.try_recv().ok(),
        }
    }

    /// Why the Function's program was not started, if the jail failed before that.
    pub(super) fn not_entered(&self) -> Option<StartError> {
        let failure = self.entry.as_ref()?.failure()?;
        Some(entrypoint::not_entered(failure, self.is_bootstrap, &self.version))
    }

    pub(super) fn has_exited(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Passes an invocation to the process.
    pub(super) async fn deliver(&self, delivery: Delivery) {
        self.api.deliver(delivery).await;
    }

    /// The most memory that it has used so far, in MB as Lambda reports it.
    pub(super) fn peak_megabytes(&mut self) -> u64 {
        self.peak_bytes = self.peak_bytes.max(self.tree.known_memory());
        self.peak_bytes.min(self.memory_limit()).div_ceil(1024 * 1024)
    }

    pub(super) fn tree(&self) -> &Arc<ProcessTree> {
        &self.tree
    }

    /// Notes that its run is over.
    pub(super) fn rest(&self) {
        self.api.close_but_waiting();
    }

    /// Marks its processes as to be stopped until the next run. [`ProcessTree::freeze`] then stops them.
    pub(super) fn hold_still(&self) -> Arc<ProcessTree> {
        self.tree.stillness.want();
        Arc::clone(&self.tree)
    }

    /// Lets its processes go on.
    pub(super) async fn thaw(&self) {
        if !self.tree.thaw() {
            let tree = Arc::clone(&self.tree);
            // Fails only when the runtime shuts down, and the process with it.
            let _ = tokio::task::spawn_blocking(move || tree.thaw_after_all()).await;
        }
    }

    /// Kills it and everything that it started, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        let (tree, scratch) = (Arc::clone(&self.tree), self.scratch.clone());
        let killed = tokio::task::spawn_blocking(move || tree.kill(&scratch)).await;
        self.killed = killed.is_ok();
        exit_of(&mut self.exit).await;
    }

    fn memory_limit(&self) -> u64 {
        memory_limit(&self.version)
    }
}

/// In bytes.
fn memory_limit(version: &Version) -> u64 {
    u64::from(version.configuration.memory_limit.get()) * 1024 * 1024
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.killed {
            self.tree.kill(&self.scratch);
        }
        let _ = fs::remove_dir_all(&self.scratch);
        if self.tree.platform.is_portable() {
            watchdog::forget(&self.scratch);
        }
    }
}

impl From<Event> for Happening {
    fn from(event: Event) -> Self {
        match event {
            Event::Ready => Self::Ready,
            Event::Answered(answer) => Self::Answered(answer),
            Event::InitError(error) => Self::InitError(error),
        }
    }
}

async fn exit_of(exit: &mut watch::Receiver<Option<ExitStatus>>) -> ExitStatus {
    match exit.wait_for(Option::is_some).await.map(|status| *status) {
        Ok(Some(status)) => status,
        // The task that waits for the process is gone, and the runtime with it: nothing will wait for this either.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// The program's exit status, from that of bubblewrap: like shells, it adds 128 to the number of a signal.
fn within_jail(status: ExitStatus) -> ExitStatus {
    match status.code() {
        Some(code @ 129..=192) => ExitStatus::from_raw(code - 128),
        Some(_) | None => status,
    }
}
