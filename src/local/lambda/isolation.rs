//! Starts child processes that cannot outlive the server and inherit nothing from it except what they are given.

// `pre_exec` and some system calls have no safe wrapper.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::{ExitStatus, Stdio},
    sync::{Arc, mpsc},
};

#[cfg(target_os = "linux")]
use nix::libc;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::resource::{Resource, getrlimit, setrlimit},
};
use tokio::process::{Child, Command};

use super::platform::{
    birth::{self, Born},
    cgroup::Group,
};

/// The thread that starts every child process.
///
/// Linux ties a child's parent-death signal to the *thread* that started it, and tokio's threads come and go. This one
/// lives as long as the engine.
pub(super) struct Launcher {
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

/// A child process to start.
pub(super) struct Launch {
    pub(super) command: Command,
    /// Standard output and error, unless the command sets them.
    pub(super) output: Option<OwnedFd>,
    /// The control group to start it in. If set, only the command's program and arguments are used.
    pub(super) group: Option<Arc<Group>>,
    /// Descriptors that the child gets besides its standard streams, under the same numbers.
    pub(super) inherited: Vec<OwnedFd>,
    pub(super) limits: Limits,
    /// The user that the Function's processes run as, outside of their jail.
    pub(super) user: u32,
}

/// Lambda's limit on the open files of a Function's process.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_FILES: u64 = 1024;

/// How many signals may be pending for a Function's processes. The kernel keeps them in its own memory.
#[cfg(target_os = "linux")]
const MAX_PENDING_SIGNALS: u64 = 1024;

/// Limits that the kernel enforces on a child.
#[derive(Clone, Copy, Default)]
pub(super) struct Limits {
    /// How many bytes of memory one process may reserve.
    pub(super) data: Option<u64>,
    /// Whether the kernel ends the child with the server, and makes it adopt the orphans among its descendants. Only Linux
    /// can.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(super) is_bound: bool,
}

impl Launcher {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        std::thread::Builder::new()
            .name("tasklane-launcher".to_owned())
            .spawn(move || queue.into_iter().for_each(|job| job()))?;
        Ok(Self { jobs })
    }

    /// Starts the command in a process group of its own. It dies with the server, and it adopts the orphans among its
    /// descendants, so that [`super::process_tree`] still finds them.
    pub(super) async fn spawn(&self, launch: Launch) -> io::Result<Started> {
        let (started, wait) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let job = move || {
            let _entered = runtime.enter();
            let _ = started.send(launch.start());
        };
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

pub(super) enum Started {
    /// In the server's own control group.
    Plain(Child),
    /// In a control group of its own.
    Grouped(Born, Arc<Group>),
}

impl Started {
    /// Its process id.
    pub(super) fn id(&self) -> Option<i32> {
        match self {
            Self::Plain(child) => child.id().and_then(|pid| i32::try_from(pid).ok()),
            Self::Grouped(born, _) => Some(born.id()),
        }
    }

    pub(super) fn group(&self) -> Option<&Arc<Group>> {
        match self {
            Self::Plain(_) => None,
            Self::Grouped(_, group) => Some(group),
        }
    }

    /// Waits until it exits, and then for the rest of its group.
    pub(super) async fn wait(self) -> io::Result<ExitStatus> {
        match self {
            Self::Plain(mut child) => child.wait().await,
            Self::Grouped(born, _) => born.wait().await,
        }
    }
}

impl Launch {
    fn start(mut self) -> io::Result<Started> {
        if let (Some(group), Some(output)) = (self.group.take(), &self.output) {
            let prepare = || prepare(self.limits, &self.inherited);
            match birth::start(self.command.as_std(), output, group.descriptor(), prepare) {
                Ok(born) => return Ok(Started::Grouped(born, group)),
                // The kernel is old or refuses: start it without a group.
                Err(error) => tracing::debug!("a process was not started in a control group: {error}"),
            }
        }
        if let Some(output) = self.output.take() {
            self.command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        }
        self.command.process_group(0).kill_on_drop(true);
        self.prepare();
        Ok(Started::Plain(self.command.spawn()?))
    }

    /// Sets up everything that the child does between the fork and its program. To be called once.
    pub(super) fn prepare(&mut self) {
        let (limits, inherited) = (self.limits, std::mem::take(&mut self.inherited));
        // SAFETY: the closure runs in the forked child, where other threads' locks may be held for ever. It only makes
        // system calls (prctl, setrlimit, keyctl, close_range, fcntl), which need no lock, and allocates nothing.
        unsafe {
            self.command.pre_exec(move || prepare(limits, &inherited));
        }
    }
}

fn prepare(limits: Limits, inherited: &[OwnedFd]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        if limits.is_bound {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            nix::sys::prctl::set_child_subreaper(true)?;
        }
        join_empty_keyring();
        setrlimit(Resource::RLIMIT_SIGPENDING, MAX_PENDING_SIGNALS, MAX_PENDING_SIGNALS)?;
    }
    if let Some(data) = limits.data {
        setrlimit(Resource::RLIMIT_DATA, data, data)?;
    }
    setrlimit(Resource::RLIMIT_NOFILE, MAX_FILES, MAX_FILES)?;
    // Crashes are reported in the log; a core file in the Function's folder would be of no use.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    close_on_exec();
    for descriptor in inherited {
        // Only here, in the child, so that children of other threads do not inherit it.
        fcntl(descriptor.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    Ok(())
}

/// Gives this process an empty session keyring. The server's keyring may hold keys of the user who started it (for
/// Kerberos, encrypted file systems, network drives), and children would inherit it.
#[cfg(target_os = "linux")]
fn join_empty_keyring() {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    let nameless = std::ptr::null::<libc::c_char>();
    // SAFETY: the call reads no memory, because the name is null, and changes only this process's credentials.
    //
    // It fails if the kernel has no keyrings, if a seccomp filter around the server forbids the call, which then binds
    // children too, or if the server's user has reached its quota of keys. In the last case only the jail's own filter
    // protects the keys.
    let _ = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nameless) };
}

/// Marks all descriptors except the standard streams to be closed when this process executes another program. A server
/// inherits some without knowing, for example locks of scripts and sockets of supervisors.
pub(super) fn close_on_exec() {
    #[cfg(target_os = "linux")]
    {
        const FIRST: libc::c_uint = 3;
        const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
        // SAFETY: the call touches no memory and closes nothing yet; it only affects `execve`.
        let marked = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
        if marked == 0 {
            return;
        }
    }
    // Before Linux 5.11 and elsewhere, one at a time. The limit on open files says nothing about open ones: it may have been lowered.
    for number in 3..1 << 16 {
        // SAFETY: borrowed only for this call, which fails if the number is not an open descriptor.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
}

/// Raises this process's limit on open files as far as allowed. Each connection takes one and each Function's process a
/// few, so a shell's default of 1024 is soon used up.
pub(super) fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Fails if the machine's own limit was lowered meanwhile.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
