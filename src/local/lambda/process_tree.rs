//! A process and everything that it started, found in `/proc`: what memory it takes, and how to stop all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// The tree below one process that leads its process group and adopts its orphans (see [`super::isolation`]).
#[derive(Debug)]
pub(super) struct ProcessTree {
    root: i32,
    /// When the root started: its number alone may come round to a stranger.
    started: Option<u64>,
    /// Every process ever seen in the tree, so that those which outlive the root are known.
    seen: Mutex<BTreeMap<i32, Seen>>,
    /// The processes that were stopped, while they are.
    frozen: Mutex<BTreeSet<i32>>,
    jail: Option<JailInit>,
}

/// A process that was seen.
#[derive(Debug)]
struct Seen {
    started: u64,
    /// Where it says how much memory it takes, held open for the first few: that is asked after each run.
    statm: Option<File>,
}

/// How many of a tree's processes have their [`Seen::statm`] held open: most have one or two.
const HELD_OPEN: usize = 2;

/// The first process of a jail, once it is there: a child of the root, with its start time. It adopts every orphan in
/// the jail, and the kernel kills all the others when it dies.
type JailInit = OnceLock<(i32, u64)>;

impl ProcessTree {
    /// The tree below this process, which was just started.
    pub(super) fn new(root: i32) -> Self {
        Self { root, started: start_time(root), seen: Mutex::default(), frozen: Mutex::default(), jail: None }
    }

    /// The tree in the jail that this process, which was just started, makes and watches over. The two processes that
    /// are the jail itself are no part of it.
    pub(super) fn jailed(root: i32) -> Self {
        Self { jail: Some(OnceLock::new()), ..Self::new(root) }
    }

    /// Whether there are more processes than this, of a number that they cannot reach by chance: where there is no
    /// jail, nothing else stops one that starts others without end.
    pub(super) fn has_more_than(&self, most: usize) -> bool {
        self.observe_at_most(most + 1).len() > most
    }

