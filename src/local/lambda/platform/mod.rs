//! What differs between systems: how processes are looked at, and whether the kernel can hold, limit and tie them.
//!
//! `linux` reads `/proc` and uses control groups, and only there is a jail ([`super::jail`]). `portable` does without: it
//! asks `sysinfo`, stops processes with signals, and only measures memory. Tests run it on Linux, too; the rest of the
//! crate does not know which one it has.

#[cfg(target_os = "linux")]
mod linux;
mod portable;

use std::{collections::BTreeMap, fs::File, path::Path};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

#[cfg(target_os = "linux")]
pub(super) use self::linux::{birth, cgroup, sockets};
#[cfg(not(target_os = "linux"))]
pub(super) use self::portable::{birth, cgroup, sockets};

/// Why there is no jail where there is no Linux.
pub(super) const NO_JAIL: &str = "jails need Linux";

/// How processes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    /// In `/proc`. The kernel ends a Function's process with the server, and makes it adopt the orphans among its
    /// descendants.
    #[cfg(target_os = "linux")]
    Linux,
    /// With what every Unix has.
    Portable,
}

/// The state of a living process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: i32,
    /// The processor time that it has used, in clock ticks: hundredths of a second.
    pub(super) ticks: u64,
    /// When it started, in a unit of the platform. Distinguishes it from another process with the same id.
    pub(super) started: u64,
}

impl Platform {
    /// The one that this machine is used with.
    pub(super) const OF_THIS_MACHINE: Self = {
        #[cfg(target_os = "linux")]
        {
            Self::Linux
        }
        #[cfg(not(target_os = "linux"))]
        {
            Self::Portable
        }
    };

    pub(super) fn is_portable(self) -> bool {
        self == Self::Portable
    }

    /// The state of a process. `None` if it is gone or a zombie.
    pub(super) fn stat(self, pid: i32) -> Option<Stat> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => linux::procfs::stat(pid),
            Self::Portable => portable::stat(pid),
        }
    }

    /// When a process started. `None` if it is gone or a zombie.
    pub(super) fn start_time(self, pid: i32) -> Option<u64> {
        self.stat(pid).map(|stat| stat.started)
    }

    /// The first child of a process, for as long as it has one.
    pub(super) fn first_child(self, pid: i32) -> Option<i32> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => linux::procfs::children(pid).first().copied(),
            Self::Portable => portable::children(pid).first().copied(),
        }
    }

    /// The children of a process and all their descendants, with their start times.
    pub(super) fn below(self, pid: i32) -> BTreeMap<i32, u64> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => linux::procfs::with_descendants(linux::procfs::children(pid)),
            Self::Portable => portable::with_descendants(&portable::children(pid), None),
        }
    }

    /// These processes and all their descendants, with their start times. Where no process adopts the orphans, also all
    /// processes of this process group.
    pub(super) fn with_descendants(self, roots: Vec<i32>, group: i32) -> BTreeMap<i32, u64> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => {
                let _ = group;
                linux::procfs::with_descendants(roots)
            }
            Self::Portable => portable::with_descendants(&roots, Some(group)),
        }
    }

    /// Whether the process has a handler for the signal.
    pub(super) fn catches(self, pid: i32, signal: Signal) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => linux::procfs::catches(pid, signal),
            Self::Portable => {
                let _ = (pid, signal);
                // No other system says so.
                false
            }
        }
    }

    /// The processes whose environment contained `mark` when they started, as far as this process may know.
    pub(super) fn marked(self, mark: &Path) -> Vec<i32> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => linux::procfs::marked(mark),
            Self::Portable => portable::marked(mark),
        }
    }

    /// A file that says how much memory a process uses, if there are such files.
    pub(super) fn open_memory(self, pid: i32) -> Option<File> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => linux::procfs::open_statm(pid).ok(),
            Self::Portable => {
                let _ = pid;
                None
            }
        }
    }

    /// The number of resident bytes, from the file of [`Platform::open_memory`].
    pub(super) fn resident_in(self, memory: &File) -> Option<u64> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => linux::procfs::resident_in(memory),
            Self::Portable => {
                let _ = memory;
                None
            }
        }
    }

    /// The number of resident bytes of each of these processes that is alive.
    pub(super) fn resident_bytes(self, pids: &[i32]) -> Vec<u64> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => pids.iter().filter_map(|pid| linux::procfs::resident_bytes(*pid)).collect(),
            Self::Portable => portable::resident_bytes(pids),
        }
    }

    /// The bytes that these processes keep others from using. Elsewhere than on Linux, that is what is resident.
    pub(super) fn held_bytes(self, pids: &[i32]) -> u64 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux => {
                let is_shared = pids.len() > 1;
                let of = |pid: &i32| {
                    linux::procfs::held_bytes(*pid, is_shared).or_else(|| linux::procfs::resident_bytes(*pid))
                };
                pids.iter().filter_map(of).sum()
            }
            Self::Portable => portable::resident_bytes(pids).into_iter().sum(),
        }
    }
}

