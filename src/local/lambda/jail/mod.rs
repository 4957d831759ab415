//! The jail around a Function's process: bubblewrap, which gives it a file system, processes and limits of its own.
//!
//! Within, a Function sees what it sees in Lambda: its code at `/var/task`, the bootstraps at `/var/runtime`, a `/tmp`
//! of its own, and of the machine only programs and libraries, read-only. It has no capability and no other process.
//! The network is the machine's, because Functions call services, as they do in Lambda; its Runtime API is its own all
//! the same (see [`super::runtime_api`]). `SECURITY.md` says what that leaves open.

mod arguments;
mod etc;
mod machine;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Seek, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::sys::memfd::{MFdFlags, memfd_create};
use tokio::process::Command;

use self::{arguments::Arguments, etc::Etc};
use super::isolation::{Launch, Limits};

/// Where the Function's code is.
pub(super) const TASK: &str = "/var/task";
/// Where the bootstraps are.
pub(super) const RUNTIME: &str = "/var/runtime";
/// Where the socket of its Runtime API is.
pub(super) const SOCKET: &str = "/run/tasklane/runtime-api";

/// How many processes and threads a Function may have: Lambda's limit.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub(super) const MAX_PROCESSES: usize = 1024;

/// How much more memory one process may reserve than the Function's limit: interpreters reserve much and use little of
/// it. What is used is measured; this bounds what can be taken between two looks.
const RESERVE: u64 = 1 << 30;

/// The users that Functions run as where the server is root: none that a Debian system gives to anybody.
const FIRST_USER: u32 = 62_000;
const USERS: u32 = 2_000;
/// The user that a Function sees itself as where the server is an ordinary user: Lambda's.
const LAMBDA_USER: (u32, u32) = (993, 990);

/// Whether Functions run in a jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JailMode {
    /// Where this machine can.
    #[default]
    Auto,
    /// Always: without a jail nothing starts.
    On,
    /// Never: Functions have the rights of the user who runs the server.
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

/// A bubblewrap that works.
#[derive(Debug)]
pub(super) struct Jail {
    program: PathBuf,
    user: User,
    /// Hidden even where it lies in a folder that Functions see.
    data_dir: PathBuf,
    etc: Etc,
}

/// Who a Function's process is.
#[derive(Debug)]
enum User {
    /// The server's own user, without its rights: a user namespace makes it somebody else. Its processes are counted
    /// from within, where the server's are not among them.
    Mapped { prlimit: PathBuf },
    /// A user of its own, which only root can give. Root itself would have too much power over `/proc`.
    Own { setpriv: PathBuf, next: AtomicU32 },
}

/// What one process is given.
pub(super) struct Cell<'a> {
    /// What is at [`TASK`].
    pub(super) code: &'a Path,
    /// What is at [`RUNTIME`].
    pub(super) runtime: &'a Path,
    /// A folder of its own, with the socket of its Runtime API in the file [`Cell::socket`].
    pub(super) folder: &'a Path,
    /// What else its interpreter reads.
    pub(super) files: &'a [PathBuf],
    pub(super) environment: &'a BTreeMap<String, String>,
    /// Bytes.
    pub(super) memory: u64,
}

impl Cell<'_> {
    /// The file of the socket, as the server sees it.
    pub(super) fn socket(folder: &Path) -> PathBuf {
        folder.join("runtime-api")
    }
}

