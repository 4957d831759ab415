//! `tasklane list`, `get`, `delete`, `enable`, `disable`: Functions.

use serde_json::Value;
use tasklane_client::{FunctionDetails, HowMany, Record};
use tasklane_model::{AwsOptions, FunctionName, FunctionSummary, JsonSchema, RetryPolicy, TaskEventKind};

use super::{
    Outcome, Verdict, flow,
    session::Session,
    table::{Layout, cell, optional},
};

/// List the Functions of the service.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane list --json | jq -r '.[].name'")]
pub(super) struct ListArgs {}

/// Show a Function: its configuration, and whether it is enabled.
///
/// The values of its environment variables are hidden.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane get hello-js")]
pub(super) struct GetArgs {
    /// The Function's name
    #[arg(value_parser = name)]
    name: FunctionName,

    /// Also show the values of environment variables
    #[arg(long)]
    show_secrets: bool,
}

/// Delete a Function. Its Tasks, API Requests and logs stay readable.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane delete hello-js")]
pub(super) struct DeleteArgs {
    /// The Function's name
    #[arg(value_parser = name)]
    name: FunctionName,
}

/// Enable a Function. Its waiting Tasks will run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane enable hello-js")]
pub(super) struct EnableArgs {
    /// The Function's name
    #[arg(value_parser = name)]
    name: FunctionName,
}

/// Disable a Function. Its Tasks wait until it is enabled again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tasklane disable hello-js")]
pub(super) struct DisableArgs {
    /// The Function's name
    #[arg(value_parser = name)]
    name: FunctionName,
}

/// Reads a Function's name from the command line.
pub(super) fn name(text: &str) -> Result<FunctionName, String> {
    FunctionName::parse(text).map_err(|e| e.to_string())
}

pub(super) async fn list(session: Session, _: ListArgs) -> Outcome {
    let records = session.client.functions().await?;
    session.show_records(&records, "Functions", |records| summaries(session.layout, records))?;
    Ok(Verdict::Yes)
}

pub(super) async fn get(session: Session, args: GetArgs) -> Outcome {
    let function = session.client.function(&args.name).await?;
    if session.json {
        let mut json = function.json.to_value();
        if !args.show_secrets {
            hide_values(&mut json);
        }
        session.show_json(&json)?;
    } else {
        session.show(&function, |function| details(session.layout, function, args.show_secrets))?;
    }
    Ok(Verdict::Yes)
}

pub(super) async fn delete(session: Session, args: DeleteArgs) -> Outcome {
    let answer = session.client.delete_function(&args.name).await?;
    session.done(&answer, &format!("{}: deleted", args.name))?;
    Ok(Verdict::Yes)
}

pub(super) async fn enable(session: Session, args: EnableArgs) -> Outcome {
    let answer = session.client.set_function_enabled(&args.name, true).await?;
    session.done(&answer, &format!("{}: enabled", args.name))?;
    Ok(Verdict::Yes)
}

pub(super) async fn disable(session: Session, args: DisableArgs) -> Outcome {
    let answer = session.client.set_function_enabled(&args.name, false).await?;
    session.done(&answer, &format!("{}: disabled", args.name))?;
    Ok(Verdict::Yes)
}

/// Shown instead of a hidden value.
const HIDDEN: &str = "••••";

fn summaries(layout: Layout, records: &[Record<FunctionSummary>]) -> String {
    layout.list(
        &["NAME", "DESCRIPTION", "UPDATED"],
        records.iter().map(|Record { value, .. }| {
            vec![
                cell(&value.name),
                optional(Some(&value.description).filter(|text| !text.is_empty())),
                layout.time(value.update_timestamp),
            ]
        }),
    )
}

