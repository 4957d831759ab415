//! Starting a program in a control group, which [`std::process::Command`] cannot do.
//!
//! Moving a process into a group after it has started takes ten milliseconds or more, and processes that it starts
//! meanwhile stay outside.

// `clone3` has no safe form.
#![allow(unsafe_code)]

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    process::{Command, ExitStatus},
    ptr,
};

use nix::{
    libc,
    sys::{
        signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, setpgid},
};
use tokio::io::{Interest, unix::AsyncFd};

/// From `linux/sched.h`.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

#[derive(Debug)]
pub(crate) struct Born {
    pid: i32,
    end: AsyncFd<OwnedFd>,
}

/// Starts a program in `group`, with a process group of its own and an empty environment. Of `command` only the program
/// and the arguments are used. `prepare` runs in the child: it must neither allocate memory nor take a lock.
pub(crate) fn start(
    command: &Command,
    output: &OwnedFd,
    group: BorrowedFd<'_>,
    prepare: impl FnOnce() -> io::Result<()>,
) -> io::Result<Born> {
    let words: Vec<CString> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| CString::new(word.as_bytes()))
        .collect::<Result<_, _>>()?;
    let arguments: Vec<*const libc::c_char> =
        words.iter().map(|word| word.as_ptr()).chain(std::iter::once(ptr::null())).collect();
    let environment = [ptr::null()];
    let nothing = File::open("/dev/null")?;
    let (mut told, mut tell) = io::pipe()?;

    let mut end: RawFd = -1;
    // SAFETY: the structure consists of plain numbers, for which zero means "none".
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.flags = CLONE_INTO_CGROUP | u64::from(libc::CLONE_PIDFD.cast_unsigned());
    how.pidfd = (&raw mut end).addr() as u64;
    how.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    how.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    // SAFETY: the structure and everything that it points to outlive the call. Without CLONE_VM the child has a copy of
    // this process's memory and one thread, as after `fork`; the code below is what it runs.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut how, size_of_val(&how)) };
    if pid == 0 {
        let be_started = || -> io::Result<()> {
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
            restore_signals();
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            dup2_stdin(&nothing)?;
            dup2_stdout(output)?;
            dup2_stderr(output)?;
            prepare()?;
            // SAFETY: both arrays end with a null pointer, and their elements are alive. It returns only if it fails.
            unsafe { libc::execve(words[0].as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
            Err(io::Error::last_os_error())
        };
        // Nothing here allocates or takes a lock, because another thread may have held the lock at the time of the
        // fork.
        let errno = be_started().err().and_then(|error| error.raw_os_error()).unwrap_or(libc::EINVAL);
        let _ = tell.write_all(&errno.to_ne_bytes());
        // SAFETY: ends this process without running the server's exit handlers.
        unsafe { libc::_exit(127) }
    }
    drop(tell);
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for this process, and nothing else uses it.
    let end = unsafe { OwnedFd::from_raw_fd(end) };
    let mut errno = [0; 4];
    if told.read_exact(&mut errno).is_ok() {
        // The child is about to exit.
        let _ = waitid(Id::PIDFd(end.as_fd()), WaitPidFlag::WEXITED);
        return Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)));
    }
    // SAFETY: an owned descriptor stays open and the same.
    let end = unsafe { AsyncFd::register_with_interest(end, Interest::READABLE) };
    Ok(Born { pid, end: end.map_err(io::Error::from)? })
}

impl Born {
    pub(crate) fn id(&self) -> i32 {
        self.pid
    }

    /// Waits until it exits.
    pub(crate) async fn wait(&self) -> io::Result<ExitStatus> {
        // Once readable, it stays readable.
        let _ended = self.end.readable().await?;
        Ok(match waitid(Id::PIDFd(self.end.as_fd()), WaitPidFlag::WEXITED)? {
            WaitStatus::Exited(_, code) => ExitStatus::from_raw(code << 8),
            WaitStatus::Signaled(_, signal, _) => ExitStatus::from_raw(signal as i32),
            other => return Err(io::Error::other(format!("{other:?} is not an exit"))),
        })
    }
}

/// Undoes what Rust's runtime did before `main`: other programs expect a broken pipe to end them.
pub(crate) fn restore_signals() {
    // SAFETY: restoring the default action installs no handler of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