pub(super) fn is_alive(pid: i32) -> bool {
    match kill(Pid::from_raw(pid), None) {
        Ok(()) => true,
        Err(errno) => errno == Errno::EPERM,
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A shell with a child, and the id of the child. The caller waits for it.
    #[allow(clippy::zombie_processes)]
    fn family() -> (Child, i32) {
        use std::os::unix::process::CommandExt as _;
        let script = "sleep 86462.5 & wait";
        let shell = Command::new("/bin/sh").args(["-c", script]).env("MARK", "/a mark/of one").process_group(0).spawn();
        let shell = shell.unwrap();
        let root = i32::try_from(shell.id()).unwrap();
        loop {
            let found = Platform::Portable.with_descendants(vec![root], root);
            if let Some(child) = found.keys().find(|pid| **pid != root) {
                return (shell, *child);
            }
        }
    }

    #[test]
    fn both_platforms_see_the_same_processes() {
        let (mut shell, child) = family();
        let root = i32::try_from(shell.id()).unwrap();
        for platform in [Platform::OF_THIS_MACHINE, Platform::Portable] {
            let found = platform.with_descendants(vec![root], root);
            assert_eq!(found.keys().copied().collect::<Vec<_>>(), [root, child], "{platform:?}");
            let stat = platform.stat(child).unwrap();
            assert_eq!((stat.parent, Some(&stat.started)), (root, found.get(&child)), "{platform:?}");
            assert_eq!(platform.start_time(child), Some(stat.started));
            assert_eq!(platform.stat(i32::MAX), None);
            let resident = platform.resident_bytes(&[root, child, i32::MAX]);
            assert!(resident.len() == 2 && resident.iter().all(|bytes| *bytes > 10_000), "{platform:?}: {resident:?}");
            assert!(platform.held_bytes(&[root, child]) > 0);
            let marked = platform.marked(Path::new("/a mark/of one"));
            assert!(marked.contains(&root) && marked.contains(&child), "{platform:?}: {marked:?}");
            assert!(!platform.marked(Path::new("/a mark/of two")).contains(&root));
        }
        shell.kill().unwrap();
        // A zombie is not alive.
        let is_gone = |platform: Platform| platform.stat(root).is_none();
        while !is_gone(Platform::Portable) {
            std::thread::yield_now();
        }
        assert!(is_gone(Platform::OF_THIS_MACHINE));
        // It has lost its parent, and is still found by its group.
        assert!(Platform::Portable.with_descendants(Vec::new(), root).contains_key(&child));
        kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn processor_time_is_counted_in_hundredths_of_a_second() {
        let own = i32::try_from(std::process::id()).unwrap();
        for platform in [Platform::OF_THIS_MACHINE, Platform::Portable] {
            let before = platform.stat(own).unwrap().ticks;
            let begun = std::time::Instant::now();
            while platform.stat(own).unwrap().ticks < before + 5 {
                assert!(begun.elapsed().as_secs() < 30, "{platform:?}: no processor time");
            }
            assert!(begun.elapsed().as_millis() > 5, "{platform:?}: too much of it");
        }
    }
}
