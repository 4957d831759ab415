//! `tasklane sync`: deploys Functions from their folders to the service.

pub(crate) mod execution;
mod label;
pub(crate) mod plan;
mod progress;
pub(crate) mod report;
pub(crate) mod schedules;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use tasklane_client::Client;
use tasklane_model::{PermissionMode, VersionLabel};
use tasklane_task_config::{ConfigError, ConfiguredProgram, Draft, FILE_NAME, Listing, PackError, TaskConfig};

use self::{plan::Plan, progress::Progress, report::Report, schedules::SchedulePlan};
use super::{Outcome, Verdict, env_file::EnvFile, session::Session};

/// Create or update Functions from their folders.
///
/// Reads task-config.json files, packs each code folder, and writes only what differs from the service. A property that a
/// file does not name keeps its value, and is named; --exact resets it. Flags override the file; without a path they must
/// describe the whole Function. If one Function cannot be synced, the others still are.
///
/// For a file with executionCredentials it also makes the role, the user and the credential that the Function calls the
/// service with, and sets API_HOST and the four API_OAUTH variables. That takes CREATE_ROLE, ADD_ROLE_PERMISSION,
/// REMOVE_ROLE_PERMISSION, ADD_ROLE_TO_USER, and the permissions that the Function gets.
///
/// Packages leave out .env files, private keys and what .tasklaneignore in the code folder names, in the syntax of
/// .gitignore.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all is in sync; 1 with --plan, something differs; 2 an error with any of them.

Examples:
  One Function from each folder in examples/:
    tasklane sync examples
  What would change:
    tasklane sync examples/hello-js --plan
  Without a task-config.json:
    tasklane sync --name hello-js --code dist --entryPoint index.handler --runtime nodejs22.x
  A container image:
    tasklane sync --name invoices --image 123456789012.dkr.ecr.eu-west-1.amazonaws.com/invoices:4f2c1ab")]
pub(super) struct Args {
    /// A task-config.json, its folder, a folder with such folders in it, or one with a repo-config.json that lists such folders
    #[arg(value_name = "PATH", conflicts_with = "path_flag")]
    path: Option<PathBuf>,

    /// The same as PATH
    #[arg(long = "path", value_name = "PATH")]
    path_flag: Option<PathBuf>,

    /// Also take code from outside PATH, if the "path" in a task-config.json leads there
    #[arg(long)]
    allow_outside: bool,

    /// Show field by field what would change, without changing anything
    #[arg(long)]
    plan: bool,

    /// Upload the code even if unchanged; repairs a Function that `tasklane doctor` reports as broken
    #[arg(long, conflicts_with = "plan")]
    force: bool,

    /// What the new version is called [default: the git commit of the folder, with -dirty if something there is not
    /// committed]
    #[arg(long, value_name = "TEXT", value_parser = label::parse, conflicts_with = "plan")]
    label: Option<VersionLabel>,

    /// Make a version without switching to it: `tasklane canary` tries it, `tasklane rollback` switches to it
    #[arg(long, conflicts_with = "plan")]
    publish_only: bool,

    /// Reset every property that a file does not name to its default
    #[arg(long)]
    exact: bool,

    /// Delete the Functions of the service that no file in the folder PATH describes, and the Schedules that sync made for them
    #[arg(long, conflicts_with_all = ["name", "code"])]
    prune: bool,

    /// The Function's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The folder that holds the code
    #[arg(long, value_name = "DIR")]
    code: Option<PathBuf>,

    /// The handler in the code, e.g. index.handler
    #[arg(long = "entryPoint", alias = "entry-point", value_name = "HANDLER")]
    entry_point: Option<String>,

    /// The runtime, e.g. nodejs22.x, python3.13, provided.al2023
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,

    /// A container image in ECR, in place of code, entry point and runtime
    #[arg(long, value_name = "URI", conflicts_with_all = ["code", "entry_point", "runtime"])]
    image: Option<String>,

    /// A description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// How long one run may take, 3 to 300 seconds
    #[arg(long = "timeLimit", alias = "time-limit", value_name = "SECONDS")]
    time_limit: Option<i64>,

    /// How much memory one run may use, 128 to 10240 MB
    #[arg(long = "memoryLimit", alias = "memory-limit", value_name = "MB")]
    memory_limit: Option<i64>,

