//! How the local Lambda is set up.

use std::{
    fmt,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{jail::JailMode, procfs::is_alive, sdk::Sdk, sink::LogSink};

/// Tells the operator something once, e.g. that the machine has another version of a runtime.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// How the local Lambda is set up.
#[derive(Clone)]
pub struct LocalLambdaConfig {
    /// Where packages, versions and temporary files live, in a folder `lambda`.
    pub data_dir: PathBuf,
    /// What every function name in Lambda begins with: `<prefix>-<name>`.
    pub prefix: String,
    /// The region that Functions are told they run in.
    pub region: String,
    /// How many processes live at once, busy and idle ones together. Past that, runs are throttled.
    pub max_processes: usize,
    /// How long a run waits for a busy process of its version where a new one would cost another version its own. About as
    /// long as starts take when many start at once: with less, all who wait for one that is just starting would start one
    /// more each.
    pub patience: Duration,
    /// How long a process waits for its next run before it ends.
    pub idle_after: Duration,
    /// Refuses Functions whose runtime is not exactly one of the machine's.
    pub strict_runtimes: bool,
    /// Whether Functions run in a jail.
    pub jail: JailMode,
    /// The AWS SDK that Functions find, once it is installed.
    pub sdk: Option<Sdk>,
    /// How many bytes one run may log. Lines beyond that are left out, and its log says how much that was.
    pub run_log_bytes: u64,
    /// Where log lines go.
    pub logs: Arc<dyn LogSink>,
    /// How the operator is told things.
    pub notice: Notice,
}

impl LocalLambdaConfig {
    /// The usual setting: prefix `tasklane`, region `us-east-1`, 64 processes, a second of patience, five minutes idle, a jail where there
    /// can be one, notices to `tracing`.
    pub fn new(data_dir: impl Into<PathBuf>, logs: Arc<dyn LogSink>) -> Self {
        Self {
            data_dir: data_dir.into(),
            prefix: "tasklane".to_owned(),
            region: "us-east-1".to_owned(),
            max_processes: 64,
            patience: Duration::from_secs(1),
            idle_after: Duration::from_secs(300),
            strict_runtimes: false,
            jail: JailMode::Auto,
            sdk: Sdk::of_user(),
            run_log_bytes: 32_000_000,
            logs,
            notice: Arc::new(|text| tracing::warn!("{text}")),
        }
    }

    /// Creates the folder `lambda` and answers its absolute path: processes run in other folders than the server.
    pub(super) fn prepare_folder(&mut self) -> io::Result<PathBuf> {
        create_private(&self.data_dir)?;
        self.data_dir = self.data_dir.canonicalize()?;
        let folder = self.data_dir.join("lambda");
        create_private(&folder)?;
        Ok(folder)
    }
}

impl fmt::Debug for LocalLambdaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalLambdaConfig")
            .field("data_dir", &self.data_dir)
            .field("prefix", &self.prefix)
            .field("max_processes", &self.max_processes)
            .field("patience", &self.patience)
            .field("idle_after", &self.idle_after)
            .field("strict_runtimes", &self.strict_runtimes)
            .field("jail", &self.jail)
            .field("sdk", &self.sdk)
            .field("run_log_bytes", &self.run_log_bytes)
            .finish_non_exhaustive()
    }
}

/// Creates a folder that only its owner may enter, with the folders above it.
pub(super) fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A fresh folder for temporary files; those that a killed server left are removed.
pub(super) fn scratch_folder(folder: &Path) -> io::Result<tempfile::TempDir> {
    let runs = folder.join("run");
    create_private(&runs)?;
    for left in fs::read_dir(&runs)? {
        // Another server on the same folder would still hold its own: its folder says which process that is.
        let left = left?.path();
        let owner = left.extension().and_then(|pid| pid.to_str()?.parse::<i32>().ok());
        if owner.is_none_or(|pid| !is_alive(pid)) {
            let _ = fs::remove_dir_all(&left);
        }
    }
    tempfile::Builder::new().suffix(&format!(".{}", std::process::id())).tempdir_in(&runs)
}
