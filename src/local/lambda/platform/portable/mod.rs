//! What every Unix has: processes as `sysinfo` finds them.
//!
//! Each question reads all processes of the machine, or those that it is about. Nothing adopts the orphans of a Function,
//! so processes are also found by their group.

#[cfg(not(target_os = "linux"))]
mod absent;

use std::{collections::BTreeMap, path::Path};

use nix::unistd::{Pid, getpgid};
use sysinfo::{Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

#[cfg(not(target_os = "linux"))]
pub(crate) use self::absent::{birth, cgroup, sockets};
use super::Stat;

/// A tick is ten milliseconds.
const MILLISECONDS_OF_TICK: u64 = 10;

pub(super) fn stat(pid: i32) -> Option<Stat> {
    let found = look(&[pid], ProcessRefreshKind::nothing().with_cpu());
    let process = found.process(id(pid)?).filter(|process| is_alive(process))?;
    let parent = process.parent().map_or(0, number);
    let ticks = process.accumulated_cpu_time() / MILLISECONDS_OF_TICK;
    Some(Stat { parent, ticks, started: process.start_time() })
}

/// The children of a process.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let all = look_at_all(ProcessRefreshKind::nothing());
    let parent = id(pid);
    let is_child = |process: &&Process| process.parent() == parent && is_process(process);
    all.processes().values().filter(is_child).map(|process| number(process.pid())).collect()
}

pub(super) fn with_descendants(roots: &[i32], group: Option<i32>) -> BTreeMap<i32, u64> {
    let all = look_at_all(ProcessRefreshKind::nothing());
    let alive = all.processes().values().filter(|process| is_process(process));
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let mut started = BTreeMap::new();
    for process in alive {
        started.insert(number(process.pid()), process.start_time());
        if let Some(parent) = process.parent() {
            children.entry(number(parent)).or_default().push(number(process.pid()));
        }
    }
    let is_in_group = |pid: &i32| getpgid(Some(Pid::from_raw(*pid))).is_ok_and(|found| Some(found.as_raw()) == group);
    let mut next: Vec<i32> = started.keys().copied().filter(is_in_group).chain(roots.iter().copied()).collect();
    let mut found = BTreeMap::new();
    while let Some(pid) = next.pop() {
        if let Some(started) = started.get(&pid).filter(|_| !found.contains_key(&pid)) {
            found.insert(pid, *started);
            next.extend(children.remove(&pid).unwrap_or_default());
        }
    }
    found
}

pub(super) fn resident_bytes(pids: &[i32]) -> Vec<u64> {
    let found = look(pids, ProcessRefreshKind::nothing().with_memory());
    let of = |pid: &i32| found.process(id(*pid)?).filter(|process| is_alive(process)).map(Process::memory);
    pids.iter().filter_map(of).collect()
}

pub(super) fn marked(mark: &Path) -> Vec<i32> {
    let mark = mark.as_os_str().as_encoded_bytes();
    let all = look_at_all(ProcessRefreshKind::nothing().with_environ(UpdateKind::Always));
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let holds = |process: &&Process| {
        let mut environ = process.environ().iter().map(|variable| variable.as_encoded_bytes());
        environ.any(|variable| variable.windows(mark.len()).any(|part| part == mark))
    };
    let found = all.processes().values().filter(holds);
    found.map(|process| number(process.pid())).filter(|pid| *pid != own).collect()
}

fn look(pids: &[i32], what: ProcessRefreshKind) -> System {
    let pids: Vec<_> = pids.iter().filter_map(|pid| id(*pid)).collect();
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, what);
    system
}

fn look_at_all(what: ProcessRefreshKind) -> System {
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    system
}

fn is_alive(process: &Process) -> bool {
    !matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead)
}

/// Linux lists threads, too.
fn is_process(process: &Process) -> bool {
    is_alive(process) && process.thread_kind().is_none()
}

fn id(pid: i32) -> Option<sysinfo::Pid> {
    usize::try_from(pid).ok().map(sysinfo::Pid::from)
}

fn number(pid: sysinfo::Pid) -> i32 {
    i32::try_from(pid.as_u32()).unwrap_or(i32::MAX)
}
