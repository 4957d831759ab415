//! The jail around a Function's process: bubblewrap, which gives it a file system, processes and limits of its own.
//!
//! In it a Function sees the same as in Lambda: its code at `/var/task`, the bootstraps at `/var/runtime`, and a `/tmp`
//! of its own. Of the machine it sees only programs and libraries, read-only; a Function that runs an image sees the files of
//! that, and nothing of the machine's. It has no capabilities and sees no other
//! processes. bubblewrap does not start the Function's program but this one, as the entry program ([`enter`]). It drops
//! the last privileges, and only then reads the Function's configuration. The network is the machine's, because
//! Functions call services, as they do in Lambda, but only the Function itself can use its Runtime API (see
//! [`super::runtime_api`]). `SECURITY.md` says what is not isolated.

mod arguments;
#[cfg(target_os = "linux")]
mod enter;
#[cfg(not(target_os = "linux"))]
mod enter_nothing;
mod etc;
#[cfg(target_os = "linux")]
mod filter;
mod host;
mod loader;
mod orders;

#[cfg(not(target_os = "linux"))]
use enter_nothing as enter;
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

use tokio::process::Command;

pub use self::enter::enter_if_asked;
pub(super) use self::orders::{Entry, EntryFailure, Step};

use self::{arguments::Arguments, enter::ENTER, etc::Etc, loader::Loader, orders::Orders};
use super::isolation::{Launch, Limits};

/// The folder of the Function's code.
pub(super) const TASK: &str = "/var/task";
/// The folder of the bootstraps.
pub(super) const RUNTIME: &str = "/var/runtime";
/// The folder of its layers.
pub(super) const LAYERS: &str = "/opt";
/// The socket of its Runtime API.
pub(super) const SOCKET: &str = "/run/tasklane/runtime-api";

/// How much more memory one process may reserve than the Function's limit allows it to use: interpreters reserve much
/// more than they use. Usage is measured; this limits how much a process can take between two measurements.
const RESERVE: u64 = 1 << 30;

/// If the server is root, Functions run as users from this id on. Debian does not assign these ids.
const FIRST_USER: u32 = 62_000;
const USERS: u32 = 2_000;
/// If the server is an ordinary user, a Function sees itself as this user and group, which are Lambda's.
const LAMBDA_USER: (u32, u32) = (993, 990);

/// Opens a file without the permission to read it.
#[cfg(target_os = "linux")]
const ONLY_PATH: i32 = nix::libc::O_PATH;
#[cfg(not(target_os = "linux"))]
const ONLY_PATH: i32 = 0;

/// Whether Functions run in a jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JailMode {
    /// If this machine supports it.
    #[default]
    Auto,
    /// Always: without a jail the service does not start.
    On,
    /// Never: Functions have the permissions of the user who runs the server.
    Off,
}

impl FromStr for JailMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err("must be auto, on or off".to_owned()),
        }
    }
}

/// A bubblewrap that was tested on this machine.
#[derive(Debug)]
pub(super) struct Jail {
    program: PathBuf,
    /// This program, even if its file has been replaced. bubblewrap starts it.
    entry_program: OwnedFd,
    /// `None` if it needs none.
    loader: Option<Loader>,
    user: User,
    /// Hidden even if it is inside a folder that Functions see.
    data_dir: PathBuf,
    etc: Etc,
}

/// The user that a Function's process runs as.
#[derive(Debug)]
enum User {
    /// The server's own user, mapped to another one in a user namespace and without its permissions. The process limit
    /// counts only the namespace's processes.
    Mapped,
    /// A user of its own, which requires root. A Function that is root itself would have too much power over `/proc`.
    Own { next: AtomicU32 },
}

/// What one process gets.
pub(super) struct Cell<'a> {
    pub(super) view: View<'a>,
    /// A folder of its own, which holds the socket of its Runtime API ([`Cell::socket`]).
    pub(super) folder: &'a Path,
    pub(super) environment: &'a BTreeMap<String, String>,
    /// In bytes.
    pub(super) memory: u64,
}

/// The files that a process sees.
pub(super) enum View<'a> {
    /// The machine's programs and libraries, and a package.
    Package(PackageView<'a>),
    /// The files of an image, and none of the machine's.
    Image {
        /// Mounted at `/`.
        root: &'a Path,
        /// The folder in it that the program starts in.
        folder: &'a Path,
    },
}

/// A package and what runs it.
pub(super) struct PackageView<'a> {
    /// Mounted at [`TASK`].
    pub(super) code: &'a Path,
    /// Mounted at [`RUNTIME`].
    pub(super) runtime: &'a Path,
    /// Mounted at [`LAYERS`].
    pub(super) layers: Option<&'a Path>,
    /// Other files that its interpreter reads.
    pub(super) files: &'a [PathBuf],
    /// Folders that it must not see.
    pub(super) hidden: &'a [PathBuf],
}

impl Cell<'_> {
    /// The socket's file, as the server sees it.
    pub(super) fn socket(folder: &Path) -> PathBuf {
        folder.join("runtime-api")
    }
}

