//! The arguments of bubblewrap, which it follows in their order.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{Cell, RUNTIME, SOCKET, TASK, host};

/// Lambda's `/tmp`.
const TMP_BYTES: &str = "536870912";

/// Files of `/proc` by which the root of the machine changes all of it.
const DANGEROUS: &[&str] = &["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/scsi"];

/// Files of `/proc` that name what belongs to others: the keys of the server's user.
const TELLTALE: &[&str] = &["/proc/keys"];

/// Arguments in the making.
#[derive(Default)]
pub(super) struct Arguments {
    /// Each ended by a zero byte.
    all: Vec<u8>,
    folders: BTreeSet<PathBuf>,
}

impl Arguments {
    /// Of a server that is an ordinary user.
    pub(super) fn of_user_namespace(&mut self, uid: u32, gid: u32) {
        // Without further namespaces a Function cannot make itself root of one, where the kernel has more doors.
        self.push(&["--unshare-user", "--disable-userns", "--uid", &uid.to_string(), "--gid", &gid.to_string()]);
    }

    /// Of a server that is root: what is left is needed to become another user, who keeps nothing of it.
    pub(super) fn of_root(&mut self) {
        self.push(&["--cap-drop", "ALL"]);
        for needed in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] {
            self.push(&["--cap-add", needed]);
        }
    }

    pub(super) fn of_every_jail(&mut self) {
        self.push(&["--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--die-with-parent"]);
        // Without it a Function could type into the server's terminal.
        self.push(&["--new-session"]);
        // Nobody's: what runs first in the jail is not the Function yet.
        self.push(&["--clearenv"]);
    }

    /// The system calls that fail in it.
    pub(super) fn filter(&mut self, descriptor: i32) {
        self.push(&["--seccomp", &descriptor.to_string()]);
    }

    /// Programs, libraries, devices, and temporary folders of its own.
    pub(super) fn system(&mut self, etc: &Path) {
        for folder in host::SYSTEM {
            match fs::read_link(folder) {
                Ok(target) => self.push_paths("--symlink", &target, Path::new(folder)),
                Err(_) if Path::new(folder).is_dir() => self.show(Path::new(folder), Path::new(folder)),
                Err(_) => {}
            }
        }
        self.show(etc, Path::new("/etc"));
        for folder in host::CONFIGURATION.iter().map(Path::new).filter(|path| path.is_dir()) {
            self.show(folder, folder);
        }
        self.push(&["--proc", "/proc"]);
        for file in DANGEROUS {
            self.push(&["--ro-bind-try", file, file]);
        }
        for file in TELLTALE {
            self.push(&["--ro-bind-try", "/dev/null", file]);
        }
        // Nobody may write to it: as in Lambda there is no shared memory, for which Linux takes `/dev/shm`.
        self.push(&["--dev", "/dev", "--remount-ro", "/dev"]);
        self.push(&["--perms", "1777", "--size", TMP_BYTES, "--tmpfs", "/tmp"]);
        // Where layers would be.
        self.folder(Path::new("/opt"));
    }

    /// Hides a folder where it lies in one that is shown.
    pub(super) fn hide(&mut self, folder: &Path) {
        if host::is_visible(folder) {
            self.cover(folder);
        }
    }

    /// Puts an empty folder in the place of this one.
    fn cover(&mut self, folder: &Path) {
        self.push(&["--perms", "0755"]);
        self.push_path("--tmpfs", folder);
        self.push_path("--remount-ro", folder);
    }

    /// What is this process's own.
    pub(super) fn cell(&mut self, cell: &Cell<'_>) {
        self.show(&cell.folder.join("passwd"), Path::new("/etc/passwd"));
        self.show(&cell.folder.join("group"), Path::new("/etc/group"));
        for file in cell.files.iter().filter(|file| !host::is_visible(file)) {
            self.show(file, file);
        }
        let is_shown =
            |folder: &Path| host::is_visible(folder) || cell.files.iter().any(|shown| folder.starts_with(shown));
        for folder in cell.hidden.iter().filter(|folder| is_shown(folder)) {
            self.cover(folder);
        }
        self.show(cell.code, Path::new(TASK));
        self.show(cell.runtime, Path::new(RUNTIME));
        // Modules that are imported are looked for in the folders above the one that imports, and nowhere else.
        self.push(&["--symlink", "runtime/node_modules", "/var/node_modules"]);
        self.show(&Cell::socket(cell.folder), Path::new(SOCKET));
        // Not in the folder of the code yet: the entry program must find nothing of the Function's beside it.
        self.push(&["--remount-ro", "/", "--chdir", "/"]);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.all
    }

    /// Shows a file or folder of the machine, read-only.
    fn show(&mut self, from: &Path, to: &Path) {
        if let Some(parent) = to.parent() {
            self.folder(parent);
        }
        self.push_paths("--ro-bind", from, to);
    }

    /// Makes a folder that everybody may enter, with those above it. Only their maker may enter those that bubblewrap
    /// makes itself.
    fn folder(&mut self, folder: &Path) {
        let mut missing: Vec<_> = folder.ancestors().filter(|folder| folder.parent().is_some()).collect();
        missing.reverse();
        for folder in missing {
            if !host::is_visible(folder) && self.folders.insert(folder.to_owned()) {
                self.push(&["--perms", "0755"]);
                self.push_path("--dir", folder);
            }
        }
    }

    fn push(&mut self, arguments: &[&str]) {
        arguments.iter().for_each(|argument| self.add(argument.as_bytes()));
    }

    fn push_path(&mut self, option: &str, path: &Path) {
        self.push(&[option]);
        self.add(path.as_os_str().as_encoded_bytes());
    }

    fn push_paths(&mut self, option: &str, first: &Path, second: &Path) {
        self.push_path(option, first);
        self.add(second.as_os_str().as_encoded_bytes());
    }

    fn add(&mut self, argument: &[u8]) {
        self.all.extend_from_slice(argument);
        self.all.push(0);
    }
}
