//! `tasklane runtimes`: the runtimes of this machine.

use anyhow::Context;
use tasklane_lambda_local::{Sdk, SdkLanguage};

use super::{Outcome, Verdict, output};

/// Manage the runtimes of this machine.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    AddSdk(AddSdkArgs),
}

/// Install the AWS SDK of Lambda's runtimes once for all Functions.
///
/// npm installs the clients that are used most for Node.js, pip installs boto3 for Python; both in fixed versions, into your cache folder.
/// As on Lambda, Functions use them unless their package has its own. `dev` does not need a restart. A running process of a
/// Function uses them once it is restarted: after a change of the Function, or after five idle minutes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tasklane runtimes add-sdk
  tasklane runtimes add-sdk node")]
pub(super) struct AddSdkArgs {
    /// The language [default: both]
    #[arg(value_name = "LANGUAGE", value_parser = language)]
    languages: Vec<SdkLanguage>,
}

fn language(text: &str) -> Result<SdkLanguage, String> {
    let known = SdkLanguage::ALL.into_iter().find(|language| language.name() == text);
    known.ok_or_else(|| "must be node or python".to_owned())
}

impl Command {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::AddSdk(args) => add_sdk(args).await,
        }
    }
}

async fn add_sdk(args: AddSdkArgs) -> Outcome {
    let sdk = Sdk::of_user().context("no cache folder: neither XDG_CACHE_HOME nor HOME is set")?;
    let languages = if args.languages.is_empty() { SdkLanguage::ALL.to_vec() } else { args.languages };
    for language in languages {
        output::note(&format!("installing the AWS SDK for {}, which takes a minute", language.name()));
        let sdk = sdk.clone();
        let folder = tokio::task::spawn_blocking(move || sdk.install(language)).await??;
        output::data(&folder.display().to_string())?;
    }
    Ok(Verdict::Yes)
}