    /// Who may execute it
    #[arg(long = "executionPermission", alias = "execution-permission", value_name = "MODE",
        value_parser = PossibleValuesParser::new(PermissionMode::NAMES.map(|(name, _)| name)))]
    execution_permission: Option<String>,

    /// The default priority of its Tasks
    #[arg(long = "defaultPriority", alias = "default-priority", value_name = "N", allow_negative_numbers = true)]
    default_priority: Option<i64>,

    /// An environment variable, which is added to those of the file or overrides one; may be given more than once
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,

    #[command(flatten)]
    env_file: EnvFile,
}

pub(super) async fn run(session: Session, args: Args) -> Outcome {
    let from_file = args.env_file.read()?;
    let lookup = |name: &str| from_file.get(name);
    let tell = |report: &Report| if session.json { Ok(()) } else { report.tell() };
    let reports = sync_all(&session.client, &args, &lookup, tell).await?;
    if session.json {
        session.show_json(&reports)?;
    }
    let failed = reports.iter().filter(|report| report.is_failure()).count();
    if failed > 0 {
        bail!("{failed} of {} could not be synced", reports.len());
    }
    let differs = args.plan && reports.iter().any(Report::differs);
    Ok(if differs { Verdict::No } else { Verdict::Yes })
}

/// Syncs one Function after the other, and reports each result as soon as it is known.
async fn sync_all(
    client: &Client,
    args: &Args,
    lookup: &dyn Fn(&str) -> Option<String>,
    tell: impl Fn(&Report) -> io::Result<()>,
) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    let mut names = BTreeMap::new();
    for (place, draft) in args.drafts(lookup)? {
        let report = match draft.and_then(Draft::finish) {
            Ok(config) => match names.get(&config.name) {
                Some(first) => {
                    Report::unreadable(&place, &anyhow::anyhow!("{first} has the same name '{}'", config.name))
                }
                None => {
                    names.insert(config.name.clone(), place);
                    sync(client, config, args).await
                }
            },
            Err(e) => Report::unreadable(&place, &e.into()),
        };
        tell(&report)?;
        reports.push(report);
    }
    if args.prune {
        if reports.iter().any(Report::is_failure) {
            bail!("nothing was deleted, because a file that could not be read may describe any Function");
        }
        for function in client.functions().await?.iter().filter(|function| !names.contains_key(&function.value.name)) {
            let name = &function.value.name;
            if !args.plan {
                let existing = schedules::existing(client, name).await?;
                SchedulePlan::new(&[], &existing).apply(client, name).await?;
                client.delete_function(name).await?;
            }
            let report = Report::deleted(name.as_str(), args.plan);
            tell(&report)?;
            reports.push(report);
        }
    }
    Ok(reports)
}

impl Args {
    /// The path, in either form.
    fn path(&self) -> Option<&Path> {
        self.path.as_deref().or(self.path_flag.as_deref())
    }

