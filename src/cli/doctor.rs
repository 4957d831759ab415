//! `tasklane doctor`: checks a stack on AWS.

use tasklane_aws::{config, operator};

use super::{Outcome, Verdict, output};

/// Check a stack on AWS for problems, with your AWS credentials.
///
/// Checks the handlers, the tables and their indexes, the queues, the ticker, each Function's version, role and alias,
/// the gateway, and this machine's clock. Exits with 1 if there are problems.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane doctor --stack tasklane")]
pub(super) struct Args {
    /// The name of the stack in CloudFormation, or its Prefix
    #[arg(long, value_name = "NAME")]
    stack: String,
}

pub(super) async fn run(args: Args) -> Outcome {
    let sdk = config::sdk_config().await;
    let stack = operator::open(&sdk, &args.stack).await?;
    let findings = operator::examine(&sdk, &stack).await?;
    for finding in &findings {
        match &finding.wrong {
            None => output::data(&format!("ok     {}", finding.what))?,
            Some(wrong) => output::data(&format!("WRONG  {}: {wrong}.", finding.what))?,
        }
    }
    let wrong = findings.iter().filter(|finding| finding.wrong.is_some()).count();
    match wrong {
        0 => output::note(&format!("checked {} items, no problems", findings.len())),
        wrong => output::note(&format!("checked {} items, {wrong} problems", findings.len())),
    }
    Ok(if wrong == 0 { Verdict::Yes } else { Verdict::No })
}
