//! A process and all of its descendants: how much memory they use, and how to kill them.
//! [`super::freezing`] stops them temporarily.
//!
//! Almost everything here reads many files, as many as the Function has processes and threads. It is called where
//! blocking is allowed, never on the threads that serve requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::Path,
    sync::{Arc, MutexGuard, OnceLock},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tasklane_runtime::lock::Lock;

use super::{
    platform::{Platform, cgroup::Group},
    stillness::Stillness,
};

/// The descendants of one process that leads its process group and adopts its orphans (see [`super::isolation`]).
#[derive(Debug)]
pub(super) struct ProcessTree {
    pub(super) platform: Platform,
    root: i32,
    /// When the root started: its process id alone may be reused by another process.
    started: Option<u64>,
    /// The processes last seen in the tree, in order to find those that outlive the root.
    seen: Lock<BTreeMap<i32, Seen>>,
    pub(super) stillness: Stillness,
    /// The control group that contains the whole tree.
    pub(super) group: Option<Arc<Group>>,
    jail: Option<JailInit>,
}

#[derive(Debug)]
struct Seen {
    started: u64,
    /// The file that says how much memory it uses, held open for the first few processes because it is read after each
    /// run.
    memory: Option<File>,
}

/// The result of [`ProcessTree::look`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// How many processes there are, if there is no jail: in a jail the kernel limits them.
    pub(super) processes: usize,
    /// Resident memory, in bytes.
    pub(super) resident: u64,
    /// Memory that counts towards the limit, at most `resident`.
    pub(super) held: u64,
}

/// How many processes of a tree have their [`Seen::memory`] held open. Most trees have one or two processes.
const HELD_OPEN: usize = 2;

/// How many processes have their memory read after a run. Most trees have one or two; the others are measured during
/// the run.
const ASKED: usize = 32;

/// How often to search for new processes before those that keep starting others are killed one by one.
pub(super) const MAX_SCANS: usize = 8;

/// The first process of a jail, a child of the root, with its start time, once it exists. It adopts all orphans in the
/// jail, and when it dies the kernel kills all other processes there.
type JailInit = OnceLock<(i32, u64)>;

impl ProcessTree {
    /// The descendants of this process, which was just started.
    pub(super) fn new(root: i32, platform: Platform) -> Self {
        let (seen, stillness) = (Lock::default(), Stillness::default());
        Self { platform, root, started: platform.start_time(root), seen, stillness, group: None, jail: None }
    }

    /// The tree in the jail that this process, which was just started, creates. The jail's own two processes are not
    /// part of the tree.
    pub(super) fn jailed(root: i32, platform: Platform) -> Self {
        Self { jail: Some(OnceLock::new()), ..Self::new(root, platform) }
    }

    /// Sets the control group that the root was started in.
    pub(super) fn in_group(self, group: Option<Arc<Group>>) -> Self {
        Self { group, ..self }
    }

