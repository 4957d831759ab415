//! `tasklane diff`: in what two versions of a Function differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Cursor,
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::{Value, json};
use tasklane_client::{Record, Version};
use tasklane_model::{FunctionName, VersionNumber};

use crate::{Outcome, Verdict, functions, output, session::Session};

/// Show in what two versions of a Function differ: its configuration, and the files of its code.
///
/// The values of its environment variables are hidden.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 they are equal; 1 they differ; 2 an error.

Examples:
  The current version and the one before it:
    tasklane diff hello-js
  Version 3 and the current one:
    tasklane diff hello-js 3
  tasklane diff hello-js 3 5")]
pub(crate) struct Args {
    /// The Function's name
    #[arg(value_name = "FUNCTION", value_parser = functions::name)]
    function: FunctionName,

    /// The older version [default: the one that was current before]
    #[arg(value_name = "FROM", value_parser = super::number)]
    from: Option<VersionNumber>,

    /// The newer version [default: the current one]
    #[arg(value_name = "TO", value_parser = super::number)]
    to: Option<VersionNumber>,

    /// Also show the values of environment variables
    #[arg(long)]
    show_secrets: bool,
}

/// One difference: of a field, by its path in the API, or of a file.
#[derive(Debug, PartialEq, Serialize)]
struct Difference {
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
}

/// What belongs to a version itself, or is its code.
const NOT_COMPARED: [&str; 9] = [
    "number",
    "createdTimestamp",
    "createdByUserId",
    "codeSha256",
    "label",
    "changed",
    "replacedTimestamp",
    "current",
    "runnable",
];

pub(crate) async fn run(session: Session, args: Args) -> Outcome {
    let (client, function) = (&session.client, &args.function);
    let versions = match (args.from, args.to) {
        (Some(_), Some(_)) => Vec::new(),
        _ => client.versions(function).await?,
    };
    let from = args.from.map_or_else(|| super::last_current(function, &versions), Ok)?;
    let to = args.to.map_or_else(|| current(function, &versions), Ok)?;
    let (older, newer) = (client.version(function, from).await?, client.version(function, to).await?);
    let mut differences = fields(&older.json.to_value(), &newer.json.to_value(), args.show_secrets);
    let hashes_of = [&older.value.code_sha256, &newer.value.code_sha256].map(|hash| json!(hash));
    let is_image = [&older, &newer].iter().any(|version| version.json.field("image").is_some());
    if is_image && hashes_of[0] != hashes_of[1] {
        // An image is not kept by the service: only its digest is.
        let [from, to] = hashes_of.map(Some);
        differences.push(Difference { field: Some("code".to_owned()), file: None, from, to });
    } else if hashes_of[0] != hashes_of[1] {
        let (before, after) = (client.version_code(function, from).await?, client.version_code(function, to).await?);
        differences.extend(files(&hashes(&before)?, &hashes(&after)?));
    }
    if session.json {
        session.show_json(&differences)?;
    } else if differences.is_empty() {
        output::note(&format!("{function}: versions {from} and {to} are equal"));
    } else {
        output::data(&format!("{function}: from version {from} to {to}\n{}", lines(&differences)))?;
    }
    Ok(if differences.is_empty() { Verdict::Yes } else { Verdict::No })
}

fn current(function: &FunctionName, versions: &[Record<Version>]) -> anyhow::Result<VersionNumber> {
    match versions.iter().find(|version| version.value.current) {
        Some(version) => Ok(version.value.number),
        None => bail!("the service names no current version of {function}"),
    }
}

/// The fields in which two versions differ, each by its path.
fn fields(older: &Value, newer: &Value, show_secrets: bool) -> Vec<Difference> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten("", older, &mut before);
    flatten("", newer, &mut after);
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let hidden = |path: &str, value: &Value| {
        let is_secret = path.starts_with("environmentVariables.") && !show_secrets;
        if is_secret { Value::from("••••") } else { value.clone() }
    };
    let differ = |path: &&String| before.get(*path) != after.get(*path);
    names
        .into_iter()
        .filter(differ)
        .map(|path| Difference {
            field: Some(path.clone()),
            file: None,
            from: before.get(path).map(|value| hidden(path, value)),
            to: after.get(path).map(|value| hidden(path, value)),
        })
        .collect()
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if path.is_empty() && NOT_COMPARED.contains(&name.as_str()) {
                    continue;
                }
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, into);
            }
        }
        value => {
            into.insert(path.to_owned(), value.clone());
        }
    }
}

/// The sizes and checksums of the files in a zip.
fn hashes(zip: &[u8]) -> anyhow::Result<BTreeMap<String, (u64, u32)>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).context("the code is no zip")?;
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).context("the code is a damaged zip")?;
        if file.is_file() {
            let name = file.name().context("the code is a zip with a name that cannot be read")?;
            files.insert(name.into_owned(), (file.size(), file.crc32()));
        }
    }
    Ok(files)
}

fn files(before: &BTreeMap<String, (u64, u32)>, after: &BTreeMap<String, (u64, u32)>) -> Vec<Difference> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let size = |file: Option<&(u64, u32)>| file.map(|(bytes, _)| Value::from(*bytes));
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| Difference {
            field: None,
            file: Some(name.clone()),
            from: size(before.get(name)),
            to: size(after.get(name)),
        })
        .collect()
}

fn lines(differences: &[Difference]) -> String {
    let line = |difference: &Difference| {
        let (name, unit) = match (&difference.field, &difference.file) {
            (Some(field), _) => (field.clone(), ""),
            (None, file) => (format!("code: {}", file.clone().unwrap_or_default()), " bytes"),
        };
        match (&difference.from, &difference.to) {
            (Some(from), Some(to)) => format!("  ~ {name}: {from}{unit} → {to}{unit}"),
            (Some(from), None) => format!("  - {name}: {from}{unit}"),
            (None, Some(to)) => format!("  + {name}: {to}{unit}"),
            (None, None) => format!("  ~ {name}"),
        }
    };
    differences.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_compared_by_their_path_and_secrets_are_hidden() {
        let older = json!({ "number": 1, "label": "a", "timeLimit": 30, "retryPolicy": { "enabled": false },
            "environmentVariables": { "KEY": { "value": "s3cret" }, "OLD": { "value": "x" } } });
        let newer = json!({ "number": 2, "timeLimit": 60, "retryPolicy": { "enabled": false },
            "environmentVariables": { "KEY": { "value": "s3cret2" } }, "storeResult": true });
        let found = fields(&older, &newer, false);
        insta::assert_snapshot!(lines(&found), @r#"
          ~ environmentVariables.KEY.value: "••••" → "••••"
          - environmentVariables.OLD.value: "••••"
          + storeResult: true
          ~ timeLimit: 30 → 60
        "#);
        assert!(lines(&fields(&older, &newer, true)).contains("s3cret2"));
        assert_eq!(fields(&older, &older, false), []);
    }

    #[test]
    fn files_are_compared_by_their_content() {
        let file = |name: &str, hash| (name.to_owned(), (3, hash));
        let before = BTreeMap::from([file("a.js", 1), file("b.js", 1), file("same.js", 1)]);
        let after = BTreeMap::from([file("a.js", 2), file("c.js", 1), file("same.js", 1)]);
        insta::assert_snapshot!(lines(&files(&before, &after)), @r"
          ~ code: a.js: 3 bytes → 3 bytes
          - code: b.js: 3 bytes
          + code: c.js: 3 bytes
        ");
    }
}