    /// Whether one of the processes holds the socket of this number.
    pub(super) fn holds_socket(&self, inode: u64) -> bool {
        let name = format!("socket:[{inode}]");
        let holds = |pid: i32| {
            let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
            files.filter_map(Result::ok).any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*name))
        };
        self.observe().into_iter().any(holds)
    }

    /// How many bytes are resident in the processes that were seen so far: quick, and right for most, which are alone.
    pub(super) fn known_memory(&self) -> u64 {
        let resident = || -> Vec<u64> {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let of = |(pid, seen): (&i32, &Seen)| match &seen.statm {
                Some(statm) => resident_in(statm),
                None => resident_bytes(*pid),
            };
            seen.iter().filter_map(of).collect()
        };
        let mut known = resident();
        if known.is_empty() {
            self.observe();
            known = resident();
        }
        known.into_iter().sum()
    }

    /// How many bytes of memory the tree takes: what is resident, pages that several processes share counted once.
    ///
    /// Exact only when it matters, that is above `limit`: telling shared pages apart costs milliseconds.
    pub(super) fn memory(&self, limit: u64) -> u64 {
        let pids = self.observe();
        let resident: u64 = pids.iter().filter_map(|pid| resident_bytes(*pid)).sum();
        if resident <= limit || pids.len() == 1 {
            return resident;
        }
        pids.iter().filter_map(|pid| proportional_bytes(*pid).or_else(|| resident_bytes(*pid))).sum()
    }

    /// Stops every process until [`ProcessTree::thaw`], as Lambda does between two runs.
    pub(super) fn freeze(&self) {
        let stopped = self.stop_all();
        *self.frozen.lock().unwrap_or_else(PoisonError::into_inner) = stopped;
    }

    /// Lets every process go on that was stopped: none can have come since, and none can have ended by itself.
    pub(super) fn thaw(&self) {
        for pid in std::mem::take(&mut *self.frozen.lock().unwrap_or_else(PoisonError::into_inner)) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        }
    }

    /// Kills every process: those in the tree, those seen in it before, those in the root's process group, and those
    /// whose environment still holds `mark`, in whatever session they are.
    pub(super) fn kill(&self, mark: &Path) {
        if let Some(jail) = &self.jail {
            match self.init_of(jail) {
                // The root waits for it, and ends once all are gone.
                Some(init) => _ = kill(Pid::from_raw(init), Signal::SIGKILL),
                // Before there is one, whatever there is belongs to the root's group.
                None => _ = killpg(Pid::from_raw(self.root), Signal::SIGKILL),
            }
            return;
        }
        // Stopped first, so that none can start another while the others are being killed.
        let mut doomed = self.stop_all();
        doomed.extend(self.survivors());
        doomed.extend(marked(mark));
        for pid in &doomed {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let _ = killpg(Pid::from_raw(self.root), Signal::SIGKILL);
    }

    fn stop_all(&self) -> BTreeSet<i32> {
        let mut stopped = BTreeSet::new();
        loop {
            let fresh: Vec<i32> = self.observe().into_iter().filter(|pid| !stopped.contains(pid)).collect();
            if fresh.is_empty() {
                return stopped;
            }
            for pid in fresh {
                let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
                stopped.insert(pid);
            }
        }
    }

    /// The living processes of the tree, remembered.
    fn observe(&self) -> Vec<i32> {
        self.observe_at_most(usize::MAX)
    }

    fn observe_at_most(&self, most: usize) -> Vec<i32> {
        let mut found = Vec::new();
        let mut next = Vec::new();
        match &self.jail {
            Some(jail) => next.extend(self.init_of(jail).into_iter().flat_map(children)),
            None if self.is_rooted() => next.push(self.root),
            None => {}
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(pid) = next.pop() {
            let Some(started) = start_time(pid) else { continue };
            if seen.get(&pid).is_none_or(|known| known.started != started) {
                let statm = if seen.len() < HELD_OPEN { open_statm(pid).ok() } else { None };
                seen.insert(pid, Seen { started, statm });
            }
            found.push(pid);
            if found.len() >= most {
                break;
            }
            next.extend(children(pid));
        }
        found
    }

    /// Whether the root lives.
    fn is_rooted(&self) -> bool {
        self.started.is_some() && start_time(self.root) == self.started
    }

    /// The first process of the jail, if it lives.
    fn init_of(&self, jail: &JailInit) -> Option<i32> {
        if jail.get().is_none() && self.is_rooted() {
            let first = children(self.root).first().and_then(|pid| Some((*pid, start_time(*pid)?)));
            first.map(|found| jail.get_or_init(|| found));
        }
        jail.get().filter(|(pid, started)| start_time(*pid) == Some(*started)).map(|(pid, _)| *pid)
    }

    fn survivors(&self) -> Vec<i32> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // A number that came round again belongs to somebody else, and started at another time.
        seen.iter().filter(|(pid, seen)| start_time(**pid) == Some(seen.started)).map(|(pid, _)| *pid).collect()
    }
}

/// Whether a process of this number lives.
pub(super) fn is_alive(pid: i32) -> bool {
    match kill(Pid::from_raw(pid), None) {
        Ok(()) => true,
        Err(errno) => errno == nix::errno::Errno::EPERM,
    }
}

/// The processes whose environment held `mark` when they started.
fn marked(mark: &Path) -> Vec<i32> {
    let mark = mark.as_os_str().as_encoded_bytes();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let holds = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| environ.windows(mark.len()).any(|w| w == mark))
    };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    pids.filter(|pid| *pid != own).filter(holds).collect()
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_thread = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads
        .filter_map(Result::ok)
        .flat_map(|thread| of_thread(thread).split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// When a process started, in clock ticks since the machine did; absent for one that is gone or a zombie.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

fn resident_bytes(pid: i32) -> Option<u64> {
    resident_in(&open_statm(pid).ok()?)
}

fn open_statm(pid: i32) -> io::Result<File> {
    File::open(format!("/proc/{pid}/statm"))
}

/// Absent when the process is gone.
fn resident_in(statm: &File) -> Option<u64> {
    // Seven numbers of at most twenty digits.
    let mut text = [0; 160];
    let length = statm.read_at(&mut text, 0).ok()?;
    let pages: u64 = str::from_utf8(&text[..length]).ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_size())
}

fn proportional_bytes(pid: i32) -> Option<u64> {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = smaps.lines().find(|line| line.starts_with("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}
