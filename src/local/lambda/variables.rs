//! The environment variables of a Function's process: Lambda's, then those of the Function's configuration, and none of
//! the server's own. <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
//!
//! Without a jail, variables that name Lambda's fixed folders name folders of this machine: the package's for
//! `/var/task`, the bootstraps' for `/var/runtime`. `TMPDIR` is added, because `/tmp` is not private to the process. In
//! a jail, our bootstraps are told the path of their socket, and do not pass it on.
//!
//! An image has variables of its own, which Lambda's override where they describe the run or the credentials.

use std::{collections::BTreeMap, path::Path};

use tasklane_model::Secret;

use super::{
    image::Image,
    jail,
    runtimes::{Language, Support},
    start::Start,
};

/// The variable that tells our bootstrap for Python the folder of the layers. It is not passed on.
const LAYERS: &str = "_TASKLANE_LAYERS";

/// The variable that tells our bootstraps the path of their socket in the jail.
const SOCKET: &str = "_TASKLANE_RUNTIME_SOCKET";

/// The variables that are the same for all processes. The credentials are fake: an SDK without credentials would search
/// for some, and hang.
const SAME_FOR_ALL: [(&str, &str); 11] = [
    ("AWS_ACCESS_KEY_ID", "LOCALLOCALLOCALLOCAL"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_SECRET_ACCESS_KEY", "local"),
    ("AWS_SESSION_TOKEN", "local"),
    ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"),
    ("AWS_XRAY_DAEMON_ADDRESS", "169.254.79.129:2000"),
    ("LANG", "en_US.UTF-8"),
    ("TZ", ":UTC"),
    ("_AWS_XRAY_DAEMON_ADDRESS", "169.254.79.129"),
    ("_AWS_XRAY_DAEMON_PORT", "2000"),
];

fn same_for_all() -> impl Iterator<Item = (&'static str, String)> {
    SAME_FOR_ALL.into_iter().map(|(name, value)| (name, value.to_owned()))
}

fn named(variables: impl Iterator<Item = (&'static str, String)>) -> Vec<(String, String)> {
    variables.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The inputs that the variables of a process depend on.
pub(super) struct Variables<'a> {
    pub(super) start: &'a Start<'a>,
    /// The folder of the code, as the process sees it.
    pub(super) task: &'a Path,
    /// The folder of the bootstraps, as the process sees it.
    pub(super) runtime: &'a Path,
    /// The folder of the layers, as the process sees it.
    pub(super) layers: &'a Path,
    /// The values of its secrets, by the name of the variable.
    pub(super) secrets: Vec<(String, Secret)>,
}

impl Variables<'_> {
    /// All variables. The Function's configuration overrides Lambda's.
    pub(super) fn all(self) -> BTreeMap<String, String> {
        let own = match self.start.version.image() {
            None => named(same_for_all().chain(self.of_process()).chain(self.of_package()).chain(self.of_runtime())),
            Some(image) => self.beside_image(image),
        };
        let configured = self
            .start
            .version
            .configuration
            .environment
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let secrets = self.secrets.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        own.into_iter().chain(configured).chain(secrets).collect()
    }

    /// Lambda's defaults, over which the image has its own variables, and over these what is Lambda's alone.
    fn beside_image(&self, image: &Image) -> Vec<(String, String)> {
        let folder = image.folder.display().to_string();
        let defaults = [("PATH", self.path()), ("PWD", folder)];
        let (lambda, same): (Vec<_>, Vec<_>) =
            same_for_all().partition(|(name, _)| name.trim_start_matches('_').starts_with("AWS_"));
        let mut all = named(defaults.into_iter().chain(same));
        all.extend(image.environment.iter().cloned());
        all.extend(named(lambda.into_iter().chain(self.of_process())));
        all
    }

    fn of_process(&self) -> Vec<(&'static str, String)> {
        let Start { site, version, api, log_stream, .. } = *self.start;
        let function = version.function.in_lambda(&site.config.prefix);
        vec![
            ("AWS_DEFAULT_REGION", site.config.region.clone()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", version.configuration.memory_limit.to_string()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{function}")),
            ("AWS_LAMBDA_FUNCTION_NAME", function),
            ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream.to_owned()),
            ("AWS_LAMBDA_RUNTIME_API", api.to_string()),
            ("AWS_REGION", site.config.region.clone()),
        ]
    }

    fn of_package(&self) -> Vec<(&'static str, String)> {
        let Self { start, task, runtime, layers, secrets: _ } = self;
        let Start { site, version, scratch, .. } = **start;
        let (task, runtime, layers) = (task.display(), runtime.display(), layers.display());
        let mut variables = vec![
            ("LAMBDA_RUNTIME_DIR", runtime.to_string()),
            ("LAMBDA_TASK_ROOT", task.to_string()),
            ("LD_LIBRARY_PATH", format!("{runtime}:{task}:{task}/lib:{layers}/lib")),
            ("PATH", self.path()),
            ("PWD", task.to_string()),
        ];
        variables.extend(version.configuration.entry_point().map(|handler| ("_HANDLER", handler.as_str().to_owned())));
        if site.jail.is_err() {
            variables.push(("TMPDIR", scratch.display().to_string()));
        }
        variables
    }

    fn of_runtime(&self) -> Vec<(&'static str, String)> {
        let Self { start: Start { site, version, .. }, task, runtime, layers, secrets: _ } = self;
        let (task, runtime, layers) = (task.display(), runtime.display(), layers.display());
        // Lambda sets nothing for `provided.*`, not even AWS_EXECUTION_ENV.
        let Some(identifier) = version.configuration.runtime() else { return Vec::new() };
        let Some(language) = Language::of(identifier) else { return Vec::new() };
        let release = language.wanted(identifier);
        let modules = match language {
            Language::Node => {
                let modules = format!("{layers}/nodejs/node{release}/node_modules:{layers}/nodejs/node_modules");
                vec![("NODE_PATH", format!("{modules}:{runtime}/node_modules:{runtime}:{task}"))]
            }
            Language::Python => vec![("PYTHONPATH", runtime.to_string())],
            Language::Java => Vec::new(),
            Language::Ruby => {
                // Bundler and RubyGems name their folders after the version without its patch.
                let gems = format!("{task}/vendor/bundle/ruby/{release}.0:{layers}/ruby/gems/{release}.0");
                vec![("GEM_PATH", gems), ("RUBYLIB", format!("{layers}/ruby/lib"))]
            }
        };
        let execution = ("AWS_EXECUTION_ENV", format!("AWS_Lambda_{identifier}"));
        // Java has no such sockets before version 16, and cannot hide the variable: it uses loopback.
        let socket = (site.jail.is_ok() && language != Language::Java).then(|| (SOCKET, jail::SOCKET.to_owned()));
        let of_python = language == Language::Python && version.opt.is_some();
        let layers = of_python.then(|| (LAYERS, layers.to_string()));
        std::iter::once(execution).chain(modules).chain(socket).chain(layers).collect()
    }

    /// Lambda's `PATH`, with the interpreter's folder in place of `/var/lang/bin`.
    fn path(&self) -> String {
        let system = format!("/usr/local/bin:/usr/bin/:/bin:{}/bin", self.layers.display());
        let interpreter = match self.start.support {
            Support::Exact(interpreter) | Support::OtherVersion(interpreter) => interpreter.program.parent(),
            Support::Bootstrap | Support::Image | Support::Missing(_) => None,
        };
        match interpreter {
            Some(folder) => format!("{}:{system}", folder.display()),
            None => system,
        }
    }
}
