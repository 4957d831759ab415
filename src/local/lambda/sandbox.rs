//! One process of a Function: what Lambda calls an execution environment.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Engine,
    command::Start,
    config::create_private,
    jail::{Cell, Jail, MAX_PROCESSES},
    output::{LogTarget, Output},
    process_tree::ProcessTree,
    runtime_api::{Answer, Delivery, Event, RuntimeApi},
    runtimes::Support,
    versions::Version,
};
use crate::ports::FunctionError;

/// How often a busy process's memory is looked at.
const MEMORY_CHECK: Duration = Duration::from_millis(50);
/// How long after a process's exit its last words may still be on their way: at least until its connection is taken,
/// at most until every connection was read to its end.
const LAST_WORDS: Duration = Duration::from_millis(50);
const LAST_WORDS_AT_MOST: Duration = Duration::from_secs(2);

/// A running process. Dropping it kills it and everything that it started.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) version: Arc<Version>,
    pub(super) output: Output,
    api: RuntimeApi,
    events: mpsc::UnboundedReceiver<Event>,
    exit: watch::Receiver<Option<ExitStatus>>,
    tree: Arc<ProcessTree>,
    scratch: PathBuf,
    abort: CancellationToken,
    peak_bytes: u64,
    killed: bool,
}

/// What a busy process is waited for.
#[derive(Debug)]
pub(super) enum Happening {
    /// It waits for its next invocation.
    Ready,
    /// It answered its invocation.
    Answered(Answer),
    /// It cannot be initialised.
    InitError(FunctionError),
    /// It ended by itself.
    Exited(ExitStatus),
    /// It took more memory than it may.
    OutOfMemory,
    /// It started more processes than it may.
    OutOfProcesses,
    /// The time is over.
    Deadline,
    /// The server stops.
    Aborted,
}

/// Why no process came about.
#[derive(Debug)]
pub(super) enum StartError {
    /// The package has no program that can be started; Lambda's words for it.
    InvalidEntrypoint(String),
    /// The machine is at fault.
    Io(io::Error),
}

impl Sandbox {
    /// Starts a process; it is not initialised yet. Its first lines belong to `target`.
    pub(super) async fn start(
        engine: &Engine,
        version: &Arc<Version>,
        support: &Support,
        target: LogTarget,
    ) -> Result<Self, StartError> {
        let jail = engine.jail.as_ref().ok();
        if *support == Support::Bootstrap {
            check_bootstrap(&version.code_path.join("bootstrap"), jail)?;
        }
        let stream = super::run::random_hex::<16>();
        let scratch = engine.scratch.path().join(&stream);
        create_private(&scratch).map_err(StartError::Io)?;
        let socket = jail.map(|_| Cell::socket(&scratch));
        let (api, events) = RuntimeApi::listen(socket.as_deref()).await.map_err(StartError::Io)?;
        let (writer, output) = Output::start(engine.config.logs.clone(), target).map_err(StartError::Io)?;
        let day = jiff::Timestamp::now().strftime("%Y/%m/%d").to_string();
        let log_stream = format!("{day}/[$LATEST]{stream}");
        let start = Start { engine, version, support, api: api.address, scratch: &scratch, log_stream: &log_stream };
        let launch = start.launch(writer).map_err(StartError::Io)?;
        let mut child = match engine.launcher.spawn(launch).await {
            Ok(child) => child,
            Err(error) => {
                let _ = fs::remove_dir_all(&scratch);
                return Err(not_started(support, error));
            }
        };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(i32::MAX);
        let (exited, exit) = watch::channel(None);
        let is_jailed = jail.is_some();
        tokio::spawn(async move {
            if let Ok(status) = child.wait().await {
                let _ = exited.send(Some(if is_jailed { within_jail(status) } else { status }));
            }
        });
        let tree = Arc::new(if is_jailed { ProcessTree::jailed(pid) } else { ProcessTree::new(pid) });
        api.belongs_to(&tree);
        Ok(Self {
            version: version.clone(),
            output,
            api,
            events,
            exit,
            tree,
            scratch,
            abort: engine.abort.clone(),
            peak_bytes: 0,
            killed: false,
        })
    }

    /// Waits for the next thing to happen, until `deadline`.
    pub(super) async fn next(&mut self, deadline: Instant) -> Happening {
        loop {
            let memory_check = tokio::time::sleep(MEMORY_CHECK);
            tokio::select! {
                // What a process said counts before that it ended.
                biased;
                Some(event) = self.events.recv() => return event.into(),
                () = self.abort.cancelled() => return Happening::Aborted,
                () = tokio::time::sleep_until(deadline) => return Happening::Deadline,
                status = exit_of(&mut self.exit) => {
                    return self.last_words().await.map_or(Happening::Exited(status), Happening::from);
                }
                () = memory_check => {
                    if self.tree.has_more_than(MAX_PROCESSES) {
                        return Happening::OutOfProcesses;
                    }
                    if self.measure_memory() > self.memory_limit() {
                        return Happening::OutOfMemory;
                    }
                }
            }
        }
    }

