//! A local Lambda in a folder of its own, and Functions in it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tasklane_model::{
    Configuration, Deployment, EntryPoint, Environment, FunctionError, FunctionName, FunctionSpec, Invocation,
    InvokeError, InvokeRequest, MemoryLimit, ObjectId, Outcome, Runtime, TimeLimit, Timestamp,
};

use crate::{
    JailMode, LocalLambda, LocalLambdaConfig, Sdk, jail, package::testing, platform::Platform, system,
    testing::MemoryLog,
};

/// The folder of other bootstraps to test instead of ours. Jails do not show the files that those load.
pub(super) const OTHER_RUNTIME_DIR: &str = "TASKLANE_TEST_RUNTIME_DIR";

/// If this variable is set, nothing is used that only Linux has.
pub(super) const PORTABLE: &str = "TASKLANE_TEST_PORTABLE";

pub(super) struct World {
    pub(super) lambda: Arc<LocalLambda>,
    log: MemoryLog,
    pub(super) folder: tempfile::TempDir,
}

pub(super) struct Deployed {
    pub(super) spec: FunctionSpec,
    pub(super) deployment: Deployment,
}

/// A run and its log.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) result: Result<Invocation, InvokeError>,
    pub(super) log: Vec<String>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A local Lambda without jails.
    pub(super) fn unjailed() -> Self {
        Self::with(|config| config.jail = JailMode::Off)
    }

    pub(super) fn with(change: impl FnOnce(&mut LocalLambdaConfig)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), change)
    }

    pub(super) fn on(folder: tempfile::TempDir, change: impl FnOnce(&mut LocalLambdaConfig)) -> Self {
        let log = MemoryLog::default();
        let mut config = LocalLambdaConfig::new(folder.path(), Arc::new(log.clone()));
        config.prefix = "test".to_owned();
        // Not the SDK that the user who runs the tests has installed.
        config.sdk = Some(Sdk::in_folder(folder.path().join("sdk")));
        config.jail = if std::env::var_os(OTHER_RUNTIME_DIR).is_some() { JailMode::Off } else { JailMode::On };
        change(&mut config);
        if is_portable() {
            config.platform = Platform::Portable;
            config.jail = JailMode::Off;
        }
        if config.jail != JailMode::Off {
            install_bubblewrap();
        }
        let lambda = LocalLambda::new(config).unwrap();
        // Replaces our `index.mjs` and `bootstrap.py` with ones that start AWS's own runtime clients, to check the
        // expectations of these tests against them.
        if let Ok(other) = std::env::var(OTHER_RUNTIME_DIR) {
            for file in std::fs::read_dir(other).unwrap().map(Result::unwrap) {
                std::fs::copy(file.path(), folder.path().join("lambda/runtime").join(file.file_name())).unwrap();
            }
        }
        Self { lambda, log, folder }
    }

    /// Deploys these files, with `nodejs20.x` and `index.handler` unless `change` sets something else.
    pub(super) async fn deploy(&self, files: &[(&str, &str)], change: impl FnOnce(&mut FunctionSpec)) -> Deployed {
        self.deploy_zip(testing::zip(files), change).await
    }

    pub(super) async fn deploy_zip(&self, zip: Vec<u8>, change: impl FnOnce(&mut FunctionSpec)) -> Deployed {
        let mut spec = spec("f");
        change(&mut spec);
        let deployment = self.lambda.deploy(&spec, Some(zip.into()), None).await.unwrap();
        Deployed { spec, deployment }
    }

    /// Deploys one file with one handler.
    pub(super) async fn node(&self, code: &str) -> Deployed {
        self.deploy(&[("index.js", code)], |_| {}).await
    }

    pub(super) async fn python(&self, code: &str) -> Deployed {
        self.deploy(&[("index.py", code)], |spec| spec.configuration.set_runtime(Runtime::new("python3.11"))).await
    }

    pub(super) async fn run(&self, function: &Deployed, event: Value) -> Ran {
        self.run_bytes(function, event.to_string().into()).await
    }

    pub(super) async fn run_bytes(&self, function: &Deployed, payload: Bytes) -> Ran {
        let correlation = self.new_id();
        let result = self.invoke(function, payload, correlation).await;
        Ran { result, log: self.log_of(correlation) }
    }

    pub(super) async fn invoke(
        &self,
        function: &Deployed,
        payload: Bytes,
        correlation: ObjectId,
    ) -> Result<Invocation, InvokeError> {
        let request = InvokeRequest {
            function: &function.spec.name,
            deployment: &function.deployment,
            payload,
            correlation,
            time_limit: function.spec.configuration.time_limit,
        };
        self.lambda.invoke(request).await
    }

    pub(super) fn log_of(&self, correlation: ObjectId) -> Vec<String> {
        self.log.of(correlation)
    }

    /// `text` with `TASK` in place of the Function's folder, and `RUNTIME` in place of the bootstraps'.
    pub(super) fn shown(&self, function: &Deployed, text: &str) -> String {
        let lambda = self.folder.path().canonicalize().unwrap().join("lambda");
        let task = lambda.join("code").join(function.deployment.code_sha256.to_hex());
        let runtime = lambda.join("runtime");
        let text = text.replace(&task.display().to_string(), "TASK").replace(&runtime.display().to_string(), "RUNTIME");
        text.replace(jail::TASK, "TASK").replace(jail::RUNTIME, "RUNTIME")
    }

    pub(super) fn new_id(&self) -> ObjectId {
        ObjectId::new(system::now(), u64::from_ne_bytes(system::random()))
    }
}

