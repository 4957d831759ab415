//! `tasklane versions`, `rollback` and `canary`: the versions of a Function.

mod diff;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use tasklane_client::{CanaryBody, CanaryState, FunctionDetails, Record, Version};
use tasklane_model::{ByteSize, CanaryPercent, CanaryRuns, FailWhen, FunctionName, VersionNumber};

use super::{
    Outcome, Verdict, functions,
    session::Session,
    table::{Layout, cell, optional},
};

pub(super) use diff::{Args as DiffArgs, run as diff};

/// List the versions of a Function, or download the code of one.
///
/// Each change of its code or its configuration makes a version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tasklane versions hello-js
  The code of version 3:
    tasklane versions hello-js --download 3 --output hello-js-3.zip")]
pub(super) struct VersionsArgs {
    /// The Function's name
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,

    /// Download the zip of this version instead
    #[arg(long, value_name = "VERSION", value_parser = number)]
    download: Option<VersionNumber>,

    /// The file for the zip [default: FUNCTION-VERSION.zip]
    #[arg(long, short, value_name = "FILE", requires = "download")]
    output: Option<PathBuf>,
}

/// Roll a Function back to an earlier version, or forward to one that was only published.
///
/// This makes a new version that is equal to that one, at once for all new runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  To the version before:
    tasklane rollback hello-js
  tasklane rollback hello-js --to 3")]
pub(super) struct RollbackArgs {
    /// The Function's name
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,

    /// The version [default: the one that was current before]
    #[arg(long, value_name = "VERSION", value_parser = number)]
    to: Option<VersionNumber>,
}

/// Give a part of a Function's runs to another version, show that, or stop it.
///
/// Without a version, shows the canary. `tasklane sync --publish-only` makes a version without switching to it, and
/// `tasklane rollback --to` gives it every run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  A tenth of the runs, until 3 of the last 20 have failed:
    tasklane canary hello-js 7 --percent 10 --fail-when 3/20
  tasklane canary hello-js
  tasklane canary hello-js --stop")]
pub(super) struct CanaryArgs {
    /// The Function's name
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,

    /// The version that gets a part of the runs
    #[arg(value_name = "VERSION", value_parser = number, requires = "percent", conflicts_with = "stop")]
    version: Option<VersionNumber>,

    /// Which part, in percent: 1 to 99
    #[arg(long, value_name = "N", value_parser = percent, requires = "version")]
    percent: Option<CanaryPercent>,

    /// End it by itself when so many of its last runs have failed: 3/20
    #[arg(long, value_name = "FAILURES/RUNS", value_parser = fail_when, requires = "version")]
    fail_when: Option<FailWhen>,

    /// Give every run to the current version again
    #[arg(long)]
    stop: bool,
}

/// Reads the number of a version from the command line.
pub(super) fn number(text: &str) -> Result<VersionNumber, String> {
    let number = text.parse().map_err(|_| "must be the number of a version, such as 3".to_owned())?;
    VersionNumber::new(number).map_err(|error| error.to_string())
}

fn percent(text: &str) -> Result<CanaryPercent, String> {
    let number = text.trim_end_matches('%').parse().map_err(|_| "must be a whole number from 1 to 99".to_owned())?;
    CanaryPercent::new(number).map_err(|error| error.to_string())
}

fn fail_when(text: &str) -> Result<FailWhen, String> {
    let runs = |text: &str| CanaryRuns::new(text.trim().parse().ok()?).ok();
    let both = text.split_once('/').and_then(|(failures, of)| Some((runs(failures)?, runs(of)?)));
    match both {
        Some((failures, of)) if failures <= of => Ok(FailWhen { failures, of }),
        _ => Err("must be a number of failures of a number of runs, at most 1000, such as 3/20".to_owned()),
    }
}

pub(super) async fn versions(session: Session, args: VersionsArgs) -> Outcome {
    if let Some(number) = args.download {
        return download(session, &args.function, number, args.output).await;
    }
    let versions = session.client.versions(&args.function).await?;
    session.show_records(&versions, "versions", |versions| table(session.layout, versions))?;
    Ok(Verdict::Yes)
}

