//! `tasklane admin`: commands that need AWS credentials instead of the service's own.

use anyhow::Context;
use clap::Subcommand;
use tasklane_aws::{config, operator};
use tasklane_model::UserId;

use super::{Outcome, Verdict, issued, output};

/// Administer a stack on AWS.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Bootstrap(BootstrapArgs),
}

/// Create an administrator's credential with your AWS credentials.
///
/// Prints the lines of a credentials file for this tool, the exh CLI and the official SDK. The credential has every
/// permission; use it to create others with `tasklane credentials create`. Its secrets are shown only once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane admin bootstrap --stack tasklane > ~/.tasklane-credentials")]
pub(super) struct BootstrapArgs {
    /// The name of the stack in CloudFormation, or its Prefix
    #[arg(long, value_name = "NAME")]
    stack: String,

    /// The user that the credential identifies
    #[arg(long, value_name = "ID", default_value = "administrator", value_parser = |text: &str| UserId::parse(text))]
    user: UserId,
}

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Bootstrap(args) => bootstrap(args).await,
        }
    }
}

async fn bootstrap(args: BootstrapArgs) -> Outcome {
    let stack = operator::open(&config::operator_config().await?, &args.stack).await?;
    let url = stack.settings.url().context("the stack has no URL in its settings; deploy it again")?;
    let made = operator::bootstrap(&stack, args.user).await?;
    output::data(issued::stored(&url, &made).to_lines().trim_end())?;
    output::note(&format!("credential {}: keep these lines; they are not shown again", made.id));
    Ok(Verdict::Yes)
}
