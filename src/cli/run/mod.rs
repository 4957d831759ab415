//! `tasklane run`: runs a Function once on this machine.

mod hint;
mod log;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tasklane_lambda_local::{Code, Inspection, LocalLambda, LocalLambdaConfig, LogSink as _};
use tasklane_local::logs::{DEFAULT_RETENTION, LiveLog, LocalLogs};
use tasklane_model::{Configuration, Json, ObjectId, Task, TaskStatus, TimeLimit};
use tasklane_ports::{Clock, FunctionSpec, InvokeRequest, Outcome, SystemClock};
use tasklane_task_config::{ConfiguredProgram, FILE_NAME, Listing, TaskConfig, folder_of};

use self::log::ShownLog;
use super::{
    Outcome as CommandOutcome, Verdict, env_file::EnvFile, input::JsonSource, output, stand_ins::StandIns,
    sync::report::left_out_line,
};

/// Run a Function once on this machine, without a service.
///
/// Takes a folder with a task-config.json, or such a file. Prints the result as JSON on stdout, and the Function's logs on
/// stderr.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the Function returned; 1 it failed (its error is on stderr); 2 it could not be run.

Example:
  tasklane run examples/hello-js --data '{\"name\":\"Ada\"}'")]
pub struct Args {
    /// The Function's folder, or its task-config.json
    pub path: PathBuf,

    /// Also take code from outside the folder, if the "path" in the task-config.json leads there
    #[arg(long)]
    pub allow_outside: bool,

    /// Input for the Function, as event.data: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    pub data: Option<JsonSource>,

    #[command(flatten)]
    pub env_file: EnvFile,

    #[command(flatten)]
    pub stand_ins: StandIns,

    /// Wait for a debugger of Node.js on this port of this machine, and let the run take 5 minutes
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "9229")]
    pub inspect: Option<u16>,

    /// The whole event, instead of a Task: JSON, @FILE, or - for stdin; if given more than once, the Function is called with each in turn
    #[arg(long = "event", value_name = "JSON", conflicts_with = "data")]
    pub events: Vec<JsonSource>,
}

/// Runs the Function.
pub(super) async fn run(args: Args) -> CommandOutcome {
    let confines = (!args.allow_outside).then(|| folder_of(&args.path));
    let variables = args.env_file.read()?;
    let config = TaskConfig::load(&config_file(&args.path), confines, &|name| variables.get(name))?;
    if config.execution_credentials.is_some() {
        output::note("executionCredentials: a run has no service to call; `tasklane dev` has one");
    }
    let code = match &config.program {
        ConfiguredProgram::Zip { code_dir, .. } => {
            let listing = Listing::of(code_dir)?;
            left_out_line(listing.left_out()).iter().for_each(|line| output::note(line));
            Code::Zip(listing.pack(&|| false)?.zip)
        }
        ConfiguredProgram::Image { .. } | ConfiguredProgram::ImageFile { .. } => Code::Image,
    };
    let events = match (&args.data, args.events.as_slice()) {
        (data, []) => vec![task_event(&config, data.as_ref().map(JsonSource::read).transpose()?)?],
        (_, events) => events.iter().map(JsonSource::read).collect::<anyhow::Result<_>>()?,
    };

    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let log = Arc::new(ShownLog::default());
    let shown = Arc::clone(&log);
    let show: LiveLog = Arc::new(move |batch| batch.iter().for_each(|logged| shown.show(&logged.message)));
    let logs = LocalLogs::open(folder.path(), DEFAULT_RETENTION, Some(show))?;
    let mut lambda_config = LocalLambdaConfig::new(folder.path(), Arc::new(logs.writer().clone()));
    lambda_config.notice = Arc::new(output::note);
    if args.inspect.is_some() {
        // The debugger is waited for before the run begins.
        lambda_config.init_limit = TimeLimit::MAX.as_duration();
    }
    args.stand_ins.apply_to(&mut lambda_config)?.of(&config.program);
    let spec = spec_of(&config);
    if let Some(port) = args.inspect {
        let inspection = Inspection { port, waits: true };
        inspection.of(&spec.configuration).context("--inspect")?;
        lambda_config.inspected.insert(spec.name.clone(), inspection);
        output::note(&format!(
            "waiting for a debugger on 127.0.0.1:{port}: open chrome://inspect, or attach your editor"
        ));
    }
    let lambda = LocalLambda::new(lambda_config)?;
    let deployment = lambda.deploy(&spec, Some(code), None).await?;

    let mut verdict = Verdict::Yes;
    for event in events {
        let request = InvokeRequest {
            function: &spec.name,
            deployment: &deployment,
            payload: event.as_str().to_owned().into(),
            correlation: ObjectId::new(SystemClock.now(), 0),
            time_limit: spec.configuration.time_limit,
        };
        let invocation = tokio::select! {
            invocation = lambda.invoke(request) => invocation,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        };
        // The logs come before the result, even if both go to the same terminal.
        logs.writer().flush().await;
        match invocation.inspect_err(|_| log.end(None))?.outcome {
            Outcome::Returned(json) => {
                log.end(None);
                output::json(&String::from_utf8_lossy(&json))?;
            }
            Outcome::Failed(error) => {
                log.end(Some(&error));
                output::note(&log::failure(&error));
                if let ConfiguredProgram::Zip { code_dir, .. } = &config.program
                    && let Some(hint) = hint::of(&error, code_dir)
                {
                    output::note(&format!("hint: {hint}"));
                }
                verdict = Verdict::No;
            }
        }
    }
    lambda.shutdown(Duration::ZERO).await;
    Ok(verdict)
}

/// The path of the configuration: the path itself, or the file in that folder.
fn config_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() }
}

/// The event of a queued Task, from which the code reads `data`.
fn task_event(config: &TaskConfig, data: Option<Json>) -> anyhow::Result<Json> {
    let now = SystemClock.now();
    let task = Task {
        status: TaskStatus::InProgress,
        data,
        priority: config.options.default_priority.unwrap_or_default(),
        ..Task::new(ObjectId::new(now, 0), config.name.clone(), now)
    };
    Ok(Json::parse(serde_json::to_string(&task)?)?)
}

fn spec_of(config: &TaskConfig) -> FunctionSpec {
    let mut configuration = Configuration::of(config.program.program());
    config.options.configure(&mut configuration);
    FunctionSpec { name: config.name.clone(), configuration }
}
