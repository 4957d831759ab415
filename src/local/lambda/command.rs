//! The command line and the environment of a child process. Everything that a Function's process is started with is
//! decided here, so this is also where the jail is added.

use std::{
    collections::BTreeMap,
    io::{self, PipeWriter},
    path::{Path, PathBuf},
};

use tasklane_model::Runtime;
use tokio::process::Command;

use super::{
    bootstraps::Bootstraps,
    isolation::{Launch, Limits},
    jail::{self, Cell, Entry, Jail, PackageView, View},
    layers::Opt,
    runtimes::{Interpreter, Language, Support},
    start::Start,
    variables::Variables,
    versions::BOOTSTRAP,
};

/// Names a program of the Function's package that starts the runtime.
const WRAPPER_VARIABLE: &str = "AWS_LAMBDA_EXEC_WRAPPER";

impl Start<'_> {
    /// The command to start, or an error that says what is missing. With a jail, the [`Entry`] tells later whether the
    /// Function's program was started.
    pub(super) fn launch(&self, output: PipeWriter) -> io::Result<(Launch, Option<Entry>)> {
        let (program, arguments) = match self.support {
            Support::Exact(interpreter) | Support::OtherVersion(interpreter) => {
                let (program, arguments) = self.interpreted(interpreter);
                self.wrapped(program, arguments)
            }
            Support::Bootstrap => (self.bootstrap(), Vec::new()),
            Support::Image => self.of_image(),
            Support::Missing(what) => return Err(io::Error::new(io::ErrorKind::Unsupported, what.clone())),
        };
        let (mut launch, entry) = match &self.site.jail {
            Ok(jail) => {
                let (launch, entry) = self.jailed(jail, &program, &arguments)?;
                (launch, Some(entry))
            }
            Err(_) => (self.unjailed(&program, &arguments)?, None),
        };
        launch.output = Some(output.into());
        Ok((launch, entry))
    }

    fn unjailed(&self, program: &Path, arguments: &[String]) -> io::Result<Launch> {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.environment()?).current_dir(self.version.folder());
        let user = nix::unistd::geteuid().as_raw();
        let limits = Limits { is_bound: !self.site.config.platform.is_portable(), ..Limits::default() };
        Ok(Launch { command, output: None, group: None, inherited: Vec::new(), limits, user })
    }

    fn jailed(&self, jail: &Jail, program: &Path, arguments: &[String]) -> io::Result<(Launch, Entry)> {
        let (mut files, hidden) = match self.support {
            Support::Exact(interpreter) | Support::OtherVersion(interpreter) => {
                (interpreter.files.clone(), interpreter.packages.as_slice())
            }
            Support::Bootstrap | Support::Image | Support::Missing(_) => (Vec::new(), &[][..]),
        };
        // Checked each time, because the SDK may have been installed meanwhile.
        files.extend(self.sdk().filter(|packages| packages.is_dir()));
        let view = match self.version.image() {
            Some(image) => View::Image { root: &image.root, folder: &image.folder },
            None => View::Package(PackageView {
                code: self.version.folder(),
                runtime: self.site.bootstraps.folder(),
                layers: self.version.opt.as_deref().map(Opt::path),
                files: &files,
                hidden,
            }),
        };
        let memory = u64::from(self.version.configuration.memory_limit.get()) * 1024 * 1024;
        let cell = Cell { view, folder: self.scratch, environment: &self.environment()?, memory };
        jail.launch(&cell, program, arguments)
    }

    /// The entry point of an image and its arguments.
    fn of_image(&self) -> (PathBuf, Vec<String>) {
        let command = self.version.image().map_or(&[][..], |image| &image.command);
        let (program, arguments) = command
            .split_first()
            .map_or((PathBuf::new(), &[][..]), |(program, arguments)| (PathBuf::from(program), arguments));
        (program, arguments.to_vec())
    }

    /// The folder of the AWS SDK for the Function's language, whether or not it is installed.
    fn sdk(&self) -> Option<PathBuf> {
        let language = match self.support {
            Support::Exact(interpreter) | Support::OtherVersion(interpreter) => interpreter.language.sdk()?,
            Support::Bootstrap | Support::Image | Support::Missing(_) => return None,
        };
        self.site.config.sdk.as_ref().map(|sdk| sdk.packages(language))
    }

    /// The folder of the Function's code, as the Function sees it.
    fn task(&self) -> &Path {
        if self.site.jail.is_ok() { Path::new(jail::TASK) } else { self.version.folder() }
    }

    /// The folder of the bootstraps, as the Function sees it.
    fn runtime(&self) -> &Path {
        if self.site.jail.is_ok() { Path::new(jail::RUNTIME) } else { self.site.bootstraps.folder() }
    }

    /// The folder of the Function's layers, as the Function sees it.
    fn layers(&self) -> &Path {
        match &self.version.opt {
            Some(opt) if self.site.jail.is_err() => opt.path(),
            _ => Path::new(jail::LAYERS),
        }
    }

    /// The program of a runtime that the package brings, or else one of its layers.
    fn bootstrap(&self) -> PathBuf {
        let of_layers = self.version.has_bootstrap_in_layers();
        (if of_layers { self.layers() } else { self.task() }).join(BOOTSTRAP)
    }

    fn interpreted(&self, interpreter: &Interpreter) -> (PathBuf, Vec<String>) {
        let bootstrap = |name: &str| self.runtime().join(name).display().to_string();
        let arguments = match interpreter.language {
            Language::Node => {
                // Lambda's own bootstrap divides the memory like this: a tenth for the two halves of the young generation.
                let memory = self.version.configuration.memory_limit.get();
                let young = memory / 10;
                let mut arguments = vec![
                    "--expose-gc".to_owned(),
                    format!("--max-semi-space-size={}", young / 2),
                    format!("--max-old-space-size={}", memory - young),
                ];
                arguments.extend(self.disabled_features(interpreter).map(|name| format!("--no-experimental-{name}")));
                arguments.push(bootstrap(Bootstraps::NODE));
                arguments
            }
            // Unbuffered, so that all output is in the pipe when the run ends; and without writing bytecode next to the
            // code. Without the machine's own packages, which Lambda's Python does not have.
            Language::Python => {
                vec!["-u".to_owned(), "-B".to_owned(), "-S".to_owned(), bootstrap(Bootstraps::PYTHON)]
            }
            Language::Java => {
                // Lambda's own flags, for a fast start and for the heap.
                let heap = u64::from(self.version.configuration.memory_limit.get()) * 1024 * 85 / 100;
                let mut arguments = vec![
                    "-XX:TieredStopAtLevel=1".to_owned(),
                    "-XX:+UseSerialGC".to_owned(),
                    "-XX:-UsePerfData".to_owned(),
                    "-Xshare:auto".to_owned(),
                    format!("-XX:MaxHeapSize={heap}k"),
                    // As in Lambda, whatever this machine's locale is.
                    "-Dfile.encoding=UTF-8".to_owned(),
                ];
                if self.version.opt.is_some() {
                    arguments.push(format!("-Dtasklane.layers={}/java/lib", self.layers().display()));
                }
                arguments.extend(["-cp".to_owned(), bootstrap(Bootstraps::JAVA), Bootstraps::JAVA_MAIN.to_owned()]);
                arguments
            }
            // Texts are UTF-8, as on Lambda, even if this machine lacks Lambda's locale.
            Language::Ruby => vec!["-EUTF-8".to_owned(), bootstrap(Bootstraps::RUBY)],
        };
        (interpreter.program.clone(), arguments)
    }

    /// If `AWS_LAMBDA_EXEC_WRAPPER` is set, lets the program that it names start the runtime, as Lambda's own runtimes
    /// do. <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper>
    fn wrapped(&self, program: PathBuf, arguments: Vec<String>) -> (PathBuf, Vec<String>) {
        /// The messages and exit codes are Lambda's.
        const START: &str = r#"
            if [ ! -f "$0" ]; then echo "$0: does not exist"; exit 127; fi
            if [ ! -x "$0" ]; then echo "$0: is not an executable"; exit 126; fi
            exec "$0" "$@""#;
        let configured = self.version.configuration.environment.iter().find(|(name, _)| *name == WRAPPER_VARIABLE);
        let Some(wrapper) = configured.map(|(_, value)| value).filter(|value| !value.is_empty()) else {
            return (program, arguments);
        };
        // Without a jail the package is not at `/var/task`.
        let wrapper = match Path::new(wrapper).strip_prefix(jail::TASK) {
            Ok(file) => self.task().join(file),
            Err(_) => match Path::new(wrapper).strip_prefix(jail::LAYERS) {
                Ok(file) => self.layers().join(file),
                Err(_) => PathBuf::from(wrapper),
            },
        };
        let start = ["-c".to_owned(), START.to_owned(), wrapper.display().to_string(), program.display().to_string()];
        (PathBuf::from("/bin/sh"), start.into_iter().chain(arguments).collect())
    }

    /// Features that newer releases of Node.js 20 and 22 enable by default, but Lambda disables unless `NODE_OPTIONS`
    /// enables them. <https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html>
    fn disabled_features<'a>(&self, interpreter: &'a Interpreter) -> impl Iterator<Item = &'a str> {
        let disabled: &[&str] = match self.version.configuration.runtime().map_or("", Runtime::as_str) {
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

    fn environment(&self) -> io::Result<BTreeMap<String, String>> {
        let secrets = self.site.secrets_of(&self.version.configuration).map_err(io::Error::other)?;
        let (task, runtime, layers) = (self.task(), self.runtime(), self.layers());
        Ok(Variables { start: self, task, runtime, layers, secrets }.all())
    }
}
