//! The entry program: this program, started again by bubblewrap inside a jail. It drops all privileges that a Function
//! must not have before it reads anything that the Function controls.
//!
//! It does what `setpriv` could do, and two things more. A Function's environment can tell the dynamic loader what to
//! load, so no process gets that environment before it has dropped its privileges. And if the Function's program cannot
//! be started, it tells the server why.

use std::{
    convert::Infallible,
    ffi::{CString, OsString},
    fs::{File, OpenOptions},
    io::Read as _,
    process::exit,
};

use nix::{
    errno::Errno,
    sys::resource::{Resource, setrlimit},
    unistd::{Gid, Uid, chdir, execve, setgroups, setresgid, setresuid},
};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::orders::{EntryFailure, Orders, Step};
use crate::{isolation, limits::MAX_PROCESSES, platform::birth::restore_signals};

/// The first argument of an entry program. The second is the number of the descriptor with its orders.
pub(super) const ENTER: &str = "--enter-jail";

/// The exit code of an entry program that failed. The server reads the reason from the orders.
const FAILED: i32 = 127;

/// If this process was started as an entry program, becomes a Function's process and does not return. Otherwise does
/// nothing.
///
/// A program that runs Functions in jails must call this before anything else.
pub fn enter_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == ENTER) {
        exit(enter(arguments.next()));
    }
}

/// Returns only if it fails.
fn enter(descriptor: Option<OsString>) -> i32 {
    let Some((mut file, orders)) = descriptor.and_then(read) else { return FAILED };
    let Err(failure) = follow(&orders);
    // If this fails too, the server still sees the exit code.
    let _ = failure.write(&mut file);
    FAILED
}

fn read(descriptor: OsString) -> Option<(File, Orders)> {
    let mut path = OsString::from("/proc/self/fd/");
    path.push(descriptor);
    // Opened again, because this descriptor shares its position with the server's.
    let mut file = OpenOptions::new().read(true).append(true).open(path).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let orders = Orders::decode(&bytes)?;
    Some((file, orders))
}

fn follow(orders: &Orders) -> Result<Infallible, EntryFailure> {
    let at = |step: Step| move |errno: Errno| EntryFailure { step, errno };
    limit_processes().map_err(at(Step::Limits))?;
    if let Some((user, group)) = orders.identity {
        empty_bounding_set().map_err(at(Step::Rights))?;
        become_user(user, group).map_err(at(Step::Identity))?;
    }
    give_up_rights().map_err(at(Step::Rights))?;
    // Closes the entry program's own descriptors, including the orders.
    isolation::close_on_exec();
    restore_signals();
    chdir(orders.folder.as_c_str()).map_err(at(Step::Folder))?;
    start(orders).map_err(at(Step::Program))
}

/// Starts the program, which an image may name without its folder.
fn start(orders: &Orders) -> Result<Infallible, Errno> {
    let name = orders.program.as_bytes();
    let execute = |program: &CString| execve(program, &orders.arguments, &orders.environment);
    if name.contains(&b'/') {
        return execute(&orders.program);
    }
    let path = orders.environment.iter().find_map(|variable| variable.as_bytes().strip_prefix(b"PATH="));
    let mut failure = Errno::ENOENT;
    for folder in path.unwrap_or(b"/usr/local/bin:/usr/bin:/bin").split(|byte| *byte == b':') {
        let folder = if folder.is_empty() { b"." } else { folder };
        let Ok(program) = CString::new([folder, b"/", name].concat()) else { continue };
        let Err(errno) = execute(&program);
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => {}
            // One that may not be executed is a better explanation than the absence of others.
            Errno::EACCES => failure = errno,
            errno => return Err(errno),
        }
    }
    Err(failure)
}

/// Not earlier: the limit does not bind root, and in a user namespace the kernel counts the processes in it.
fn limit_processes() -> Result<(), Errno> {
    let processes = u64::try_from(MAX_PROCESSES).unwrap_or(u64::MAX);
    setrlimit(Resource::RLIMIT_NPROC, processes, processes)
}

/// Ensures that no program can regain a capability, whatever capabilities its file has.
fn empty_bounding_set() -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        // The kernel returns an error for a capability that it does not know.
        if rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false) {
            rustix::thread::remove_capability_from_bounding_set(capability).map_err(of_rustix)?;
        }
    }
    Ok(())
}

fn become_user(user: u32, group: u32) -> Result<(), Errno> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)
}

fn give_up_rights() -> Result<(), Errno> {
    let nothing = CapabilitySet::empty();
    let sets = CapabilitySets { effective: nothing, permitted: nothing, inheritable: nothing };
    rustix::thread::clear_ambient_capability_set()
        .and_then(|()| rustix::thread::set_capabilities(None, sets))
        .and_then(|()| rustix::thread::set_no_new_privs(true))
        .map_err(of_rustix)
}

fn of_rustix(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}

/// The test harness has no `main` of ours, but it is the entry program of the jails that tests start.
#[cfg(test)]
#[allow(unsafe_code)]
mod in_tests {
    /// SAFETY: the linker collects pointers to functions without parameters in this section, and the loader calls each
    /// of them once, before `main`, while there is only one thread.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static BEFORE_MAIN: extern "C" fn() = before_main;

    extern "C" fn before_main() {
        super::enter_if_asked();
    }
}
