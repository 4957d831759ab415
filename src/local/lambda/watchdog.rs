//! A small process that outlives the server for a moment and kills the processes that a killed server leaves behind.
//!
//! On Linux the server's own children die with it (see [`super::isolation`]), but their children would live on. Elsewhere
//! all would: there the watchdog is told the process group of each.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use std::os::unix::process::CommandExt;

use super::platform::Platform;

/// Waits until its standard input ends, which happens when the server ends in any way. Then it kills the processes that
/// the server left, and removes its scratch folder and its control groups.
///
/// Processes without a jail have the scratch folder in their environment, and jailed ones have a file of it among their
/// mounts. They can change neither. If the server is an ordinary user, a jailed Function could use `ptrace` to remove
/// the link that ends its jail with the server.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
while read -r _; do :; done
[ -z "$3" ] || echo 1 2>/dev/null > "$3/cgroup.kill"
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    left=$(grep -lsF -- "$1" /proc/[0-9]*/environ /proc/[0-9]*/mountinfo)
    [ -n "$left" ] || break
    for file in $left; do
        process=${file#/proc/}
        [ "${process%/*}" = "$$" ] || kill -KILL "${process%/*}" 2>/dev/null
    done
    sleep 0.05
done
rm -rf -- "$2"
[ -z "$3" ] || rmdir -- "$3"/*/ "$3" 2>/dev/null
"#;

/// The same with what every Unix has: it kills the process groups that [`note`] has written down.
const PORTABLE: &str = r#"
trap '' INT TERM HUP
while read -r _; do :; done
for file in "$2"/*.group; do
    [ -f "$file" ] && read -r group < "$file" && kill -s KILL -- "-$group" 2>/dev/null
done
rm -rf -- "$2"
"#;

/// Writes down the process group of a process with this scratch folder. [`forget`] removes that.
pub(super) fn note(scratch: &Path, group: i32) -> io::Result<()> {
    std::fs::write(noted_in(scratch), format!("{group}\n"))
}

/// Forgets a process group whose processes were killed.
pub(super) fn forget(scratch: &Path) {
    let _ = std::fs::remove_file(noted_in(scratch));
}

/// Beside the folder, which the processes write to.
fn noted_in(scratch: &Path) -> PathBuf {
    let mut name = scratch.as_os_str().to_owned();
    name.push(".group");
    name.into()
}

/// The watchdog of one engine.
#[derive(Debug)]
pub(super) struct Watchdog {
    process: std::process::Child,
}

impl Watchdog {
    /// Watches over processes that have a file of the `scratch` folder mounted or its name in their environment, and
    /// over the control groups in `groups`.
    pub(super) fn start(scratch: &Path, groups: Option<&Path>, platform: Platform) -> io::Result<Self> {
        // Mounts show paths within their file system, which may be mounted anywhere.
        let tail = |folder: &Path| {
            let above = folder.parent()?.file_name()?;
            Some(Path::new("/").join(above).join(folder.file_name()?).join(""))
        };
        let mark = tail(scratch).ok_or(io::ErrorKind::InvalidInput)?;
        let process = Command::new("/bin/sh")
            .args(["-c", if platform.is_portable() { PORTABLE } else { SCRIPT }, "tasklane-watchdog"])
            .args([mark.as_path(), scratch, groups.unwrap_or(Path::new(""))])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // In another process group, so that the Ctrl-C that ends the server does not end it.
            .process_group(0)
            .spawn()?;
        Ok(Self { process })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // In an orderly shutdown there is nothing left to do. Without this it would stay, or become a zombie.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn without_linux_the_noted_process_groups_do_not_outlive_the_server() {
        let around = tempfile::tempdir().unwrap();
        let scratch = tempfile::Builder::new().suffix(".1").tempdir_in(&around).unwrap().keep();
        // Each has a child, which is in its group.
        let start = |name: &str| {
            let mut shell = Command::new("/bin/sh");
            let shell = shell.args(["-c", "sleep 86463.5 & echo; wait"]).process_group(0);
            let mut shell = shell.stdout(Stdio::piped()).spawn().unwrap();
            let mut line = [0];
            std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut line).unwrap();
            let scratch = scratch.join(name);
            note(&scratch, i32::try_from(shell.id()).unwrap()).unwrap();
            (shell, scratch)
        };
        let ((mut left, _), (mut ended, forgotten)) = (start("one"), start("two"));
        forget(&forgotten);
        let mut watchdog = Watchdog::start(&scratch, None, Platform::Portable).unwrap();
        drop(watchdog.process.stdin.take());
        watchdog.process.wait().unwrap();
        assert!(!left.wait().unwrap().success());
        let mut said = Vec::new();
        // Ends when the child that holds the pipe is gone, too.
        std::io::Read::read_to_end(left.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert!(!scratch.exists());
        assert!(ended.try_wait().unwrap().is_none(), "what was forgotten is no longer the server's");
        let group = nix::unistd::Pid::from_raw(i32::try_from(ended.id()).unwrap());
        nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
        ended.wait().unwrap();
    }

    /// The process looks like a jailed Function that no longer dies with its server: it has nothing of the server in
    /// its environment, and is not a child of it.
    #[test]
    fn a_jail_without_its_parent_death_signal_does_not_outlive_the_server() {
        crate::tests::install_bubblewrap();
        let around = tempfile::tempdir().unwrap();
        let scratch = tempfile::Builder::new().suffix(".1").tempdir_in(&around).unwrap().keep();
        fs::create_dir(scratch.join("one")).unwrap();
        fs::write(scratch.join("one/runtime-api"), "").unwrap();
        let jailed = |from: &Path, ends_with_us: bool| {
            let mut bwrap = Command::new("bwrap");
            bwrap.args(ends_with_us.then_some("--die-with-parent"));
            bwrap.args(["--ro-bind", "/", "/", "--unshare-pid", "--dev", "/dev", "--tmpfs", "/run", "--ro-bind"]);
            bwrap.arg(from).args(["/run/runtime-api", "--clearenv", "--", "/bin/sleep", "86461.5"]).spawn().unwrap()
        };
        let other = tempfile::NamedTempFile::new_in(&around).unwrap();
        let (mut left, mut stranger) = (jailed(&scratch.join("one/runtime-api"), false), jailed(other.path(), true));
        let is_mounted = || {
            let processes = fs::read_dir("/proc").unwrap().flatten();
            let mut mounts = processes.filter_map(|process| fs::read_to_string(process.path().join("mountinfo")).ok());
            mounts.any(|mounts| mounts.contains(&format!("{}/one", scratch.file_name().unwrap().display())))
        };
        while !is_mounted() {
            std::thread::yield_now();
        }
        let mut watchdog = Watchdog::start(&scratch, None, Platform::OF_THIS_MACHINE).unwrap();
        assert!(left.try_wait().unwrap().is_none());
        drop(watchdog.process.stdin.take());
        assert!(!left.wait().unwrap().success());
        watchdog.process.wait().unwrap();
        assert!(!scratch.exists());
        assert!(stranger.try_wait().unwrap().is_none(), "it does not belong to the server");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
