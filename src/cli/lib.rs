//! The `tasklane` command.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 on success, 1 when the command worked but the result is
//! negative (`sync --plan` found differences, the Function failed), 2 for an error. Each subcommand has a file of its own, with its
//! arguments and what it does.

// A command of people reads their environment and their clock.
#![allow(clippy::disallowed_methods)]

use std::{num::NonZero, process::ExitCode};

use clap::{Parser, Subcommand};

mod admin;
mod api_requests;
mod bench;
mod browser;
mod bulks;
pub mod callers;
mod completions;
mod connect;
mod console;
mod credentials;
pub mod debounce;
mod deploy;
mod dev;
mod doctor;
mod env_file;
mod execute;
mod exit;
mod failures;
mod flow;
mod follow;
mod functions;
mod habits;
mod init;
pub mod input;
mod issued;
mod logs;
mod man_pages;
pub mod output;
pub mod run;
mod runtimes;
mod schedule_arg;
mod schedule_fields;
mod schedules;
mod session;
mod signals;
mod stand_ins;
mod sync;
mod table;
mod task_arg;
mod task_batch;
mod task_bulk;
mod task_history;
mod task_outcome;
mod tasks;
mod terminal;
mod types;
mod versions;
mod whoami;

pub use exit::{Outcome, Verdict};

use self::session::Remote;

const AFTER_HELP: &str = "\
Exit codes: 0 success; 1 the command worked, but the result is negative (`sync --plan` found
differences, the Function failed); 2 an error.

Examples:
  Run a Function once on this machine, without a service:
    tasklane run examples/hello-js --data '{\"name\":\"Ada\"}'
  Run the whole service on this machine, with these Functions:
    tasklane dev examples
  Then, in another terminal:
    tasklane execute hello-js --data '{\"name\":\"Ada\"}'
    tasklane tasks create hello-js --start +10s";

/// A self-hosted task service: run Functions, queue Tasks, call Functions over HTTP.
#[derive(Debug, Parser)]
#[command(name = "tasklane", version, after_help = AFTER_HELP, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Dev(dev::Args),
    Console(Remote<console::Args>),
    Sync(Box<Remote<sync::Args>>),
    List(Remote<functions::ListArgs>),
    Get(Remote<functions::GetArgs>),
    Delete(Remote<functions::DeleteArgs>),
    Enable(Remote<functions::EnableArgs>),
    Disable(Remote<functions::DisableArgs>),
    Versions(Remote<versions::VersionsArgs>),
    Diff(Remote<versions::DiffArgs>),
    Rollback(Remote<versions::RollbackArgs>),
    Canary(Remote<versions::CanaryArgs>),
    Execute(Remote<execute::Args>),
    Bench(Remote<bench::Args>),
    #[command(subcommand)]
    Runtimes(runtimes::Command),
    #[command(subcommand)]
    Tasks(tasks::Command),
    Logs(Remote<logs::of_functions::Args>),
    #[command(subcommand)]
    Bulk(bulks::Command),
    Failures(Remote<failures::Args>),
    #[command(subcommand)]
    Flow(flow::Command),
    #[command(subcommand)]
    Schedules(schedules::Command),
    #[command(subcommand)]
    ApiRequests(api_requests::Command),
    #[command(subcommand)]
    Credentials(credentials::Command),
    #[command(subcommand)]
    Admin(admin::Command),
    Init(init::Args),
    Types(types::Args),
    Whoami(Remote<whoami::Args>),
    Deploy(deploy::Args),
    Doctor(doctor::Args),
    /// Print the JSON Schema of task-config.json, for editors.
    #[command(after_help = "Example:\n  tasklane schema > task-config.schema.json")]
    Schema,
    /// Print the version.
    #[command(after_help = "Example:\n  tasklane version")]
    Version,
    Completions(completions::Args),
    #[command(hide = true)]
    ManPages(man_pages::Args),
}

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    completions::answer_a_shell();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return exit::usage(&habits::with_tip(e, &words())),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        // Half of the cores; the others are for the Functions' processes and the database's thread. With more threads, each
        // call would move between them, which takes longer than its actual work.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        runtime.worker_threads(cores.div_ceil(2));
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return exit::code(Err(anyhow::Error::new(e).context("cannot start the asynchronous runtime"))),
    };
    let code = exit::code(runtime.block_on(cli.command.run()));
    // Blocking work that nobody waits for any more, such as packing, must not delay the end.
    runtime.shutdown_background();
    code
}

