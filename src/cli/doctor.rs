//! `tasklane doctor`: checks this machine, or a stack on AWS.

use std::sync::Arc;

use anyhow::Context as _;
use tasklane_aws::{
    config,
    operator::{self, Health},
};
use tasklane_lambda_local::{LocalLambda, LocalLambdaConfig, RuntimeSupport, Support};
use tasklane_local::logs::{DEFAULT_RETENTION, LocalLogs};
use tasklane_model::RuntimeFamily;

use super::{Outcome, Verdict, output};

/// Check this machine, or a stack on AWS, for problems.
///
/// Without --stack, checks what `run` and `dev` need here: the jail, and the runtimes. With --stack, checks with your AWS
/// credentials the handlers and their version, the account's quotas, the tables with their indexes, backups and expiry, the
/// key, the queues, the event bus, how long logs are kept, the ticker, each Function's version, role, alias and runtime, the
/// gateway with its certificate, and this machine's clock. Lines with a dash are no problems, but worth knowing. Exits with 1
/// if there are problems.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tasklane doctor
  tasklane doctor --stack tasklane")]
pub(super) struct Args {
    /// The name of the stack in CloudFormation, or its Prefix
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
}

/// One thing that was checked.
struct Checked {
    what: String,
    state: State,
}

/// How it is.
enum State {
    Ok,
    /// Not a problem by itself: it is missing but may not be needed, or it could not be looked at.
    Absent(String),
    /// A problem, with what to do about it.
    Wrong(String),
}

pub(super) async fn run(args: Args) -> Outcome {
    let checked = match &args.stack {
        Some(stack) => of_stack(stack).await?,
        None => of_machine().await?,
    };
    let mut wrong = 0;
    for Checked { what, state } in &checked {
        match state {
            State::Ok => output::data(&format!("ok     {what}"))?,
            State::Absent(why) => output::data(&format!("-      {what}: {why}"))?,
            State::Wrong(why) => {
                wrong += 1;
                output::data(&format!("WRONG  {what}: {why}."))?;
            }
        }
    }
    match wrong {
        0 => output::note(&format!("checked {} items, no problems", checked.len())),
        1 => output::note(&format!("checked {} items, 1 problem", checked.len())),
        wrong => output::note(&format!("checked {} items, {wrong} problems", checked.len())),
    }
    Ok(if wrong == 0 { Verdict::Yes } else { Verdict::No })
}

async fn of_stack(stack: &str) -> anyhow::Result<Vec<Checked>> {
    let sdk = config::operator_config().await?;
    let stack = operator::open(&sdk, stack).await?;
    let findings = operator::examine(&sdk, &stack).await?;
    Ok(findings.into_iter().map(of_finding).collect())
}

fn of_finding(finding: operator::Finding) -> Checked {
    let state = match finding.state {
        Health::Fine => State::Ok,
        Health::Noted(why) | Health::NotSeen(why) => State::Absent(why),
        Health::Wrong(why) => State::Wrong(why),
    };
    Checked { what: finding.what, state }
}

async fn of_machine() -> anyhow::Result<Vec<Checked>> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let logs = LocalLogs::open(folder.path(), DEFAULT_RETENTION, None)?;
    let lambda = LocalLambda::new(LocalLambdaConfig::new(folder.path(), Arc::new(logs.writer().clone())))?;
    let jail = match lambda.unjailed() {
        None => State::Ok,
        Some(why) => State::Wrong(format!("Functions run with your user's permissions: {why}")),
    };
    let mut checked = vec![Checked { what: "the jail of Functions (bubblewrap)".to_owned(), state: jail }];
    let runtimes = lambda.runtimes().await;
    checked.extend(interpreters(&runtimes));
    checked.extend(runtimes.iter().map(of_runtime));
    Ok(checked)
}

/// Whether there is any interpreter for the languages that most Functions are written in.
fn interpreters(runtimes: &[RuntimeSupport]) -> Vec<Checked> {
    let languages = [(RuntimeFamily::Node, "Node.js"), (RuntimeFamily::Python, "Python")];
    let check = |(family, language): (RuntimeFamily, &str)| {
        let mut of_family = runtimes.iter().filter(|found| found.runtime.family() == family);
        let is_here = of_family.any(|found| !matches!(found.support, Support::Missing(_)));
        let state = match is_here {
            true => State::Ok,
            false => State::Wrong(format!("there is no {language} in PATH; its Functions cannot run here")),
        };
        Checked { what: format!("an interpreter for {language}"), state }
    };
    languages.map(check).into()
}

fn of_runtime(found: &RuntimeSupport) -> Checked {
    let runtime = found.runtime.as_str();
    match &found.support {
        Support::Exact(interpreter) => {
            Checked { what: format!("{runtime}: {}", interpreter.version), state: State::Ok }
        }
        Support::Bootstrap | Support::Image => {
            Checked { what: format!("{runtime}: the package's own program"), state: State::Ok }
        }
        Support::OtherVersion(interpreter) => Checked {
            what: runtime.to_owned(),
            state: State::Absent(format!("runs with this machine's {}, another version", interpreter.version)),
        },
        Support::Missing(why) => Checked { what: runtime.to_owned(), state: State::Absent(why.clone()) },
    }
}
