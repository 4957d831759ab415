//! Starting child processes that cannot outlive the server and inherit nothing from it but what they are given.

// `pre_exec` has no safe form, and the system calls that nobody has wrapped have none either.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::{ExitStatus, Stdio},
    sync::{Arc, mpsc},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use tokio::process::{Child, Command};

use super::{
    birth::{self, Born},
    cgroup::Group,
};

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
    /// Where its standard output and error go, unless the command already says so.
    pub(super) output: Option<OwnedFd>,
    /// The control group to start it in. Then only the command's program and arguments count.
    pub(super) group: Option<Arc<Group>>,
    /// What the child gets besides its standard streams, under the same numbers.
    pub(super) inherited: Vec<OwnedFd>,
    pub(super) limits: Limits,
    /// Which user of the machine the Function's processes will be.
    pub(super) user: u32,
}

/// How many files a Function's process may have open: Lambda's limit.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_FILES: u64 = 1024;

/// How many signals may wait for a Function's processes, which the kernel keeps in memory of its own.
const MAX_PENDING_SIGNALS: u64 = 1024;

/// What the kernel itself holds a child to.
#[derive(Clone, Copy, Default)]
pub(super) struct Limits {
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
    pub(super) async fn spawn(&self, launch: Launch) -> io::Result<Started> {
        let (started, wait) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let job = move || {
            let _entered = runtime.enter();
            let _ = started.send(launch.start());
        };
        let gone = || io::Error::other("the thread that starts processes is gone");
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

/// A child process that was started.
pub(super) enum Started {
    /// In the server's own control group.
    Plain(Child),
    /// In a control group of its own.
    Grouped(Born, Arc<Group>),
}

impl Started {
    /// The number of the process.
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

    /// Waits for its end, and for that of its group.
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
                // An old kernel, or one that is not let: then without.
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

    /// Has the child do what is to be done between its birth and its program. Once.
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
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        nix::sys::prctl::set_child_subreaper(true)?;
        join_empty_keyring();
    }
    if let Some(data) = limits.data {
        setrlimit(Resource::RLIMIT_DATA, data, data)?;
    }
    setrlimit(Resource::RLIMIT_NOFILE, MAX_FILES, MAX_FILES)?;
    setrlimit(Resource::RLIMIT_SIGPENDING, MAX_PENDING_SIGNALS, MAX_PENDING_SIGNALS)?;
    // A crash is reported in the log; a core file in the Function's folder helps nobody.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    close_on_exec();
    for descriptor in inherited {
        // Only here, in the child: what another thread starts meanwhile must not get it.
        fcntl(descriptor.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    Ok(())
}

/// Gives this process a session keyring of its own, with nothing in it. The server's may hold keys of the person
/// who started it (for Kerberos, encrypted file systems, network drives), and every child would have them too.
#[cfg(target_os = "linux")]
fn join_empty_keyring() {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    let nameless = std::ptr::null::<libc::c_char>();
    // SAFETY: the call reads no memory, because there is no name, and changes nothing but this process's credentials.
    //
    // It fails where the kernel has no keyrings, where a filter around the server forbids them, to children as well, and
    // where the server's user has as many keys as it may; then the jail's own filter must do.
    let _ = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nameless) };
}

/// Has every descriptor but the standard streams closed when this process executes another program. A server inherits
/// some without knowing: locks of scripts, sockets of supervisors.
pub(super) fn close_on_exec() {
    const FIRST: libc::c_uint = 3;
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: the call touches no memory and closes nothing yet; what it changes matters to `execve` alone.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    if marked == 0 {
        return;
    }
    // Before Linux 5.11, one after the other. The limit of open files does not say where to end: it may have been lowered.
    for number in 3..1 << 16 {
        // SAFETY: borrowed for this call alone, which fails for a number that names no descriptor.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
}

/// Lets this process open as many files as it is allowed to. Every connection takes one and every Function's process a
/// few, and a shell's default of 1024 is soon used up.
pub(super) fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // It fails where the machine's own limit was lowered meanwhile.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
