//! Control groups (version 2), if the machine has them and lets the server create some. They stop, end and limit all
//! processes of a Function at once, and a Function cannot evade them.
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>
//!
//! A systemd service has a group of its own if its unit says `Delegate=yes`; root can always create groups. Without
//! them, processes are stopped by signals ([`crate::freezing`]), and memory is only measured from time to time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use super::super::is_alive;
use crate::limits::MAX_PROCESSES;

/// The prefix of the names of all servers' groups.
const PREFIX: &str = "tasklane-";

/// Memory allowed in addition to the Function's limit: for `/tmp`, and for the kernel's own data about the processes.
const BESIDE: u64 = (512 + 64) << 20;

/// How many processes the jail itself takes.
const OF_JAIL: usize = 2;

/// How often to try to remove a group, and the pause between tries: processes disappear a moment after they end.
const REMOVALS: usize = 50;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(10);

/// The parent of one server's groups. Dropping it kills the processes in them and removes them.
#[derive(Debug)]
pub(crate) struct Groups {
    folder: PathBuf,
}

/// The group of one Function's process and everything that it starts. Removed when dropped, unless it still has
/// processes.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    open: File,
}

/// What the kernel limits for a whole group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// How much memory its processes use together.
    pub memory: bool,
    /// How many processes there are.
    pub processes: bool,
}

impl Groups {
    /// Creates the parent group, named after `server`, whose extension is the server's process id. `None` if groups
    /// cannot be created.
    pub(crate) fn find(server: &Path) -> Option<Self> {
        let (mounts, own) = (fs::read_to_string("/proc/self/mountinfo"), fs::read_to_string("/proc/self/cgroup"));
        let above = own_folder(&mounts.ok()?, &own.ok()?)?;
        remove_left(&above);
        let name = format!("{PREFIX}{}", server.file_name()?.to_str()?);
        let groups = Self { folder: above.join(name) };
        fs::create_dir(&groups.folder).ok()?;
        let kind = fs::read_to_string(groups.folder.join("cgroup.type")).ok()?;
        let is_fine = kind.trim() == "domain" && groups.folder.join("cgroup.kill").exists();
        if is_fine && (enable_limits(&above) || move_out_of(&above) && enable_limits(&above)) {
            enable_limits(&groups.folder);
        }
        is_fine.then_some(groups)
    }

    /// Creates a group of this name with a memory limit in bytes.
    pub(crate) fn group(&self, name: &str, memory: u64) -> io::Result<Group> {
        let folder = self.folder.join(name);
        fs::create_dir(&folder)?;
        let open = File::open(&folder)?;
        let group = Group { folder, open };
        group.limit("memory.max", memory.saturating_add(BESIDE))?;
        group.limit("pids.max", MAX_PROCESSES + OF_JAIL)?;
        group.limit("memory.oom.group", 1)?;
        Ok(group)
    }

    /// Which limits its groups have.
    pub(crate) fn limits(&self) -> GroupLimits {
        let enabled = fs::read_to_string(self.folder.join("cgroup.subtree_control")).unwrap_or_default();
        let has = |name| enabled.split_whitespace().any(|enabled| enabled == name);
        GroupLimits { memory: has("memory"), processes: has("pids") }
    }

    /// Its folder, which the watchdog removes if the server is killed.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        end(&self.folder);
    }
}

impl Group {
    /// For starting a child in it.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }

    /// Stops all of its processes, or lets them go on. They do not notice it.
    pub(crate) fn freeze(&self, frozen: bool) -> io::Result<()> {
        self.write("cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// Kills all of its processes, stopped ones too.
    pub(crate) fn kill(&self) {
        // Fails if the group is gone.
        let _ = self.write("cgroup.kill", "1");
    }

    /// Whether the kernel killed a process because the group was out of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count != "0"))
    }

    /// Removes it after its last process has ended, for which it waits a moment.
    pub(crate) async fn remove(&self) {
        for _ in 0..REMOVALS {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                Ok(()) | Err(_) => return,
            }
            tokio::time::sleep(BETWEEN_REMOVALS).await;
        }
    }