fn details(layout: Layout, function: &FunctionDetails, show_secrets: bool) -> String {
    let environment: Vec<_> = function
        .environment_variables
        .iter()
        .map(|(name, variable)| format!("{name}={}", if show_secrets { &variable.value } else { HIDDEN }))
        .collect();
    let events = function.events.iter().map(TaskEventKind::as_str).collect::<Vec<_>>().join(", ");
    let secrets: Vec<_> = function.secrets.iter().map(|(name, reference)| format!("{name} from {reference}")).collect();
    let secrets = secrets.join("\n");
    let aws = function.aws.as_ref().map(aws_options).unwrap_or_default();
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    layout.details([
        ("Name", function.name.to_string()),
        ("Description", or_dash(function.description.clone().filter(|text| !text.is_empty()))),
        ("Enabled", if function.enabled { "yes" } else { "no" }.to_owned()),
        ("Runtime", or_dash(function.runtime.clone())),
        ("Entry point", or_dash(function.entry_point.clone())),
        ("Image", or_dash(function.image.clone())),
        ("Time limit", or_dash(function.time_limit.map(|seconds| format!("{seconds} s")))),
        ("Memory limit", or_dash(function.memory_limit.map(|megabytes| format!("{megabytes} MB")))),
        ("Executed by", or_dash(function.execution_options.permission_mode.clone())),
        ("Default priority", or_dash(function.execution_options.default_priority.map(|priority| priority.to_string()))),
        ("Retries", retries(&function.retry_policy)),
        ("Results", if function.store_result == Some(true) { "kept".to_owned() } else { "-".to_owned() }),
        ("Tasks wait", function.timeouts.queued.map_or_else(|| "-".to_owned(), |queued| format!("at most {queued} s"))),
        ("Events", or_dash(Some(events).filter(|names| !names.is_empty()))),
        (
            "At once",
            match function.execution_options.concurrency_limit.flatten() {
                Some(limit) => format!("at most {limit} runs"),
                None => "-".to_owned(),
            },
        ),
        ("Flow", function.flow.as_ref().map_or_else(|| "-".to_owned(), flow::in_words)),
        ("Data schema", schema(function.data_schema.as_ref())),
        ("Result schema", schema(function.result_schema.as_ref())),
        ("Secrets", or_dash(Some(secrets).filter(|lines| !lines.is_empty()))),
        ("AWS", or_dash(Some(aws).filter(|lines| !lines.is_empty()))),
        ("Environment", if environment.is_empty() { "-".to_owned() } else { environment.join("\n") }),
        ("Version", version_of(function)),
        ("Code SHA-256", or_dash(function.code_sha256.clone())),
        ("Updated", or_dash(function.update_timestamp.map(|moment| moment.to_string()))),
    ])
}

/// A schema in one line, or its beginning.
fn schema(schema: Option<&JsonSchema>) -> String {
    const LONGEST: usize = 200;
    let Some(schema) = schema else { return "-".to_owned() };
    let text = schema.as_json().as_str();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… (all of it: --json)", &text[..end]),
        None => text.to_owned(),
    }
}

