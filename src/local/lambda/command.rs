//! The command line and the environment of a child process: the one place that decides what a Function's process is
//! started with, and so the place where a jail goes around it.

use std::{
    collections::BTreeMap,
    io::{self, PipeWriter},
    path::{Path, PathBuf},
};

use tasklane_model::RuntimeFamily;
use tokio::process::Command;

use super::{
    bootstraps::Bootstraps,
    isolation::{Launch, Limits},
    jail::{self, Cell, Entry, Jail},
    runtimes::{Interpreter, Support},
    sdk::SdkLanguage,
    start::Start,
    variables::Variables,
};

/// Names a program of the Function's own that starts the runtime.
const WRAPPER_VARIABLE: &str = "AWS_LAMBDA_EXEC_WRAPPER";

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
        let (mut launch, entry) = match &self.site.jail {
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
            runtime: self.site.bootstraps.folder(),
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
        self.site.config.sdk.as_ref().map(|sdk| sdk.packages(language))
    }

    /// The folder of the Function's code, as its process sees it.
    fn task(&self) -> &Path {
        if self.site.jail.is_ok() { Path::new(jail::TASK) } else { &self.version.code_path }
    }

    /// The folder of the bootstraps, as the process sees it.
    fn runtime(&self) -> &Path {
        if self.site.jail.is_ok() { Path::new(jail::RUNTIME) } else { self.site.bootstraps.folder() }
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

    /// Every environment variable of the process.
    fn environment(&self) -> BTreeMap<String, String> {
        Variables { start: self, task: self.task(), runtime: self.runtime() }.all()
    }
}