/// The words of the command line.
fn words() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

fn print(text: &str) -> Outcome {
    output::data(text)?;
    Ok(Verdict::Yes)
}

impl Command {
    async fn run(self) -> Outcome {
        match self {
            Self::Run(args) => run::run(args).await,
            Self::Dev(args) => dev::run(args).await,
            Self::Console(remote) => remote.run(console::run).await,
            Self::Sync(remote) => remote.run_checked(sync::Args::check, sync::run).await,
            Self::List(remote) => remote.run(functions::list).await,
            Self::Get(remote) => remote.run(functions::get).await,
            Self::Delete(remote) => remote.run(functions::delete).await,
            Self::Enable(remote) => remote.run(functions::enable).await,
            Self::Disable(remote) => remote.run(functions::disable).await,
            Self::Versions(remote) => remote.run(versions::versions).await,
            Self::Diff(remote) => remote.run(versions::diff).await,
            Self::Rollback(remote) => remote.run(versions::roll_back).await,
            Self::Canary(remote) => remote.run(versions::canary).await,
            Self::Execute(remote) => remote.run(execute::run).await,
            Self::Bench(remote) => remote.run(bench::run).await,
            Self::Runtimes(command) => command.run().await,
            Self::Tasks(command) => command.run().await,
            Self::Logs(remote) => remote.run(logs::of_functions::run).await,
            Self::Bulk(command) => command.run().await,
            Self::Failures(remote) => remote.run(failures::run).await,
            Self::Flow(command) => command.run().await,
            Self::Schedules(command) => command.run().await,
            Self::ApiRequests(command) => command.run().await,
            Self::Credentials(command) => command.run().await,
            Self::Admin(command) => command.run().await,
            Self::Init(args) => init::run(&args),
            Self::Types(args) => types::run(args).await,
            Self::Whoami(remote) => remote.run(whoami::run).await,
            Self::Schema => print(&format!("{:#}", tasklane_task_config::schema())),
            Self::Version => print(concat!("tasklane ", env!("CARGO_PKG_VERSION"))),
            Self::Deploy(args) => deploy::run(args).await,
            Self::Doctor(args) => doctor::run(args).await,
            Self::Completions(args) => completions::run(&args),
            Self::ManPages(args) => man_pages::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// Every command without subcommands, with its full name.
    fn leaves(command: &clap::Command, name: &str, found: &mut Vec<(String, String)>) {
        if command.has_subcommands() {
            for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
                leaves(command, &format!("{name} {}", command.get_name()), found);
            }
        } else {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            found.push((name.to_owned(), help));
        }
    }

    #[test]
    fn every_command_shows_an_example_that_can_be_typed() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "tasklane", &mut found);
        assert!(found.len() > 20, "{found:?}");
        for (name, help) in found {
            let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("{name} has no example"));
            let examples = examples.replace("\\\n", " ");
            let mut typed = 0;
            for line in examples.lines().map(str::trim).filter(|line| line.starts_with("tasklane ")) {
                // Pipes, redirections and quotes are the shell's.
                let line = line.split(" | ").next().and_then(|line| line.split(" > ").next()).unwrap_or(line);
                let words = line.split_whitespace().map(|word| word.trim_matches('\''));
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.err().map(|e| e.to_string()).unwrap_or_default());
                assert!(line.starts_with(&name), "{line} is not an example of {name}");
                typed += 1;
            }
            assert!(typed > 0, "{name} has no example");
        }
    }

    #[test]
    fn the_commands_in_the_runbooks_and_guides_are_valid() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let runbooks = std::fs::read_dir(docs.join("runbooks")).unwrap().map(|page| page.unwrap().path());
        let guides = ["deploy.md", "write-functions.md", "functions.md", "operate.md", "restore.md", "schemas.md"]
            .map(|page| docs.join(page));
        let mut checked = 0;
        for page in runbooks.chain(guides) {
            let text = std::fs::read_to_string(&page).unwrap().replace("\\\n", " ");
            let of_blocks = text.lines().filter(|line| line.starts_with("tasklane "));
            let of_prose = text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("tasklane "));
            for command in of_blocks.chain(of_prose) {
                // Without a comment, and without what the shell does.
                let typed = command.split("  # ").next().unwrap_or(command).split(" > ").next().unwrap_or(command);
                let typed = typed.replace("$P", "tasklane");
                let words = typed.split_whitespace().map(|word| match word.trim_matches(['\'', '"']) {
                    "ID" => "0123456789abcdef01234567",
                    "FUNCTION" | "NAME" => "hello-js",
                    word => word,
                });
                // Prose may name a command without what it takes, and its help.
                let is_fine = |kind| matches!(kind, ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelp);
                let error = Cli::try_parse_from(words).err().filter(|error| !is_fine(error.kind()));
                assert_eq!(error.map(|error| error.to_string()), None, "{}: {command}", page.display());
                checked += 1;
            }
        }
        assert!(checked > 60, "{checked}");
    }

    #[test]
    fn invalid_arguments_are_refused() {
        for line in [
            "tasklane",
            "tasklane sing",
            "tasklane get",
            "tasklane get ../x",
            "tasklane tasks get 1",
            "tasklane tasks list --status running",
            "tasklane tasks list --limit 0",
            "tasklane tasks list --limit 5 --all",
            "tasklane tasks create hello --start tomorrow",
            "tasklane tasks create hello --priority 1.5",
            "tasklane tasks create hello --idempotency-key=",
            "tasklane tasks batch",
            "tasklane tasks create hello --on-complete-data 1",
            "tasklane tasks wait",
            "tasklane tasks wait 0123456789abcdef01234567 --timeout 5",
            "tasklane tasks result 1",
            "tasklane rollback hello --to 0",
            "tasklane canary hello 2",
            "tasklane canary hello 2 --percent 100",
            "tasklane canary hello --percent 10",
            "tasklane canary hello 2 --percent 10 --stop",
            "tasklane canary hello 2 --percent 10 --fail-when 20/3",
            "tasklane versions hello --output x.zip",
            "tasklane schedules create hello",
            "tasklane schedules create hello --interval 0",
            "tasklane schedules create hello --interval 500ms",
            "tasklane schedules create hello --interval 5m --cron @daily",
            "tasklane schedules create hello --interval 5m --timezone UTC",
            "tasklane schedules create hello --cron @never",
            "tasklane schedules create hello --cron @daily --timezone Berlin",
            "tasklane schedules create hello --cron @daily --overlap maybe",
            "tasklane schedules next 0123456789abcdef01234567 --count 101",
            "tasklane schedules update 0123456789abcdef01234567 --unset id",
            "tasklane credentials create --permission VIEW_TASKS",
            "tasklane credentials create --user ada --expires 30",
            "tasklane sync --env NAME",
            "tasklane run hello --data {} --event {}",
            "tasklane bench",
            "tasklane bench --function hello --connections 0",
            "tasklane bench --function hello --kind queue",
            "tasklane bench --function hello --duration 5 --requests 5",
            "tasklane bench --function hello --kind api --path hello",
            "tasklane list --host localhost --url http://localhost:4000",
            "tasklane dev --listen nowhere",
            "tasklane dev --port 70000",
            "tasklane console --port 70000",
            "tasklane dev --jail maybe",
            "tasklane dev --prefix=a/b",
            "tasklane dev --concurrency 0",
            "tasklane dev --direct-concurrency 0",
            "tasklane completions cmd",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
