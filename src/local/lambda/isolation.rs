//! Starting child processes that cannot outlive the server.

// `pre_exec` has no safe form.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::mpsc,
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::resource::{Resource, setrlimit},
};
use tokio::process::{Child, Command};

/// The thread that starts every child process.
///
/// Linux ties a child's parent-death signal to the *thread* that started it, and tokio's threads come and go; this one
/// stays as long as the engine does.
pub(super) struct Launcher {
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

/// A child process to be.
pub(super) struct Launch {
    pub(super) command: Command,
    /// What the child gets besides its standard streams, under the same number.
    pub(super) inherited: Option<OwnedFd>,
    pub(super) limits: Limits,
}

/// What the kernel itself holds a child to.
#[derive(Clone, Copy, Default)]
pub(super) struct Limits {
    /// Processes and threads of the child's user.
    pub(super) processes: Option<u64>,
    /// Bytes of memory that one process may reserve for itself.
    pub(super) data: Option<u64>,
}

impl Launcher {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        std::thread::Builder::new()
            .name("tasklane-launcher".to_owned())
            .spawn(move || queue.into_iter().for_each(|job| job()))?;
        Ok(Self { jobs })
    }

    /// Starts the command in a process group of its own; it dies with the server, and whatever its own children
    /// leave behind becomes its child, so that [`super::process_tree`] still finds it.
    pub(super) async fn spawn(&self, mut launch: Launch) -> io::Result<Child> {
        launch.command.process_group(0).kill_on_drop(true);
        launch.prepare();
        let (started, wait) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let job = move || {
            let _entered = runtime.enter();
            let _ = started.send(launch.command.spawn());
        };
        let gone = || io::Error::other("the thread that starts processes is gone");
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

impl Launch {
    /// Has the child do what is to be done between its birth and its program. Once.
    pub(super) fn prepare(&mut self) {
        let (limits, inherited) = (self.limits, self.inherited.take());
        // SAFETY: the closure runs in the forked child, where other threads' locks may be held for ever. It only makes
        // system calls (prctl, setrlimit, fcntl), which need no lock, and allocates nothing.
        unsafe {
            self.command.pre_exec(move || prepare(limits, inherited.as_ref()));
        }
    }
}

fn prepare(limits: Limits, inherited: Option<&OwnedFd>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        nix::sys::prctl::set_child_subreaper(true)?;
        if let Some(processes) = limits.processes {
            setrlimit(Resource::RLIMIT_NPROC, processes, processes)?;
        }
    }
    if let Some(data) = limits.data {
        setrlimit(Resource::RLIMIT_DATA, data, data)?;
    }
    // A crash is reported in the log; a core file in the Function's folder helps nobody.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if let Some(inherited) = inherited {
        // Only here, in the child: what another thread starts meanwhile must not get it.
        fcntl(inherited.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    Ok(())
}