    /// Sets a limit, if this machine has its controller in version 2.
    fn limit(&self, file: &str, limit: impl ToString) -> io::Result<()> {
        match self.folder.join(file).exists() {
            true => self.write(file, &limit.to_string()),
            false => Ok(()),
        }
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.folder.join(file))?.write_all(text.as_bytes())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The folder of this process's own group, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn own_folder(mounts: &str, own: &str) -> Option<PathBuf> {
    let own = Path::new(own.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, place) = (mount.next()?, mount.next()?);
        let within = own.strip_prefix(root).ok()?;
        file_system.starts_with("cgroup2 ").then(|| Path::new(place).join(within))
    })
}

/// Enables limits for the groups in this one, for each controller that the machine has. Returns false if the kernel
/// refuses, which it does while the group itself contains processes.
fn enable_limits(folder: &Path) -> bool {
    let has = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    let mut wanted = ["memory", "pids"].into_iter().filter(|name| has.split_whitespace().any(|one| one == *name));
    let enable = |name| fs::write(folder.join("cgroup.subtree_control"), format!("+{name}"));
    wanted.all(|name| match enable(name) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!("the groups in {} have no limits of {name}: {error}", folder.display());
            false
        }
    })
}

/// Moves this process into a child of its own group, if it is alone in that. Returns whether it did.
fn move_out_of(own: &Path) -> bool {
    let (server, alone) = (std::process::id().to_string(), fs::read_to_string(own.join("cgroup.procs")));
    if alone.is_ok_and(|processes| processes.trim() == server) {
        let below = own.join(format!("{PREFIX}server.{server}"));
        return fs::create_dir(&below).is_ok() && fs::write(below.join("cgroup.procs"), server).is_ok();
    }
    false
}

/// Kills the processes that killed servers left behind, and removes their groups.
fn remove_left(above: &Path) {
    for folder in fs::read_dir(above).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let server = name.strip_prefix(PREFIX).and_then(|_| name.rsplit_once('.')?.1.parse().ok());
        if server.is_some_and(|server: i32| !is_alive(server)) {
            end(&folder);
        }
    }
}

/// Kills the processes in a group and removes it, after waiting a moment for them to end.
fn end(folder: &Path) {
    let _ = fs::write(folder.join("cgroup.kill"), "1");
    for _ in 0..REMOVALS {
        for within in fs::read_dir(folder).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(within.path());
        }
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(BETWEEN_REMOVALS),
            Ok(()) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_this_process_is_found_for_every_kind_of_mount() {
        let whole = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let hybrid = "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            32 30 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let in_container = "40 30 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        for (mounts, own, folder) in [
            (whole, "0::/user.slice/a.scope\n", Some("/sys/fs/cgroup/user.slice/a.scope")),
            (hybrid, "4:memory:/other\n0::/\n", Some("/sys/fs/cgroup/unified")),
            (in_container, "0::/docker/abc/x\n", Some("/sys/fs/cgroup/x")),
            (in_container, "0::/elsewhere\n", None),
            (whole, "4:memory:/\n", None),
            ("", "0::/\n", None),
        ] {
            assert_eq!(own_folder(mounts, own).as_deref(), folder.map(Path::new), "{own}");
        }
    }

    /// Uses an ordinary folder, because not every machine has the controllers in version 2.
    #[test]
    fn limits_are_set_if_there_are_controllers() {
        let folder = tempfile::tempdir().unwrap();
        let groups = Groups { folder: folder.path().to_owned() };
        let without = groups.group("without", 1 << 20).unwrap();
        assert!(!without.ran_out_of_memory());
        let limited = folder.path().join("limited");
        let group = Group { folder: limited.clone(), open: File::open(folder.path()).unwrap() };
        fs::create_dir(&limited).unwrap();
        fs::write(limited.join("memory.max"), "").unwrap();
        group.limit("memory.max", 7).unwrap();
        group.limit("pids.max", 8).unwrap();
        assert_eq!(fs::read_to_string(limited.join("memory.max")).unwrap(), "7");
        assert!(!limited.join("pids.max").exists());
        fs::write(limited.join("memory.events"), "low 0\noom 1\noom_kill 2\noom_group_kill 1\n").unwrap();
        assert!(group.ran_out_of_memory());
    }
}
