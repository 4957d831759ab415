//! Information about processes, mostly from `/proc`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::super::Stat;

/// The mask of the signals that a process has handlers for, in `/proc/<pid>/status`.
const CAUGHT: &str = "SigCgt:";

/// The state of a process. `None` if it is gone or a zombie.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // If a process's first thread has ended, it looks like a zombie, but it lives while other threads run.
    if matches!(*fields.first()?, "Z" | "X") && number(17)? <= 1 {
        return None;
    }
    let parent = fields.get(1)?.parse().ok()?;
    Some(Stat { parent, ticks: number(11)?.saturating_add(number(12)?), started: number(19)? })
}

/// These processes and all their descendants that are alive, with their start times.
pub(crate) fn with_descendants(roots: Vec<i32>) -> BTreeMap<i32, u64> {
    let mut found = BTreeMap::new();
    let mut next = roots;
    while let Some(pid) = next.pop() {
        // A process whose parent changes during the search may be found twice.
        if found.contains_key(&pid) {
            continue;
        }
        let Some(stat) = stat(pid) else { continue };
        found.insert(pid, stat.started);
        next.extend(children(pid));
    }
    found
}

pub(crate) fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_thread = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads
        .filter_map(Result::ok)
        .flat_map(|thread| of_thread(thread).split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Whether the process has a handler for the signal.
pub(crate) fn catches(pid: i32, signal: nix::sys::signal::Signal) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    let caught = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix(CAUGHT)?.trim(), 16).ok());
    caught.is_some_and(|caught| caught >> (signal as i32 - 1) & 1 == 1)
}

pub(crate) fn open_statm(pid: i32) -> io::Result<File> {
    File::open(format!("/proc/{pid}/statm"))
}

/// The number of resident bytes. `None` if the process is gone.
pub(crate) fn resident_in(statm: &File) -> Option<u64> {
    // Seven numbers with at most twenty digits each.
    let mut text = [0; 160];
    let length = statm.read_at(&mut text, 0).ok()?;
    let pages: u64 = str::from_utf8(&text[..length]).ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_size())
}

pub(crate) fn resident_bytes(pid: i32) -> Option<u64> {
    with_memory(pid).map(|(_, resident)| resident)
}

/// A thread of the process that still has the process's memory, and how much is resident. `/proc` accepts its id like a
/// process id. The first thread loses the memory when it ends, even if others run on.
fn with_memory(pid: i32) -> Option<(i32, u64)> {
    let asked = |number: i32| Some((number, resident_in(&open_statm(number).ok()?)?));
    match asked(pid)? {
        (_, 0) => {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.filter_map(Result::ok);
            let mut threads = threads.filter_map(|thread| asked(thread.file_name().to_str()?.parse().ok()?));
            threads.find(|(_, resident)| *resident > 0)
        }
        found => Some(found),
    }
}

/// The bytes that the process keeps others from using. Pages of files are not included, because the kernel can drop and
/// reread them. If `is_shared`, only its share of memory that it shares with others is included; that takes
/// milliseconds.
pub(crate) fn held_bytes(pid: i32, is_shared: bool) -> Option<u64> {
    let (pid, resident) = with_memory(pid)?;
    let (file, parts, all) = match is_shared {
        true => ("smaps_rollup", ["Pss_Anon:", "Pss_Shmem:"], "Pss:"),
        false => ("status", ["RssAnon:", "RssShmem:"], "VmRSS:"),
    };
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let bytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    match (bytes(parts[0]), bytes(parts[1])) {
        (Some(anonymous), Some(shared)) => Some(anonymous + shared),
        // On an older kernel.
        _ => bytes(all).or(Some(resident)),
    }
}

/// The processes whose environment contained `mark` when they started.
pub(crate) fn marked(mark: &Path) -> Vec<i32> {
    let mark = mark.as_os_str().as_encoded_bytes();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let holds = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| environ.windows(mark.len()).any(|w| w == mark))
    };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    pids.filter(|pid| *pid != own).filter(holds).collect()
}

fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_catches_its_signals() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = stat(own).unwrap();
        assert_eq!(found.parent, nix::unistd::getppid().as_raw());
        // Rust's runtime handles SIGSEGV to report stack overflows.
        assert!(catches(own, nix::sys::signal::Signal::SIGSEGV));
        assert!(!catches(own, nix::sys::signal::Signal::SIGWINCH));
        assert!(stat(i32::MAX).is_none());
    }

    #[test]
    fn pages_of_files_are_not_held() {
        let own = i32::try_from(std::process::id()).unwrap();
        let held = held_bytes(own, false).unwrap();
        assert!(0 < held && held < resident_bytes(own).unwrap());
        assert!(held_bytes(own, true).is_some());
    }
}
