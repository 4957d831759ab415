//! The command line and the environment of a child process: the one place that decides what a Function's process is
//! started with, and so the place where a jail goes around it.

use std::{
    collections::BTreeMap,
    io::{self, PipeWriter},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{
    Engine,
    bootstraps::Bootstraps,
    isolation::{Launch, Limits},
    jail::{self, Cell, Entry, Jail},
    runtimes::{Interpreter, Support},
    sdk::SdkLanguage,
    versions::Version,
};
use crate::model::RuntimeFamily;

/// The account that Functions are told they run in: nobody's.
pub(super) const ACCOUNT: &str = "000000000000";

/// Where in Lambda layers would be. There are none, but paths name it as Lambda's do.
const LAYERS: &str = "/opt";

/// Where our bootstraps find the socket of their jail.
const SOCKET_VARIABLE: &str = "_TASKLANE_RUNTIME_SOCKET";

/// Names a program of the Function's own that starts the runtime.
const WRAPPER_VARIABLE: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// What a process is started with.
pub(super) struct Start<'a> {
    pub(super) engine: &'a Engine,
    pub(super) version: &'a Version,
    pub(super) support: &'a Support,
    /// The Runtime API's listener for this process.
    pub(super) api: SocketAddr,
    /// A folder of its own: its temporary files, or with a jail what the jail needs.
    pub(super) scratch: &'a Path,
    /// The name of its log stream.
    pub(super) log_stream: &'a str,
}