    /// Checks that the flags are complete.
    ///
    /// # Errors
    /// When there is no path and other flags are missing, too, or when --prune would delete the Functions beside one folder.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let missing = self.missing_flags();
        if self.path().is_none() && !missing.is_empty() {
            bail!("without a path, these flags are required: {}", missing.join(", "));
        }
        if self.prune && self.path().is_none_or(|path| path.is_file() || path.join(FILE_NAME).is_file()) {
            bail!("--prune needs the folder that has the folders of all Functions: everything else is deleted");
        }
        Ok(())
    }

    /// The configurations from the files and the flags, one draft per Function, with its source.
    fn drafts(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Vec<(String, Result<Draft, ConfigError>)>> {
        self.check()?;
        let Some(path) = self.path() else {
            let mut draft = Draft::empty();
            self.override_in(&mut draft);
            return Ok(vec![("the command line".to_owned(), Ok(draft))]);
        };
        let files = tasklane_task_config::find_for_sync(path)?;
        if files.len() > 1 && (self.name.is_some() || self.code.is_some()) {
            bail!("--name and --code are for one Function, but {} has {}", path.display(), files.len());
        }
        let draft = |file: PathBuf| {
            let draft = Draft::read(&file, lookup).map(|mut draft| {
                if !self.allow_outside {
                    draft.confine_to(tasklane_task_config::folder_of(path));
                }
                self.override_in(&mut draft);
                draft
            });
            (file.display().to_string(), draft)
        };
        Ok(files.into_iter().map(draft).collect())
    }

    fn missing_flags(&self) -> Vec<&'static str> {
        let is_zip = self.image.is_none();
        let flags = [
            ("--name", self.name.is_none()),
            ("--code", is_zip && self.code.is_none()),
            ("--entryPoint", is_zip && self.entry_point.is_none()),
            ("--runtime", is_zip && self.runtime.is_none()),
        ];
        flags.into_iter().filter(|(_, missing)| *missing).map(|(flag, _)| flag).collect()
    }

    fn override_in(&self, draft: &mut Draft) {
        let texts = [
            ("name", &self.name),
            ("entryPoint", &self.entry_point),
            ("runtime", &self.runtime),
            ("image", &self.image),
            ("description", &self.description),
            ("executionPermission", &self.execution_permission),
        ];
        for (property, value) in texts {
            if let Some(value) = value {
                draft.set(property, value.as_str());
            }
        }
        let numbers = [
            ("timeLimit", self.time_limit),
            ("memoryLimit", self.memory_limit),
            ("defaultPriority", self.default_priority),
        ];
        for (property, value) in numbers {
            if let Some(value) = value {
                draft.set(property, value);
            }
        }
        if let Some(code) = &self.code {
            draft.set_code_dir(code);
        }
        for (name, value) in &self.variables {
            draft.set_variable(name, value);
        }
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Syncs one Function, or only determines what would change.
async fn sync(client: &Client, config: TaskConfig, args: &Args) -> Report {
    let name = config.name.clone();
    match try_sync(client, config, args).await {
        Ok(report) => report,
        Err(e) => Report::failed(name.as_str(), &e),
    }
}

/// The service's URL as the official SDK, which puts `api.` before an address, finds it from a Function.
fn host_of(client: &Client) -> String {
    client.base().to_string().replacen("//127.0.0.1", "//localhost", 1)
}

async fn try_sync(client: &Client, config: TaskConfig, args: &Args) -> anyhow::Result<Report> {
    let progress = Progress::start(&config.name);
    let (left_out, package) = match &config.program {
        ConfiguredProgram::Image { .. } => (Vec::new(), None),
        ConfiguredProgram::ImageFile { place, .. } => bail!(
            "'image' leads to {place}, which is on this machine only: push the image to ECR, write its URI as 'image', and run it \
             here with `tasklane dev --image URI={place}`",
            place = place.display()
        ),
        ConfiguredProgram::Zip { code_dir, .. } => {
            progress.step("packing");
            let dir = code_dir.clone();
            let packed = tokio::task::spawn_blocking(move || {
                let listing = Listing::of(&dir)?;
                Ok::<_, PackError>((listing.left_out().to_vec(), listing.pack(&|| false)?))
            });
            let (left_out, package) = packed.await.context("packing was interrupted")??;
            (left_out, Some(package))
        }
    };
    let code_sha256 = package.as_ref().map(|package| package.code_sha256);
    progress.step("comparing");
    let current = client.find_function(&config.name).await?;
    let mut config = if args.exact && current.is_some() { config.exact() } else { config };
    let current = current.as_ref().map(|function| &function.value);
    let (mut changes, mut unknown) = (Vec::new(), None);
    if let Some(wanted) = &config.execution_credentials {
        let body = execution::body(wanted, current, args.plan);
        let answer = client.set_execution_credentials(&config.name, &body).await?.value;
        (changes, unknown) = (execution::changes(&answer), execution::unknown_line(&wanted.permissions));
        config = execution::with_variables(config, current, &host_of(client), &answer)?;
    }
    let mut plan = Plan::new(&config, code_sha256, current, args.force).with_changes(changes);
    if let Some(wanted) = &config.schedules {
        let existing = schedules::existing(client, &config.name).await?;
        plan = plan.with_schedules(SchedulePlan::new(wanted, &existing));
    }
    let report = Report::of(config.name.as_str(), &plan, left_out, args.plan).remarking(unknown);
    if !args.plan {
        let label = match &args.label {
            Some(label) => Some(label.clone()),
            None if plan.writes_function => label::of_commit(config.program.place()).await,
            None => None,
        };
        let plan = plan.with_version(label, args.publish_only);
        let publishes = plan.publishes();
        progress.step(&plan.describe_upload(package.as_ref()));
        plan.apply(client, &config.name, package.as_ref()).await?;
        if publishes {
            let versions = client.versions(&config.name).await?;
            let newest = versions.iter().map(|version| version.value.number).max();
            return Ok(newest.into_iter().fold(report, Report::published));
        }
    }
    Ok(report)
}