    /// What a process that has ended said before.
    async fn last_words(&mut self) -> Option<Event> {
        let heard = async {
            tokio::time::sleep(LAST_WORDS).await;
            // What it started may hold a connection for ever.
            let _ = tokio::time::timeout(LAST_WORDS_AT_MOST, self.api.silent()).await;
        };
        tokio::select! {
            biased;
            event = self.events.recv() => event,
            () = heard => self.events.try_recv().ok(),
        }
    }

    /// Whether the process ended.
    pub(super) fn has_exited(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Hands an invocation over.
    pub(super) async fn deliver(&self, delivery: Delivery) {
        self.api.deliver(delivery).await;
    }

    /// The most memory that it took so far, in MB as Lambda reports it.
    pub(super) fn peak_megabytes(&mut self) -> u64 {
        self.peak_bytes = self.peak_bytes.max(self.tree.known_memory());
        self.peak_bytes.min(self.memory_limit()).div_ceil(1024 * 1024)
    }

    /// Stops it until the next run, as Lambda does.
    pub(super) fn freeze(&self) {
        self.tree.freeze();
    }

    /// Lets it run again.
    pub(super) fn thaw(&self) {
        self.tree.thaw();
    }

    /// Kills it with everything that it started, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        self.tree.kill(&self.scratch);
        self.killed = true;
        exit_of(&mut self.exit).await;
    }

    fn measure_memory(&mut self) -> u64 {
        let bytes = self.tree.memory(self.memory_limit());
        self.peak_bytes = self.peak_bytes.max(bytes);
        bytes
    }

    fn memory_limit(&self) -> u64 {
        u64::from(self.version.memory_limit.get()) * 1024 * 1024
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.killed {
            self.tree.kill(&self.scratch);
        }
        let _ = fs::remove_dir_all(&self.scratch);
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
        // The task that waits for the process is gone, and with it the runtime: nobody will wait for this either.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// How the program ended, from how bubblewrap did: as shells do, it adds 128 to the number of a signal.
fn within_jail(status: ExitStatus) -> ExitStatus {
    match status.code() {
        Some(code @ 129..=192) => ExitStatus::from_raw(code - 128),
        Some(_) | None => status,
    }
}

/// Why a package's own `bootstrap` cannot be started, as far as that shows before it is tried.
///
/// The format is looked at here because `exec` would not fail for one that the machine does not know: it would hand the
/// file to a shell. The rest is, because with a jail it is bubblewrap that fails.
fn check_bootstrap(bootstrap: &Path, jail: Option<&Jail>) -> Result<(), StartError> {
    let invalid = |why: &str| Err(StartError::InvalidEntrypoint(why.to_owned()));
    let mut head = [0; 20];
    let read = match fs::File::open(bootstrap).map(|file| file.take(20).read(&mut head)) {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => return Err(StartError::Io(error)),
        Err(_) => return invalid("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
    };
    let machine = u16::from_le_bytes([head[18], head[19]]);
    let here = match std::env::consts::ARCH {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        _ => None,
    };
    if fs::metadata(bootstrap).is_ok_and(|found| found.permissions().mode() & 0o111 == 0) {
        return invalid("fork/exec /var/task/bootstrap: permission denied");
    }
    let is_script = head.starts_with(b"#!");
    if let (true, Some(jail)) = (is_script, jail)
        && !interpreter_of(bootstrap).is_some_and(|interpreter| jail.sees(&interpreter))
    {
        return invalid("fork/exec /var/task/bootstrap: no such file or directory");
    }
    let is_program = read == head.len() && head.starts_with(b"\x7fELF") && here.is_none_or(|here| here == machine);
    if is_script || is_program || !cfg!(target_os = "linux") {
        return Ok(());
    }
    invalid("fork/exec /var/task/bootstrap: exec format error")
}

/// The program that the first line of a script names.
fn interpreter_of(script: &Path) -> Option<PathBuf> {
    let mut line = Vec::new();
    // The kernel looks no further either.
    BufReader::new(fs::File::open(script).ok()?.take(256)).read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8(line).ok()?;
    line.strip_prefix("#!")?.split_whitespace().next().map(PathBuf::from)
}

fn not_started(support: &Support, error: io::Error) -> StartError {
    match (support, error.kind()) {
        (Support::Bootstrap, io::ErrorKind::PermissionDenied) => {
            StartError::InvalidEntrypoint("fork/exec /var/task/bootstrap: permission denied".to_owned())
        }
        // The file is there: what is not is the program that its first line names.
        (Support::Bootstrap, io::ErrorKind::NotFound) => {
            StartError::InvalidEntrypoint("fork/exec /var/task/bootstrap: no such file or directory".to_owned())
        }
        _ => StartError::Io(error),
    }
}