impl Ran {
    /// The JSON that the run returned.
    #[track_caller]
    pub(super) fn returned(&self) -> Value {
        match &self.result {
            Ok(Invocation { outcome: Outcome::Returned(bytes), .. }) => serde_json::from_slice(bytes).unwrap(),
            other => panic!("not returned: {other:?}\n{}", self.log.join("\n")),
        }
    }

    /// The error that the run failed with.
    #[track_caller]
    pub(super) fn failed(&self) -> &FunctionError {
        match &self.result {
            Ok(Invocation { outcome: Outcome::Failed(error), .. }) => error,
            other => panic!("not failed: {other:?}\n{}", self.log.join("\n")),
        }
    }

    pub(super) fn request_id(&self) -> &str {
        &self.result.as_ref().unwrap().request_id
    }

    /// The log without Lambda's own lines, with times replaced by `T` and the request id by `R`.
    pub(super) fn own_lines(&self) -> Vec<String> {
        let id = self.request_id();
        let platform = ["START ", "END ", "REPORT ", "INIT_REPORT "];
        let own = self.log.iter().filter(|line| !platform.iter().any(|start| line.starts_with(start)));
        own.map(|line| without_times(&line.replace(id, "R")))
            // AWS's Python client hints at updates of the runtime, which do not exist here.
            .filter(|line| !line.contains("LAMBDA_WARNING: Unhandled exception."))
            .collect()
    }
}

/// Replaces ISO times by `T`.
fn without_times(line: &str) -> String {
    let fields = line.split('\t').map(|field| if field.parse::<Timestamp>().is_ok() { "T" } else { field });
    fields.collect::<Vec<_>>().join("\t")
}

/// A Function of this name, nodejs20.x, `index.handler`, 10 seconds, 256 MB.
pub(super) fn spec(name: &str) -> FunctionSpec {
    let configuration = Configuration {
        time_limit: TimeLimit::new(10).unwrap(),
        memory_limit: MemoryLimit::new(256).unwrap(),
        ..Configuration::new(EntryPoint::parse("index.handler").unwrap(), Runtime::new("nodejs20.x"))
    };
    FunctionSpec { name: FunctionName::parse(name).unwrap(), configuration }
}

pub(super) fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables: BTreeMap<_, _> = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Environment::parse(variables).unwrap()
}

/// Set if bubblewrap has been installed: an ordinary user may not be able to read `infra`.
const IS_INSTALLED: &str = "TASKLANE_TEST_BUBBLEWRAP_IS_INSTALLED";

/// Jails need bubblewrap; `infra/debian` says which one.
pub(crate) fn install_bubblewrap() {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED.call_once(|| {
        if std::env::var_os(IS_INSTALLED).is_none() {
            install("bwrap");
        }
    });
}

/// Whether the tests do without what only Linux has.
pub(super) fn is_portable() -> bool {
    !cfg!(target_os = "linux") || std::env::var_os(PORTABLE).is_some()
}

/// Installs this program from Debian unless it is there.
pub(super) fn install(program: &str) {
    let path = std::env::var_os("PATH").unwrap();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return;
    }
    let install = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../infra/debian/install");
    let output = std::process::Command::new(install).arg(program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the test of this name (its path below `tests`) again as an ordinary user, if the tests run as root: jails work
/// differently then.
pub(super) async fn also_as_an_ordinary_user(test: &str) {
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    if !nix::unistd::geteuid().is_root() || is_portable() {
        return;
    }
    install_bubblewrap();
    // Through `/proc`, because `nobody` may not be able to reach the file.
    let mut again = std::process::Command::new("/proc/self/exe");
    // Without the names of the crate and of this module.
    let tests = module_path!().split_once("::").and_then(|(_, path)| path.strip_suffix("harness")).unwrap();
    again.args(["--exact", &format!("{tests}{test}"), "--nocapture"]).uid(NOBODY).gid(NOBODY);
    again.env("HOME", "/nonexistent").env(IS_INSTALLED, "yes").current_dir("/");
    let output = tokio::process::Command::from(again).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let ran = output.status.success() && said.contains("test result: ok. 1 passed");
    assert!(ran, "as an ordinary user: {said}{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until `condition` holds, for at most half a minute.
pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