impl Jail {
    /// Tests whether jails work on this machine. If not, the error is a sentence that says why.
    pub(super) fn find(data_dir: &Path, runtime: &Path, scratch: &Path) -> Result<Self, String> {
        let program = host::find_program("bwrap")
            .ok_or("bubblewrap is not installed: install your system's package 'bubblewrap'")?;
        let user = match nix::unistd::geteuid().is_root() {
            true => User::Own { next: AtomicU32::new(0) },
            false => User::Mapped,
        };
        let entry_program = OpenOptions::new().read(true).custom_flags(ONLY_PATH).open("/proc/self/exe");
        let entry_program =
            entry_program.map_err(|error| format!("this program cannot be started in a jail: {error}"))?.into();
        let loader = Loader::find().map_err(|error| format!("this program cannot be started in a jail: {error}"))?;
        let etc = Etc::new(scratch.join("etc"), Path::new("/")).map_err(|error| error.to_string())?;
        let jail = Self { program, entry_program, loader, user, data_dir: data_dir.to_owned(), etc };
        let folder = tempfile::tempdir_in(scratch).map_err(|error| error.to_string())?;
        match jail.try_out(runtime, folder.path()) {
            Ok(None) => Ok(jail),
            Ok(Some(complaint)) => Err(format!("bubblewrap does not work on this machine: {complaint}")),
            Err(error) => Err(format!("bubblewrap does not work on this machine: {error}")),
        }
    }

    /// bubblewrap.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a trivial program in a jail. If that fails, returns the error output.
    fn try_out(&self, runtime: &Path, folder: &Path) -> io::Result<Option<String>> {
        let socket = std::os::unix::net::UnixListener::bind(Cell::socket(folder));
        let environment = BTreeMap::new();
        let view = View::Package(PackageView { code: runtime, runtime, layers: None, files: &[], hidden: &[] });
        let cell = Cell { view, folder, environment: &environment, memory: RESERVE };
        let (mut launch, entry) = self.launch(&cell, Path::new("/bin/sh"), &["-c".to_owned(), ":".to_owned()])?;
        launch.prepare();
        let mut command = launch.command.into_std();
        let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
        drop(socket);
        if let Some(failure) = entry.failure() {
            return Err(failure.into());
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok((!output.status.success()).then(|| if words.is_empty() { output.status.to_string() } else { words }))
    }

    /// The command that runs `program` in the cell, and an [`Entry`] that tells later whether the program was started.
    pub(super) fn launch(&self, cell: &Cell<'_>, program: &Path, arguments: &[String]) -> io::Result<(Launch, Entry)> {
        let (uid, gid) = match &self.user {
            User::Mapped => LAMBDA_USER,
            User::Own { next } => {
                let uid = FIRST_USER + next.fetch_add(1, Ordering::Relaxed) % USERS;
                (uid, uid)
            }
        };
        let mut jailed = Arguments::default();
        let identity = match &self.user {
            User::Mapped => {
                jailed.of_user_namespace(uid, gid);
                None
            }
            User::Own { .. } => {
                jailed.of_root();
                Some((uid, gid))
            }
        };
        jailed.of_every_jail();
        let etc = self.etc.current()?;
        let folder = match &cell.view {
            View::Package(package) => {
                let passwd = format!("sbx_user1051:x:{uid}:{gid}::/home/sbx_user1051:/sbin/nologin\n");
                host::write_readable(&cell.folder.join("passwd"), &passwd)?;
                host::write_readable(&cell.folder.join("group"), &format!("sbx_group1051:x:{gid}:\n"))?;
                jailed.system(etc);
                jailed.hide(&self.data_dir);
                jailed.package(package, cell.folder);
                Path::new(TASK)
            }
            View::Image { root, folder } => {
                jailed.image(root, etc);
                folder
            }
        };
        let mut inherited = Vec::new();
        #[cfg(target_os = "linux")]
        if let Some(program) = filter::program() {
            let filter = OwnedFd::from(orders::nameless(&program)?);
            jailed.filter(filter.as_raw_fd());
            inherited.push(filter);
        }
        // In an unnamed file, because command lines are public.
        let described = OwnedFd::from(orders::nameless(&jailed.finish())?);
        let (orders, entry) = Orders::new(identity, folder, program, arguments, cell.environment)?.into_file()?;
        let entry_program = self.entry_program.try_clone()?;

        let mut command = Command::new(&self.program);
        command.env_clear().arg("--args").arg(described.as_raw_fd().to_string()).arg("--");
        if let (View::Image { .. }, Some(loader)) = (&cell.view, &self.loader) {
            let (words, descriptors) = loader.words()?;
            command.args(words);
            inherited.extend(descriptors);
        }
        // By its descriptor, because the file need not be visible in the jail.
        command.arg(format!("/proc/self/fd/{}", entry_program.as_raw_fd()));
        command.arg(ENTER).arg(orders.as_raw_fd().to_string());
        inherited.extend([described, orders, entry_program]);
        let limits = Limits { data: Some(cell.memory.saturating_add(RESERVE)), is_bound: true };
        let user = identity.map_or_else(|| nix::unistd::geteuid().as_raw(), |(user, _)| user);
        Ok((Launch { command, output: None, group: None, inherited, limits, user }, entry))
    }
}