impl Jail {
    /// The jail that this machine has, after a try; or a sentence that says why it has none.
    pub(super) fn find(data_dir: &Path, runtime: &Path, scratch: &Path) -> Result<Self, String> {
        let program = machine::find_program("bwrap")
            .ok_or("bubblewrap is not installed: install your system's package 'bubblewrap'")?;
        let of_util_linux = |name: &str| {
            let missing = || format!("{name} is not installed: install your system's package 'util-linux'");
            machine::find_program(name).filter(|program| machine::is_visible(program)).ok_or_else(missing)
        };
        let user = if nix::unistd::geteuid().is_root() {
            User::Own { setpriv: of_util_linux("setpriv")?, next: AtomicU32::new(0) }
        } else {
            User::Mapped { prlimit: of_util_linux("prlimit")? }
        };
        let etc = Etc::new(scratch.join("etc"), Path::new("/")).map_err(|error| error.to_string())?;
        let jail = Self { program, user, data_dir: data_dir.to_owned(), etc };
        let folder = tempfile::tempdir_in(scratch).map_err(|error| error.to_string())?;
        match jail.try_out(runtime, folder.path()) {
            Ok(None) => Ok(jail),
            Ok(Some(complaint)) => Err(format!("bubblewrap does not work on this machine: {complaint}")),
            Err(error) => Err(format!("bubblewrap does not work on this machine: {error}")),
        }
    }

    /// Starts nothing much in it; what that complained about.
    fn try_out(&self, runtime: &Path, folder: &Path) -> io::Result<Option<String>> {
        let socket = std::os::unix::net::UnixListener::bind(Cell::socket(folder));
        let environment = BTreeMap::new();
        let cell = Cell { code: runtime, runtime, folder, files: &[], environment: &environment, memory: RESERVE };
        let mut launch = self.launch(&cell, Path::new("/bin/sh"), &["-c".to_owned(), ":".to_owned()])?;
        launch.prepare();
        let mut command = launch.command.into_std();
        let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
        drop(socket);
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok((!output.status.success()).then(|| if words.is_empty() { output.status.to_string() } else { words }))
    }

    /// The command that runs `program` in the cell.
    pub(super) fn launch(&self, cell: &Cell<'_>, program: &Path, arguments: &[String]) -> io::Result<Launch> {
        let (uid, gid) = match &self.user {
            User::Mapped { .. } => LAMBDA_USER,
            User::Own { next, .. } => {
                let uid = FIRST_USER + next.fetch_add(1, Ordering::Relaxed) % USERS;
                (uid, uid)
            }
        };
        let passwd = format!("sbx_user1051:x:{uid}:{gid}::/home/sbx_user1051:/sbin/nologin\n");
        machine::write_readable(&cell.folder.join("passwd"), &passwd)?;
        machine::write_readable(&cell.folder.join("group"), &format!("sbx_group1051:x:{gid}:\n"))?;

        let mut jailed = Arguments::default();
        match &self.user {
            User::Mapped { .. } => jailed.of_user_namespace(uid, gid),
            User::Own { .. } => jailed.of_root(),
        }
        jailed.of_every_jail();
        jailed.system(self.etc.current()?);
        jailed.hide(&self.data_dir);
        jailed.cell(cell);
        jailed.environment(cell.environment);

        let described = described(&jailed.finish())?;
        // In a file that has no name: command lines are public, and environments hold secrets.
        let mut command = Command::new(&self.program);
        command.env_clear().arg("--args").arg(described.as_raw_fd().to_string()).arg("--");
        let processes = match &self.user {
            User::Mapped { prlimit } => {
                command.arg(prlimit).args([&format!("--nproc={MAX_PROCESSES}"), "--"]);
                None
            }
            User::Own { setpriv, .. } => {
                command.arg(setpriv).args([&format!("--reuid={uid}"), &format!("--regid={gid}")]);
                command.args(["--clear-groups", "--inh-caps=-all", "--"]);
                Some(MAX_PROCESSES as u64)
            }
        };
        command.arg(program).args(arguments);
        let limits = Limits { processes, data: Some(cell.memory.saturating_add(RESERVE)) };
        Ok(Launch { command, inherited: Some(described), limits })
    }

    /// Whether a process in the jail sees a file of the machine.
    pub(super) fn sees(&self, file: &Path) -> bool {
        machine::is_visible(file) && !file.starts_with(&self.data_dir) && fs::metadata(file).is_ok()
    }
}

/// A nameless file of these arguments, read from its start.
fn described(arguments: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"tasklane-jail", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(arguments)?;
    file.rewind()?;
    Ok(file.into())
}
