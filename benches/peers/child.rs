//! Processes that this one starts. They end with it, together with everything that they started.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child as Process, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// A running process and its group. Dropping it ends both.
pub struct Child {
    process: Process,
    /// The file with its output.
    log: PathBuf,
}

impl Child {
    /// Starts it. Its output goes to the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::create(log)?;
        command.stdin(Stdio::null()).stderr(file.try_clone()?).process_group(0);
        if command.get_envs().all(|(name, _)| name != "TASKLANE_BENCH_STDOUT") {
            command.stdout(file);
        }
        let process = command.spawn().with_context(|| format!("{:?} does not start", command.get_program()))?;
        Ok(Self { process, log: log.to_owned() })
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it listens on this address.
    pub async fn listens(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("it ended with {status}:\n{}", self.said());
            }
            if Instant::now() > until {
                bail!("it does not listen on {address}:\n{}", self.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The end of its output.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let group = Pid::from_raw(pid);
            let _ = killpg(group, Signal::SIGTERM);
            let until = Instant::now() + Duration::from_secs(3);
            while Instant::now() < until && matches!(self.process.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = self.process.wait();
    }
}

/// An address on loopback that was free a moment ago.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