/// A line for each option, in the words of the API.
fn aws_options(options: &AwsOptions) -> String {
    let fields = serde_json::to_value(options).unwrap_or_default();
    let line = |name: &&str| {
        let value = match fields.get(*name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(format!("{name}: {value}"))
    };
    AwsOptions::FIELDS.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn version_of(function: &FunctionDetails) -> String {
    match (function.version, &function.label) {
        (Some(version), Some(label)) => format!("{version} ({label})"),
        (Some(version), None) => version.to_string(),
        (None, _) => "-".to_owned(),
    }
}

fn retries(policy: &RetryPolicy) -> String {
    let mut text = match (policy.enabled, policy.errors_to_retry.as_slice()) {
        (false, _) => return "no".to_owned(),
        (true, []) => "every error".to_owned(),
        (true, names) => names.join(", "),
    };
    if !policy.errors_not_to_retry.is_empty() {
        text = format!("{text}, but not {}", policy.errors_not_to_retry.as_slice().join(", "));
    }
    match policy.strategy {
        Some(strategy) => format!("{text}; {strategy}"),
        None => text,
    }
}

fn hide_values(function: &mut Value) {
    let variables = function.get_mut("environmentVariables").and_then(Value::as_object_mut);
    for variable in variables.into_iter().flat_map(|variables| variables.values_mut()) {
        *variable = serde_json::json!({ "value": HIDDEN });
    }
}

/// How many records to list.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct HowManyArgs {
    /// The largest number to show
    #[arg(long, value_name = "N", default_value = "20", value_parser = at_least_1)]
    limit: u64,

    /// Show all
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

fn at_least_1(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a whole number of at least 1".to_owned())
}

impl From<HowManyArgs> for HowMany {
    fn from(args: HowManyArgs) -> Self {
        if args.all { Self::All } else { Self::First(args.limit) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn function() -> Value {
        json!({
            "name": "hello-js", "description": "Says\u{1b}[31m hello", "entryPoint": "index.handler", "runtime": "nodejs22.x",
            "timeLimit": 30, "memoryLimit": 128, "environmentVariables": { "API_KEY": { "value": "s3cret" }, "B2": { "value": "" } },
            "retryPolicy": { "enabled": true, "errorsToRetry": ["A", "B"] }, "enabled": true,
            "executionOptions": { "permissionMode": "allUsers", "defaultPriority": 3 },
            "version": 3, "label": "4f2c1ab", "updateTimestamp": "2026-01-31T08:15:30.123Z", "codeSha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        })
    }

    #[test]
    fn the_values_of_the_environment_are_hidden_by_default() {
        let details = |show| details(Layout::PLAIN, &serde_json::from_value(function()).unwrap(), show);
        insta::assert_snapshot!(details(false), @"
        Name              hello-js
        Description       Says [31m hello
        Enabled           yes
        Runtime           nodejs22.x
        Entry point       index.handler
        Image             -
        Time limit        30 s
        Memory limit      128 MB
        Executed by       allUsers
        Default priority  3
        Retries           A, B
        Results           -
        Tasks wait        -
        Events            -
        At once           -
        Flow              -
        Data schema       -
        Result schema     -
        Secrets           -
        AWS               -
        Environment       API_KEY=••••
                          B2=••••
        Version           3 (4f2c1ab)
        Code SHA-256      47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
        Updated           2026-01-31T08:15:30.123Z
        ");
        assert!(details(true).contains("API_KEY=s3cret"));
        let mut of_aws = function();
        of_aws["secrets"] = json!({ "TOKEN": "ssm:/tasklane/prod/token" });
        of_aws["aws"] = json!({ "tracing": "Active", "ephemeralStorage": 1024 });
        let shown = super::details(Layout::PLAIN, &serde_json::from_value(of_aws).unwrap(), false);
        assert!(shown.contains("TOKEN from ssm:/tasklane/prod/token"), "{shown}");
        assert!(shown.contains("ephemeralStorage: 1024") && shown.contains("tracing: Active"), "{shown}");
        let mut of_image = function();
        for field in ["entryPoint", "runtime"] {
            of_image.as_object_mut().unwrap().remove(field);
        }
        of_image["image"] = json!("registry/hello:1");
        let shown = super::details(Layout::PLAIN, &serde_json::from_value(of_image).unwrap(), false);
        assert!(shown.contains("Image             registry/hello:1\n"), "{shown}");
        let policy = |json| retries(&serde_json::from_value(json).unwrap());
        assert_eq!(policy(json!({ "enabled": true, "errorsNotToRetry": ["C"] })), "every error, but not C");
        let strategy = json!({ "maxRetries": 5, "baseSeconds": 3 });
        let shown = policy(json!({ "enabled": true, "errorsToRetry": ["A"], "strategy": strategy }));
        assert_eq!(shown, "A; at most 5, after 3 s, doubling up to 3600 s, with jitter");
        let mut json = function();
        hide_values(&mut json);
        assert_eq!(json["environmentVariables"]["API_KEY"], json!({ "value": HIDDEN }));
        assert!(!json.to_string().contains("s3cret"));
    }
}
