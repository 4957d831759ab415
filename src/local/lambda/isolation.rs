//! Starting child processes that cannot outlive the server.

// `pre_exec` has no safe form.
#![allow(unsafe_code)]

use std::{io, sync::mpsc};

use nix::sys::resource::{Resource, setrlimit};
use tokio::process::{Child, Command};

/// The thread that starts every child process.
///
/// Linux ties a child's parent-death signal to the *thread* that started it, and tokio's threads come and go; this one
/// stays as long as the engine does.
pub(super) struct Launcher {
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
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
    pub(super) async fn spawn(&self, mut command: Command) -> io::Result<Child> {
        command.process_group(0).kill_on_drop(true);
        // SAFETY: the closure runs in the forked child, where other threads' locks may be held for ever. It only makes
        // system calls (prctl, setrlimit), which need no lock, and allocates nothing.
        unsafe {
            command.pre_exec(prepare);
        }
        let (started, wait) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let job = move || {
            let _entered = runtime.enter();
            let _ = started.send(command.spawn());
        };
        let gone = || io::Error::other("the thread that starts processes is gone");
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

fn prepare() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        nix::sys::prctl::set_child_subreaper(true)?;
    }
    // A crash is reported in the log; a core file in the Function's folder helps nobody.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}