async fn download(
    session: Session,
    function: &FunctionName,
    number: VersionNumber,
    output: Option<PathBuf>,
) -> Outcome {
    let file = output.unwrap_or_else(|| format!("{function}-{number}.zip").into());
    let zip = session.client.version_code(function, number).await?;
    std::fs::write(&file, &zip).with_context(|| format!("cannot write {}", file.display()))?;
    let size = ByteSize(zip.len() as u64);
    if session.json {
        session.show_json(&serde_json::json!({ "file": file, "bytes": zip.len() }))?;
    } else {
        super::output::note(&format!("{function}: version {number} is in {} ({size})", file.display()));
    }
    Ok(Verdict::Yes)
}

pub(super) async fn roll_back(session: Session, args: RollbackArgs) -> Outcome {
    let to = match args.to {
        Some(to) => to,
        None => last_current(&args.function, &session.client.versions(&args.function).await?)?,
    };
    let version = session.client.roll_back(&args.function, to).await?;
    session.done(&version, &format!("{}: version {}, equal to {to}", args.function, version.value.number))?;
    Ok(Verdict::Yes)
}

/// The version that was current before the current one.
fn last_current(function: &FunctionName, versions: &[Record<Version>]) -> anyhow::Result<VersionNumber> {
    let replaced = versions.iter().map(|record| &record.value).filter(|version| version.runnable && !version.current);
    let last = replaced.filter(|version| version.replaced_timestamp.is_some()).max_by_key(|version| version.number);
    match last {
        Some(version) => Ok(version.number),
        None => bail!("{function} has no earlier version that can run"),
    }
}

pub(super) async fn canary(session: Session, args: CanaryArgs) -> Outcome {
    let CanaryArgs { function, version, percent, fail_when, stop } = args;
    if stop {
        let answer = session.client.stop_canary(&function).await?;
        session.done(&answer, &format!("{function}: every run gets the current version"))?;
        return Ok(Verdict::Yes);
    }
    let (Some(version), Some(percent)) = (version, percent) else {
        let details = session.client.function(&function).await?;
        if session.json {
            session.show_json(&details.json.to_value().get("canary"))?;
        } else {
            super::output::data(&in_words(&details.value))?;
        }
        return Ok(Verdict::Yes);
    };
    let canary = session.client.start_canary(&function, &CanaryBody { version, percent, fail_when }).await?;
    session.done(&canary, &format!("{function}: {}", sentence(&canary.value)))?;
    Ok(Verdict::Yes)
}

fn in_words(details: &FunctionDetails) -> String {
    let function = &details.name;
    match (&details.canary, &details.last_canary) {
        (Some(canary), _) => format!("{function}: {} (since {})", sentence(canary), canary.started_timestamp),
        (None, None) => format!("{function}: no canary"),
        (None, Some(ended)) => format!(
            "{function}: no canary; the last one, version {}, ended {}: {}",
            ended.version,
            ended.ended_timestamp,
            ended.reason.in_words()
        ),
    }
}

fn sentence(canary: &CanaryState) -> String {
    let until = match canary.fail_when {
        Some(FailWhen { failures, of }) => format!(", until {failures} of its last {of} have failed"),
        None => String::new(),
    };
    format!("version {} gets {} % of the runs{until}", canary.version, canary.percent)
}

fn table(layout: Layout, versions: &[Record<Version>]) -> String {
    layout.list(
        &["VERSION", "MADE", "LABEL", "CHANGED", "BY", "STATE"],
        versions.iter().map(|Record { value, .. }| {
            let state = match (value.current, value.runnable) {
                (true, _) => "current",
                (false, true) => "runnable",
                (false, false) => "-",
            };
            vec![
                cell(value.number),
                layout.time(value.created_timestamp),
                optional(value.label.as_ref()),
                optional(Some(value.changed.join(", ")).filter(|changed| !changed.is_empty())),
                optional(value.created_by_user_id.as_ref()),
                cell(state),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_failures_names_both_numbers() {
        let limit = fail_when("3/20").unwrap();
        assert_eq!((limit.failures.get(), limit.of.get()), (3, 20));
        for text in ["3", "3/", "/20", "20/3", "0/20", "3/1001", "a/b"] {
            assert!(fail_when(text).is_err(), "{text}");
        }
        assert_eq!(percent("10%").unwrap().get(), 10);
        assert!(percent("0").is_err() && percent("100").is_err());
        assert!(number("0").is_err() && number("-1").is_err() && number("x").is_err());
    }
}
