//! `tasklane doctor`: whether a stack on AWS is what it should be.

use super::{Outcome, Verdict, output};
use crate::aws::{config, operator};

/// Look for what is wrong with a stack on AWS, with your AWS credentials.
///
/// Looks at the handlers, the tables and their indexes, the queues, the ticker, each Function's version, role and alias,
/// the gateway, and this machine's clock. Exits 1 when something is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane doctor --stack tasklane")]
pub(super) struct Args {
    /// The stack's name, as `sam deploy` was given it, or its Prefix
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
        0 => output::note(&format!("{} things looked at, all is well", findings.len())),
        wrong => output::note(&format!("{} things looked at, {wrong} to be mended", findings.len())),
    }
    Ok(if wrong == 0 { Verdict::Yes } else { Verdict::No })
}