impl Start<'_> {
    /// What to start, or what is missing to start it; with a jail, what tells whether the program was reached.
    pub(super) fn launch(&self, output: PipeWriter) -> io::Result<(Launch, Option<Entry>)> {
        let (program, arguments) = match self.support {
            Support::Exact(interpreter) | Support::OtherVersion(interpreter) => {
                let (program, arguments) = self.interpreted(interpreter);
                self.wrapped(program, arguments)
            }
            Support::Bootstrap => (self.task().join("bootstrap"), Vec::new()),
            Support::Missing(what) => return Err(io::Error::new(io::ErrorKind::Unsupported, what.clone())),
        };
        let (mut launch, entry) = match &self.engine.jail {
            Ok(jail) => {
                let (launch, entry) = self.jailed(jail, &program, &arguments)?;
                (launch, Some(entry))
            }
            Err(_) => (self.unjailed(&program, &arguments), None),
        };
        launch.output = Some(output.into());
        Ok((launch, entry))
    }

    fn unjailed(&self, program: &Path, arguments: &[String]) -> Launch {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.environment()).current_dir(&self.version.code_path);
        let user = nix::unistd::geteuid().as_raw();
        Launch { command, output: None, group: None, inherited: Vec::new(), limits: Limits::default(), user }
    }

    fn jailed(&self, jail: &Jail, program: &Path, arguments: &[String]) -> io::Result<(Launch, Entry)> {
        let (mut files, hidden) = match self.support {
            Support::Exact(interpreter) | Support::OtherVersion(interpreter) => {
                (interpreter.files.clone(), interpreter.packages.as_slice())
            }
            Support::Bootstrap | Support::Missing(_) => (Vec::new(), &[][..]),
        };
        // It may have been installed just now.
        files.extend(self.sdk().filter(|packages| packages.is_dir()));
        let cell = Cell {
            code: &self.version.code_path,
            runtime: self.engine.bootstraps.folder(),
            folder: self.scratch,
            files: &files,
            hidden,
            environment: &self.environment(),
            memory: u64::from(self.version.configuration.memory_limit.get()) * 1024 * 1024,
        };
        jail.launch(&cell, program, arguments)
    }

    /// Where the AWS SDK of the Function's language would be.
    fn sdk(&self) -> Option<PathBuf> {
        let language = match self.version.configuration.runtime.family() {
            RuntimeFamily::Node => SdkLanguage::Node,
            RuntimeFamily::Python => SdkLanguage::Python,
            RuntimeFamily::Provided
            | RuntimeFamily::Java
            | RuntimeFamily::Dotnet
            | RuntimeFamily::Ruby
            | RuntimeFamily::Other => return None,
        };
        self.engine.config.sdk.as_ref().map(|sdk| sdk.packages(language))
    }

    /// The folder of the Function's code, as its process sees it.
    fn task(&self) -> &Path {
        if self.engine.jail.is_ok() { Path::new(jail::TASK) } else { &self.version.code_path }
    }

    /// The folder of the bootstraps, as the process sees it.
    fn runtime(&self) -> &Path {
        if self.engine.jail.is_ok() { Path::new(jail::RUNTIME) } else { self.engine.bootstraps.folder() }
    }

    fn interpreted(&self, interpreter: &Interpreter) -> (PathBuf, Vec<String>) {
        let arguments = if self.version.configuration.runtime.family() == RuntimeFamily::Node {
            // As Lambda's own bootstrap divides the memory: a tenth for the young generation's two halves.
            let memory = self.version.configuration.memory_limit.get();
            let young = memory / 10;
            let mut arguments = vec![
                "--expose-gc".to_owned(),
                format!("--max-semi-space-size={}", young / 2),
                format!("--max-old-space-size={}", memory - young),
            ];
            arguments.extend(self.disabled_features(interpreter).map(|name| format!("--no-experimental-{name}")));
            arguments.push(self.runtime().join(Bootstraps::NODE).display().to_string());
            arguments
        } else {
            // Nothing that was printed may wait in a buffer when the run ends, and nothing is written beside the code.
            let bootstrap = self.runtime().join(Bootstraps::PYTHON);
            // Nor does it take packages from where pip puts them on the machine: Lambda's Python has its own.
            vec!["-u".to_owned(), "-B".to_owned(), "-S".to_owned(), bootstrap.display().to_string()]
        };
        (interpreter.program.clone(), arguments)
    }

    /// Has the program that `AWS_LAMBDA_EXEC_WRAPPER` names start the runtime, as Lambda's own runtimes do.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper>
    fn wrapped(&self, program: PathBuf, arguments: Vec<String>) -> (PathBuf, Vec<String>) {
        /// What Lambda says, and how it exits, when there is no such program.
        const START: &str = r#"
            if [ ! -f "$0" ]; then echo "$0: does not exist"; exit 127; fi
            if [ ! -x "$0" ]; then echo "$0: is not an executable"; exit 126; fi
            exec "$0" "$@""#;
        let configured = self.version.configuration.environment.iter().find(|(name, _)| *name == WRAPPER_VARIABLE);
        let Some(wrapper) = configured.map(|(_, value)| value).filter(|value| !value.is_empty()) else {
            return (program, arguments);
        };
        // Without a jail the package's folder is another one.
        let wrapper = match Path::new(wrapper).strip_prefix(jail::TASK) {
            Ok(file) => self.task().join(file),
            Err(_) => PathBuf::from(wrapper),
        };
        let start = ["-c".to_owned(), START.to_owned(), wrapper.display().to_string(), program.display().to_string()];
        (PathBuf::from("/bin/sh"), start.into_iter().chain(arguments).collect())
    }

    /// What newer releases of Node.js 20 and 22 do by themselves and Lambda keeps them from, unless `NODE_OPTIONS` asks
    /// for it. <https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html>
    fn disabled_features<'a>(&self, interpreter: &'a Interpreter) -> impl Iterator<Item = &'a str> {
        let disabled: &[&str] = match self.version.configuration.runtime.as_str() {
            "nodejs20.x" => &["require-module"],
            "nodejs22.x" => &["require-module", "detect-module"],
            _ => &[],
        };
        let options = self.version.configuration.environment.iter().find(|(name, _)| *name == "NODE_OPTIONS");
        let options = options.map_or("", |(_, value)| value).to_owned();
        let asked_for = move |name: &str| options.contains(&format!("--experimental-{name}"));
        let known = interpreter.flags.iter().map(String::as_str);
        known.filter(|name| disabled.contains(name)).filter(move |name| !asked_for(name))
    }

    /// What Lambda sets, then what the Function's configuration sets; nothing of the server's own.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
    ///
    /// Without a jail Lambda's fixed folders are this machine's: `/var/task` is the package's folder, `/var/runtime` the
    /// bootstraps', and `TMPDIR` is added, because `/tmp` is not the process's own. With one, our bootstraps are told of
    /// their socket, and do not pass that on. The credentials are no credentials: an SDK that finds none goes looking
    /// for some, and hangs.
    fn environment(&self) -> BTreeMap<String, String> {
        let Self { engine, version, api, scratch, log_stream, .. } = self;
        let function = version.function.in_lambda(&engine.config.prefix);
        let task = self.task().display().to_string();
        let runtime_dir = self.runtime().display().to_string();
        let region = engine.config.region.as_str();
        let mut environment: BTreeMap<String, String> = [
            ("_HANDLER", version.configuration.entry_point.as_str()),
            ("AWS_REGION", region),
            ("AWS_DEFAULT_REGION", region),
            ("AWS_LAMBDA_FUNCTION_NAME", function.as_str()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream),
            ("AWS_ACCESS_KEY_ID", "LOCALLOCALLOCALLOCAL"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_SESSION_TOKEN", "local"),
            ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"),
            ("AWS_XRAY_DAEMON_ADDRESS", "169.254.79.129:2000"),
            ("_AWS_XRAY_DAEMON_ADDRESS", "169.254.79.129"),
            ("_AWS_XRAY_DAEMON_PORT", "2000"),
            ("LANG", "en_US.UTF-8"),
            ("LAMBDA_TASK_ROOT", task.as_str()),
            ("LAMBDA_RUNTIME_DIR", runtime_dir.as_str()),
            ("TZ", ":UTC"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        environment.extend([
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), version.configuration.memory_limit.to_string()),
            ("AWS_LAMBDA_LOG_GROUP_NAME".to_owned(), format!("/aws/lambda/{function}")),
            ("AWS_LAMBDA_RUNTIME_API".to_owned(), api.to_string()),
            ("LD_LIBRARY_PATH".to_owned(), format!("{runtime_dir}:{task}:{task}/lib:{LAYERS}/lib")),
            ("PATH".to_owned(), self.path()),
            ("PWD".to_owned(), task.clone()),
        ]);
        if engine.jail.is_err() {
            environment.insert("TMPDIR".to_owned(), scratch.display().to_string());
        }
        let socket = engine.jail.is_ok().then(|| (SOCKET_VARIABLE.to_owned(), jail::SOCKET.to_owned()));
        let execution = format!("AWS_Lambda_{}", version.configuration.runtime);
        match version.configuration.runtime.family() {
            RuntimeFamily::Node => {
                let major = version.configuration.runtime.as_str().trim_start_matches("nodejs").trim_end_matches(".x");
                let modules = format!(
                    "{LAYERS}/nodejs/node{major}/node_modules:{LAYERS}/nodejs/node_modules:{runtime_dir}/node_modules:{runtime_dir}:{task}"
                );
                environment.insert("NODE_PATH".to_owned(), modules);
                environment.insert("AWS_EXECUTION_ENV".to_owned(), execution);
                environment.extend(socket);
            }
            RuntimeFamily::Python => {
                environment.insert("PYTHONPATH".to_owned(), runtime_dir);
                environment.insert("AWS_EXECUTION_ENV".to_owned(), execution);
                environment.extend(socket);
            }
            // Lambda sets no AWS_EXECUTION_ENV for these.
            RuntimeFamily::Provided
            | RuntimeFamily::Java
            | RuntimeFamily::Dotnet
            | RuntimeFamily::Ruby
            | RuntimeFamily::Other => {}
        }
        let configured = version.configuration.environment.iter();
        environment.extend(configured.map(|(name, value)| (name.to_owned(), value.to_owned())));
        environment
    }

    /// Lambda's `PATH`, with the interpreter's folder where Lambda has `/var/lang/bin`.
    fn path(&self) -> String {
        let system = format!("/usr/local/bin:/usr/bin/:/bin:{LAYERS}/bin");
        let interpreter = match self.support {
            Support::Exact(interpreter) | Support::OtherVersion(interpreter) => interpreter.program.parent(),
            Support::Bootstrap | Support::Missing(_) => None,
        };
        match interpreter {
            Some(folder) => format!("{}:{system}", folder.display()),
            None => system,
        }
    }
}
