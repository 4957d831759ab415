//! `tasklane deploy`: a whole stack on AWS, from AWS credentials alone.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::json;
use tasklane_aws::{
    config::{self, SdkConfig},
    operator::{self, Health},
};
use tasklane_deploy::{Change, Deployer, Handlers, Plan, StackFile};
use tasklane_model::UserId;

use super::{Outcome, Verdict, issued, output};

/// Put a stack on AWS, change it, or take it away.
///
/// Needs AWS credentials and nothing else. Sends the handlers' zips and the template to a bucket of your account, shows what
/// would change, asks, and follows CloudFormation. A new stack also gets an administrator's credential, in the file
/// NAME.credentials. Prints the URL of the service on stdout.
///
/// The parameters are kept in NAME.stack.json, a file to be committed: change them there or with --set, and deploy again.
/// Functions are deployed to a stack with `tasklane sync`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  A first stack:
    tasklane deploy --stack prod --set Prefix=prod
  What would change, and exit code 1 if anything would:
    tasklane deploy --stack prod --plan
  Another parameter, without a question:
    tasklane deploy --stack prod --set TaskConcurrency=50 --yes
  Away with it:
    tasklane deploy --stack prod --destroy")]
pub(super) struct Args {
    /// The name of the stack in CloudFormation
    #[arg(long, value_name = "NAME", value_parser = stack_name)]
    stack: Option<String>,

    /// The file with the stack's parameters [default: NAME.stack.json in the working directory]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Set a parameter in the file; may be given more than once
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,

    /// The folder with the handlers' zips [default: that of this program's package]
    #[arg(long, value_name = "DIR")]
    handlers: Option<PathBuf>,

    /// Only show what would change; exits with 1 if anything would
    #[arg(long, conflicts_with_all = ["yes", "destroy"])]
    plan: bool,

    /// Change it without asking
    #[arg(long, short)]
    yes: bool,

    /// Delete the stack, and say what is left of it
    #[arg(long)]
    destroy: bool,

    /// Print JSON on stdout: the changes, or the outputs of the stack
    #[arg(long)]
    json: bool,
}