    /// Whether the kernel killed a process because the tree was out of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.ran_out_of_memory())
    }

    /// Whether one of the processes has this socket open. Checks at most `most` open files.
    pub(super) fn holds_socket(&self, inode: u64, most: usize) -> bool {
        let name = format!("socket:[{inode}]");
        let files = |pid: i32| fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
        let mut files = self.observe().into_iter().flat_map(files).take(most);
        files.any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*name))
    }

    /// The resident bytes of the processes seen last. This is fast, and correct for most Functions, which have a single
    /// process.
    pub(super) fn known_memory(&self) -> u64 {
        let resident = || -> Vec<u64> {
            let seen = self.seen();
            let (files, others): (Vec<_>, Vec<_>) =
                seen.iter().take(ASKED).partition(|(_, seen)| seen.memory.is_some());
            let others: Vec<i32> = others.into_iter().map(|(pid, _)| *pid).collect();
            let of = |(_, seen): (&i32, &Seen)| self.platform.resident_in(seen.memory.as_ref()?);
            let in_files = files.into_iter().filter_map(of);
            let in_others = if others.is_empty() { Vec::new() } else { self.platform.resident_bytes(&others) };
            in_files.chain(in_others).collect()
        };
        let mut known = resident();
        if known.is_empty() {
            self.observe();
            known = resident();
        }
        known.into_iter().sum()
    }

    /// Counts the processes and measures their memory.
    ///
    /// The held memory is exact only if more than `limit` is resident, because telling shared pages apart takes
    /// milliseconds.
    pub(super) fn look(&self, limit: u64) -> Look {
        let pids = self.observe();
        let resident: u64 = self.platform.resident_bytes(&pids).into_iter().sum();
        let held = if resident <= limit { resident } else { self.platform.held_bytes(&pids) };
        Look { processes: if self.jail.is_some() { 0 } else { pids.len() }, resident, held }
    }

    /// Kills all processes: those in the tree, those seen in it before, those in the root's process group, and those
    /// whose environment contains `mark`, in any session.
    pub(super) fn kill(&self, mark: &Path) {
        if let Some(group) = &self.group {
            group.kill();
        }
        if let Some(jail) = &self.jail {
            match self.init_of(jail) {
                // The root waits for it, and ends when all are gone.
                Some(init) => _ = kill(Pid::from_raw(init), Signal::SIGKILL),
                // Before it exists, all processes are in the root's group.
                None => _ = killpg(Pid::from_raw(self.root), Signal::SIGKILL),
            }
            return;
        }
        // Stopped first, so that none of them can start another while the others are being killed.
        let mut doomed = self.stop_all();
        doomed.extend(self.survivors());
        doomed.extend(self.platform.marked(mark));
        for pid in &doomed {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let _ = killpg(Pid::from_raw(self.root), Signal::SIGKILL);
    }

    /// Stops all processes that it finds, until it finds no new ones.
    fn stop_all(&self) -> BTreeSet<i32> {
        let mut stopped = BTreeSet::new();
        for _ in 0..MAX_SCANS {
            let fresh: Vec<i32> = self.observe().into_iter().filter(|pid| !stopped.contains(pid)).collect();
            if fresh.is_empty() {
                break;
            }
            for pid in fresh {
                let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
                stopped.insert(pid);
            }
        }
        stopped
    }

    /// The living processes of the tree, which replace those seen before.
    pub(super) fn observe(&self) -> Vec<i32> {
        let found = match &self.jail {
            Some(jail) => self.init_of(jail).map(|init| self.platform.below(init)).unwrap_or_default(),
            None => {
                let mut roots = Vec::from_iter(self.is_rooted().then_some(self.root));
                if self.platform.is_portable() {
                    // No process has adopted them.
                    roots.extend(self.survivors());
                }
                self.platform.with_descendants(roots, self.root)
            }
        };
        self.remember(&found);
        found.into_keys().collect()
    }

    fn remember(&self, found: &BTreeMap<i32, u64>) {
        let mut seen = self.seen();
        // In a jail none is lost: the first process adopts it.
        let is_there = |pid: &i32, known: &Seen| match found.get(pid) {
            Some(started) => *started == known.started,
            None => self.jail.is_none() && self.platform.start_time(*pid) == Some(known.started),
        };
        seen.retain(|pid, known| is_there(pid, known));
        for (pid, started) in found {
            if !seen.contains_key(pid) {
                let memory = if seen.len() < HELD_OPEN { self.platform.open_memory(*pid) } else { None };
                seen.insert(*pid, Seen { started: *started, memory });
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<i32, Seen>> {
        self.seen.lock()
    }

    /// Whether the root is alive.
    fn is_rooted(&self) -> bool {
        self.started.is_some() && self.platform.start_time(self.root) == self.started
    }

    /// The first process of the jail, if it is alive.
    fn init_of(&self, jail: &JailInit) -> Option<i32> {
        if jail.get().is_none() && self.is_rooted() {
            let first =
                self.platform.first_child(self.root).and_then(|pid| Some((pid, self.platform.start_time(pid)?)));
            first.map(|found| jail.get_or_init(|| found));
        }
        jail.get().filter(|(pid, started)| self.platform.start_time(*pid) == Some(*started)).map(|(pid, _)| *pid)
    }

    fn survivors(&self) -> Vec<i32> {
        // If the id was reused, the process has another start time.
        let lives = |(pid, seen): &(&i32, &Seen)| self.platform.start_time(**pid) == Some(seen.started);
        self.seen().iter().filter(lives).map(|(pid, _)| *pid).collect()
    }
}
