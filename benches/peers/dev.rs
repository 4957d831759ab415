//! tasklane as people run it: `tasklane dev`, in a separate process.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    child::{Child, free_address},
    context::Context,
    functions::{self, Language},
    packages,
};

/// A running `tasklane dev`.
pub struct Dev {
    pub address: SocketAddr,
    pub data_dir: PathBuf,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Dev {
    /// Starts it with these Functions.
    pub async fn start(context: &Context, functions: &[(&str, Language)], slots: u16) -> anyhow::Result<Self> {
        Self::start_with(context, slots, |code| {
            functions.iter().try_for_each(|(name, language)| functions::write(code, name, *language).map(drop))
        })
        .await
    }

    /// Starts it with the Functions that `write` writes into a folder.
    pub async fn start_with(
        context: &Context,
        slots: u16,
        write: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let folder = context.scratch()?;
        let code = folder.path().join("functions");
        write(&code)?;
        let data_dir = folder.path().join("data");
        // The same interpreter as for the peers: the machine's own may have packages that make its start slow.
        let path = packages::path(context)?;
        let address = free_address()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tasklane"));
        command.arg("dev").arg(&code).args(["--listen", &address.to_string(), "--concurrency", &slots.to_string()]);
        command
            .arg("--data-dir")
            .arg(&data_dir)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("PATH", path);
        let mut child = Child::start(&mut command, &folder.path().join("log"))?;
        child.listens(address).await.context("tasklane dev")?;
        // It answers before all Functions are there.
        let until = Instant::now() + Duration::from_secs(120);
        while !child.said().lines().any(|line| line.starts_with("ready: ")) {
            if Instant::now() > until {
                bail!("tasklane dev is not ready:\n{}", child.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { address, data_dir, child, _folder: folder })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The bootstraps for node and python.
    pub fn bootstraps(data_dir: &Path) -> PathBuf {
        data_dir.join("lambda/runtime")
    }
}
