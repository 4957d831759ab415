//! `tasklane doctor`: checks this machine, or a stack on AWS.

mod machine;

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tasklane_aws::{
    config,
    operator::{self, Health},
};

use super::{Outcome, Verdict, output};

/// Check this machine, or a stack on AWS, for problems.
///
/// Without --stack, checks what `run` and `dev` need here: the jail and the control groups of Functions, the limits of this
/// machine, the AWS SDK of Lambda's runtimes, and every runtime: the version, where its program is, and how it was found (on the
/// PATH, or in the folder of a version manager). With --stack, checks with your AWS credentials the handlers and their version,
/// the account's quotas, the tables with their indexes, backups and expiry, the key, the queues, the event bus, how long logs are
/// kept, the ticker, each Function's version, role, alias and runtime, the gateway with its certificate, and this machine's
/// clock. Each line says what to do about it. Lines with a dash are no problems, but worth knowing. Exits with 1 if there are
/// problems.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tasklane doctor
  tasklane doctor --json
  tasklane doctor --stack tasklane")]
pub(super) struct Args {
    /// The name of the stack in CloudFormation, or its Prefix
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,

    /// The folder of `dev` whose disk is checked
    #[arg(long, value_name = "DIR", default_value = ".tasklane", conflicts_with = "stack")]
    data_dir: PathBuf,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// One thing that was checked.
struct Checked {
    what: String,
    state: State,
    /// What a program may want to know about it.
    facts: Map<String, Value>,
}

/// How it is.
enum State {
    /// As it should be, and what was found, if that is worth knowing.
    Ok(Option<String>),
    /// Not a problem by itself: it is missing but may not be needed, or it could not be looked at.
    Noted(String),
    /// A problem, with what to do about it.
    Wrong(String),
}

impl Checked {
    fn new(what: impl Into<String>, state: State) -> Self {
        Self { what: what.into(), state, facts: Map::new() }
    }

    fn with(mut self, name: &str, fact: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), fact.into());
        self
    }

    fn line(&self) -> String {
        let what = &self.what;
        match &self.state {
            State::Ok(None) => format!("ok     {what}"),
            State::Ok(Some(found)) => format!("ok     {what}: {found}"),
            State::Noted(why) => format!("-      {what}: {why}"),
            State::Wrong(why) => format!("WRONG  {what}: {why}."),
        }
    }

    fn to_json(&self) -> Value {
        let (state, detail) = match &self.state {
            State::Ok(found) => ("ok", found.as_ref()),
            State::Noted(why) => ("noted", Some(why)),
            State::Wrong(why) => ("wrong", Some(why)),
        };
        let mut shown = json!({ "what": self.what, "state": state, "detail": detail });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(self.facts.clone());
        }
        shown
    }
}

pub(super) async fn run(args: Args) -> Outcome {
    let checked = match &args.stack {
        Some(stack) => of_stack(stack).await?,
        None => machine::look(&args.data_dir).await?,
    };
    let wrong = checked.iter().filter(|checked| matches!(checked.state, State::Wrong(_))).count();
    if args.json {
        let shown: Vec<_> = checked.iter().map(Checked::to_json).collect();
        output::json(&json!({ "checked": shown, "problems": wrong }).to_string())?;
    } else {
        for checked in &checked {
            output::data(&checked.line())?;
        }
        match wrong {
            0 => output::note(&format!("checked {} items, no problems", checked.len())),
            1 => output::note(&format!("checked {} items, 1 problem", checked.len())),
            wrong => output::note(&format!("checked {} items, {wrong} problems", checked.len())),
        }
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
        Health::Fine => State::Ok(None),
        Health::Noted(why) | Health::NotSeen(why) => State::Noted(why),
        Health::Wrong(why) => State::Wrong(why),
    };
    Checked::new(finding.what, state)
}
