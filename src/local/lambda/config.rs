//! The configuration of the local Lambda.

use std::{collections::BTreeMap, fmt, io, path::PathBuf, sync::Arc, time::Duration};

use tasklane_model::FunctionName;

use super::{
    folders::create_private,
    image::{ImageSource, NoImages},
    inspection::Inspection,
    jail::JailMode,
    platform::Platform,
    sdk::Sdk,
    secrets::{NoSecrets, SecretSource},
    sink::LogSink,
};

/// Shows a message to the operator, for example that the machine has another version of a runtime.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// The configuration of the local Lambda.
#[derive(Clone)]
pub struct LocalLambdaConfig {
    /// The data folder. Packages, versions and temporary files are in its subfolder `lambda`.
    pub data_dir: PathBuf,
    /// The prefix of all function names in Lambda: `<prefix>-<name>`.
    pub prefix: String,
    /// The region that Functions see.
    pub region: String,
    /// The most processes at once, busy and idle ones together. Beyond that, runs are throttled.
    pub max_processes: usize,
    /// How long a run waits for a busy process of its version if a new one would have to replace a process of another
    /// version. It should be about as long as starts take when many happen at once: with less, all runs that wait for a
    /// starting process would start another one each.
    pub patience: Duration,
    /// How long a process may be idle before it is ended.
    pub idle_after: Duration,
    /// Refuse Functions whose runtime is not exactly one of the machine's.
    pub strict_runtimes: bool,
    /// Whether Functions run in a jail.
    pub jail: JailMode,
    /// The AWS SDK for Functions, if it is installed.
    pub sdk: Option<Sdk>,
    /// The folders and zips that take the place of layers, by the ARN of a layer, with or without a version.
    pub layers: BTreeMap<String, PathBuf>,
    /// The Functions that run under a debugger.
    pub inspected: BTreeMap<FunctionName, Inspection>,
    /// Where the images of Functions are.
    pub images: Arc<dyn ImageSource>,
    /// Where the values of secrets come from.
    pub secrets: Arc<dyn SecretSource>,
    /// How long a process may take until it is ready for its first run, before the run's own time begins.
    pub init_limit: Duration,
    /// How many bytes one run may log. Lines beyond that are dropped, and the log says how much was dropped.
    pub run_log_bytes: u64,
    pub logs: Arc<dyn LogSink>,
    /// How processes are looked at. Tests do without what Linux has.
    pub(super) platform: Platform,
    /// Shows messages to the operator.
    pub notice: Notice,
}

impl LocalLambdaConfig {
    /// The defaults: prefix `tasklane`, region `us-east-1`, 64 processes, a second of patience, five minutes idle, a
    /// jail if the machine can have one, notices to `tracing`.
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
            layers: BTreeMap::new(),
            inspected: BTreeMap::new(),
            images: Arc::new(NoImages),
            secrets: Arc::new(NoSecrets),
            init_limit: Duration::from_secs(10),
            run_log_bytes: 32_000_000,
            logs,
            platform: Platform::OF_THIS_MACHINE,
            notice: Arc::new(|text| tracing::warn!("{text}")),
        }
    }

    /// Creates the folder `lambda` and returns its absolute path, because processes run in other folders than the
    /// server.
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
            .field("layers", &self.layers)
            .field("inspected", &self.inspected)
            .field("init_limit", &self.init_limit)
            .field("run_log_bytes", &self.run_log_bytes)
            .finish_non_exhaustive()
    }
}
