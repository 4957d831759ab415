//! A small process that outlives the server for a moment and kills the processes that a killed server leaves behind.
//!
//! The server's own children die with it (see [`super::isolation`]), but their children would live on.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use std::os::unix::process::CommandExt;

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

/// The watchdog of one engine.
#[derive(Debug)]
pub(super) struct Watchdog {
    process: std::process::Child,
}

impl Watchdog {
    /// Watches over processes that have a file of the `scratch` folder mounted or its name in their environment, and
    /// over the control groups in `groups`.
    pub(super) fn start(scratch: &Path, groups: Option<&Path>) -> io::Result<Self> {
        // Mounts show paths within their file system, which may be mounted anywhere.
        let tail = |folder: &Path| {
            let above = folder.parent()?.file_name()?;
            Some(Path::new("/").join(above).join(folder.file_name()?).join(""))
        };
        let mark = tail(scratch).ok_or(io::ErrorKind::InvalidInput)?;
        let process = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "tasklane-watchdog"])
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
        let mut watchdog = Watchdog::start(&scratch, None).unwrap();
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
