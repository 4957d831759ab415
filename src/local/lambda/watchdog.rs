//! A small process that outlives the server by a moment, to kill what a killed server leaves behind.
//!
//! The server's own children die with it (see [`super::isolation`]), but what those started would live on.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use std::os::unix::process::CommandExt;

/// Waits for its standard input to end, which it does when the server does, however that ended; then kills every process
/// whose environment names the server's scratch folder, and removes that folder.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
while read -r _; do :; done
for process in /proc/[0-9]*; do
    if tr '\0' '\n' < "$process/environ" 2>/dev/null | grep -qF -- "$1"; then
        [ "${process#/proc/}" = "$$" ] || kill -KILL "${process#/proc/}" 2>/dev/null
    fi
done
rm -rf -- "$1"
"#;

/// The watchdog of one engine.
#[derive(Debug)]
pub(super) struct Watchdog {
    process: std::process::Child,
}

impl Watchdog {
    /// Watches over the processes that have `mark` in their environment.
    pub(super) fn start(mark: &Path) -> io::Result<Self> {
        let process = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "tasklane-watchdog"])
            .arg(mark)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of the Ctrl-C that ends the server.
            .process_group(0)
            .spawn()?;
        Ok(Self { process })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Its work is done in an orderly end; without this it would wait on, or be left a zombie.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
