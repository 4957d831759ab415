//! The arguments for bubblewrap, which acts on them in order.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{Cell, LAYERS, PackageView, RUNTIME, SOCKET, TASK, host};

/// The size of Lambda's `/tmp`.
const TMP_BYTES: &str = "536870912";

/// Files in `/proc` that let root change the whole machine.
const DANGEROUS: &[&str] = &["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/scsi"];

/// Files in `/proc` that reveal data of others: the keys of the server's user.
const TELLTALE: &[&str] = &["/proc/keys"];

/// A list of arguments under construction.
#[derive(Default)]
pub(super) struct Arguments {
    /// Each is followed by a zero byte.
    all: Vec<u8>,
    folders: BTreeSet<PathBuf>,
}

impl Arguments {
    /// For a server that runs as an ordinary user.
    pub(super) fn of_user_namespace(&mut self, uid: u32, gid: u32) {
        // Without further user namespaces a Function cannot become root in one, which would give it access to more of
        // the kernel.
        self.push(&["--unshare-user", "--disable-userns", "--uid", &uid.to_string(), "--gid", &gid.to_string()]);
    }

    /// For a server that runs as root. The remaining capabilities are needed to become another user, which drops them.
    pub(super) fn of_root(&mut self) {
        self.push(&["--cap-drop", "ALL"]);
        for needed in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] {
            self.push(&["--cap-add", needed]);
        }
    }

    pub(super) fn of_every_jail(&mut self) {
        self.push(&["--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--die-with-parent"]);
        // Otherwise a Function could type into the server's terminal.
        self.push(&["--new-session"]);
        // Empty, because the entry program runs before the Function does.
        self.push(&["--clearenv"]);
    }

    /// The seccomp filter, read from this descriptor.
    pub(super) fn filter(&mut self, descriptor: i32) {
        self.push(&["--seccomp", &descriptor.to_string()]);
    }

    /// Programs, libraries, devices, and private temporary folders.
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
        self.private();
        // Lambda's folder for layers.
        self.folder(Path::new(LAYERS));
    }

    /// The files of an image as all files, except those that concern the network, which is the machine's.
    pub(super) fn image(&mut self, root: &Path, etc: &Path) {
        self.push_paths("--ro-bind", root, Path::new("/"));
        for name in ["hosts", "resolv.conf"] {
            self.push_paths("--ro-bind-try", &etc.join(name), &Path::new("/etc").join(name));
        }
        self.private();
        self.push(&["--chdir", "/"]);
    }

    /// Processes, devices and temporary files.
    fn private(&mut self) {
        self.push(&["--proc", "/proc"]);
        for file in DANGEROUS {
            self.push(&["--ro-bind-try", file, file]);
        }
        for file in TELLTALE {
            self.push(&["--ro-bind-try", "/dev/null", file]);
        }
        // Read-only: as in Lambda there is no shared memory, for which Linux uses `/dev/shm`.
        self.push(&["--dev", "/dev", "--remount-ro", "/dev"]);
        self.push(&["--perms", "1777", "--size", TMP_BYTES, "--tmpfs", "/tmp"]);
    }

    /// Hides a folder that is inside a visible one.
    pub(super) fn hide(&mut self, folder: &Path) {
        if host::is_visible(folder) {
            self.cover(folder);
        }
    }

    /// Mounts an empty folder over this one.
    fn cover(&mut self, folder: &Path) {
        self.push(&["--perms", "0755"]);
        self.push_path("--tmpfs", folder);
        self.push_path("--remount-ro", folder);
    }

    /// Everything that belongs to this process alone, and has its files in `folder`.
    pub(super) fn package(&mut self, package: &PackageView<'_>, folder: &Path) {
        self.show(&folder.join("passwd"), Path::new("/etc/passwd"));
        self.show(&folder.join("group"), Path::new("/etc/group"));
        for file in package.files.iter().filter(|file| !host::is_visible(file)) {
            self.show(file, file);
        }
        let is_shown =
            |folder: &Path| host::is_visible(folder) || package.files.iter().any(|shown| folder.starts_with(shown));
        for hidden in package.hidden.iter().filter(|folder| is_shown(folder)) {
            self.cover(hidden);
        }
        self.show(package.code, Path::new(TASK));
        self.show(package.runtime, Path::new(RUNTIME));
        if let Some(layers) = package.layers {
            self.show(layers, Path::new(LAYERS));
        }
        // Node looks for imported modules only in the folders above the importing file.
        self.push(&["--symlink", "runtime/node_modules", "/var/node_modules"]);
        self.show(&Cell::socket(folder), Path::new(SOCKET));
        // Not the code's folder yet: the entry program must not find anything of the Function next to it.
        self.push(&["--remount-ro", "/", "--chdir", "/"]);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.all
    }

    /// Makes a file or folder of the machine visible, read-only.
    fn show(&mut self, from: &Path, to: &Path) {
        if let Some(parent) = to.parent() {
            self.folder(parent);
        }
        self.push_paths("--ro-bind", from, to);
    }

    /// Creates a folder that everybody may enter, and the folders above it. Folders that bubblewrap creates by itself
    /// can only be entered by their owner.
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
