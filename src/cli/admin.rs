//! `tasklane admin`: what needs AWS credentials and no credentials of the service.

use anyhow::Context;
use clap::Subcommand;

use super::{Outcome, Verdict, output};
use crate::{
    aws::{config, operator},
    model::UserId,
};

/// Administer a stack on AWS.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Bootstrap(BootstrapArgs),
}

/// Make an administrator's credentials, with your AWS credentials alone.
///
/// Prints the lines of a credentials file, for this tool, the exh CLI and the official SDK. They hold every permission;
/// with them, `tasklane credentials create` makes lesser ones. Its secrets are shown now and never again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane admin bootstrap --stack tasklane > ~/.tasklane-credentials")]
pub(super) struct BootstrapArgs {
    /// The stack's name, as `sam deploy` was given it, or its Prefix
    #[arg(long, value_name = "NAME")]
    stack: String,

    /// The user that the credentials stand for
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
    let stack = operator::open(&config::sdk_config().await, &args.stack).await?;
    let url = stack.settings.url().context("the stack does not say where it is served: deploy it again")?;
    let made = operator::bootstrap(&stack, args.user).await?;
    output::data(&format!(
        "API_HOST={url}\nAPI_OAUTH_CONSUMER_KEY={}\nAPI_OAUTH_CONSUMER_SECRET={}\nAPI_OAUTH_TOKEN={}\n\
         API_OAUTH_TOKEN_SECRET={}\nAPI_ACCESS_TOKEN={}",
        made.consumer_key,
        made.consumer_secret.expose(),
        made.token,
        made.token_secret.expose(),
        made.access_token.expose(),
    ))?;
    output::note(&format!("credential {}: keep these lines, they are not shown again", made.id));
    Ok(Verdict::Yes)
}