fn stack_name(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let fits = text.len() <= 128
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must begin with a letter, and have letters, digits and hyphens".to_owned())
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(super) async fn run(args: Args) -> Outcome {
    let name = args.stack.as_deref().context(
        "--stack NAME is missing: it says which stack is deployed. Functions are deployed to a stack with `tasklane sync`",
    )?;
    let path = args.file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.stack.json")));
    let mut file = StackFile::read(&path)?;
    for (name, value) in &args.parameters {
        file.set(name, value)?;
    }
    let sdk = sdk_for(&mut file).await?;
    let deployer = Deployer::new(&sdk, name).await?;
    output::note(&format!(
        "stack {} in account {}, region {}",
        name,
        deployer.account(),
        file.region.as_deref().unwrap_or("of the configuration")
    ));
    if args.destroy {
        return destroy(&args, name, &deployer).await;
    }
    let architecture = file.parameter("Architecture").unwrap_or("arm64");
    let handlers = Handlers::find(args.handlers.as_deref(), architecture)?;
    output::note("sending the handlers, and asking CloudFormation what would change …");
    let plan = deployer.plan(&file, &handlers).await?;
    show(&plan);
    if args.plan {
        if args.json {
            output::json(&changes_as_json(&plan.changes).to_string())?;
        }
        deployer.drop_plan(&plan).await?;
        return Ok(if plan.changes.is_empty() { Verdict::Yes } else { Verdict::No });
    }
    if !plan.changes.is_empty() {
        if !args.yes && !output::confirm(&question(&plan)) {
            deployer.drop_plan(&plan).await?;
            bail!("nothing was changed; --yes changes it without asking");
        }
        // Before the change, so that what is deployed is what the file says.
        file.write(&path)?;
        deployer.execute(&plan, |event| output::note(&event.to_string())).await?;
    } else {
        file.write(&path)?;
    }
    let outputs = deployer.outputs().await?;
    let url = outputs.get("Url").context("the stack has no output Url")?.clone();
    let stack = operator::open(&sdk, name).await?;
    if plan.is_new {
        save_administrator(name, &url, &stack).await?;
    }
    examine(&sdk, &stack).await?;
    if args.json {
        output::json(&json!(outputs).to_string())?;
    } else {
        output::data(&url)?;
    }
    Ok(Verdict::Yes)
}

/// The AWS configuration, in the region of the file. A new file gets the region of the configuration, so that the next
/// deployment goes to the same one.
async fn sdk_for(file: &mut StackFile) -> anyhow::Result<SdkConfig> {
    if let Some(region) = file.region.clone() {
        let sdk = config::operator_config_in(Some(&region)).await?;
        return Ok(sdk);
    }
    let sdk = config::operator_config().await?;
    file.region = sdk.region().map(ToString::to_string);
    Ok(sdk)
}

fn show(plan: &Plan) {
    match plan.changes.as_slice() {
        [] => output::note("everything is as it should be"),
        changes if plan.is_new => output::note(&format!("a new stack with {} resources", changes.len())),
        changes => changes.iter().for_each(|change| output::note(&change.to_string())),
    }
    for change in plan.changes.iter().filter(|change| change.endangers_data()) {
        output::note(&format!("CAREFUL: {} holds data, which the stack would no longer use", change.resource));
    }
}

fn question(plan: &Plan) -> String {
    let count = plan.changes.len();
    match plan.is_new {
        true => format!("Create {count} resources?"),
        false => format!("Change {count} resources?"),
    }
}

fn changes_as_json(changes: &[Change]) -> serde_json::Value {
    let change = |change: &Change| {
        json!({
            "action": change.action, "resource": change.resource, "type": change.kind, "replaces": change.replaces,
            "endangersData": change.endangers_data(),
        })
    };
    changes.iter().map(change).collect()
}

/// Makes the first administrator. A file that is there already is another stack's, or an earlier one's.
async fn save_administrator(name: &str, url: &str, stack: &tasklane_aws::Stack) -> anyhow::Result<()> {
    let path = PathBuf::from(format!("{name}.credentials"));
    if path.exists() {
        output::note(&format!(
            "{} exists, so no administrator was made: `tasklane admin bootstrap --stack {name}` makes one",
            path.display()
        ));
        return Ok(());
    }
    let user = UserId::parse("administrator").context("the administrator's id")?;
    let made = operator::bootstrap(stack, user).await?;
    issued::stored(url, &made).save(&path).with_context(|| format!("cannot write {}", path.display()))?;
    output::note(&format!(
        "an administrator's credentials are in {}: keep them out of version control, and use them with --credentials {}",
        path.display(),
        path.display()
    ));
    Ok(())
}

/// Says what `doctor` finds. A deployment succeeded even if there is something to repair.
async fn examine(sdk: &SdkConfig, stack: &tasklane_aws::Stack) -> anyhow::Result<()> {
    let findings = operator::examine(sdk, stack).await?;
    let mut wrong = 0;
    for finding in &findings {
        if let Health::Wrong(why) = &finding.state {
            wrong += 1;
            output::note(&format!("WRONG  {}: {why}.", finding.what));
        }
    }
    match wrong {
        0 => output::note(&format!("checked {} items, no problems", findings.len())),
        _ => output::note(&format!("checked {} items, {wrong} problems: tasklane doctor shows all", findings.len())),
    }
    Ok(())
}

async fn destroy(args: &Args, name: &str, deployer: &Deployer) -> Outcome {
    let kept = deployer.kept().await?;
    if !args.yes && !output::confirm(&format!("Delete the stack {name}? Its {} tables and keys stay.", kept.len())) {
        bail!("nothing was deleted; --yes deletes it without asking");
    }
    deployer.delete(|event| output::note(&event.to_string())).await?;
    output::note("left, with all data, and to be deleted by hand if it is not needed:");
    for kept in &kept {
        output::note(&format!("  {}  {}", kept.resource, kept.name));
    }
    output::note("  the Lambda functions of the stack's Functions, and their log groups");
    if args.json {
        let kept: Vec<_> = kept.iter().map(|kept| json!({ "resource": kept.resource, "name": kept.name })).collect();
        output::json(&json!({ "kept": kept }).to_string())?;
    }
    Ok(Verdict::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parameters_are_checked() {
        assert!(stack_name("prod-2").is_ok());
        for wrong in ["", "2prod", "prod_2", "a b", &"a".repeat(129)] {
            assert!(stack_name(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parameter("OidcIssuer=https://a/?b=c").unwrap().1, "https://a/?b=c");
        assert!(parameter("Prefix").is_err() && parameter("=x").is_err());
    }
}
