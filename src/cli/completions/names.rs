//! Names and ids that only the service knows, for completions. A service that does not answer at once offers nothing, and
//! nothing is ever said: somebody who presses Tab has not run a command.

use std::{any::TypeId, ffi::OsStr, time::Duration};

use clap::{Arg, Parser};
use clap_complete::{ArgValueCompleter, CompletionCandidate};
use tasklane_client::{Client, HowMany, Query};
use tasklane_model::{FunctionName, Schedule, Task};

use crate::{connect::ConnectArgs, schedule_arg, task_arg};

/// How long somebody who pressed Tab is kept waiting at most.
const PATIENCE: Duration = Duration::from_millis(300);

/// How many names are offered at most. Nobody reads more.
const MOST: usize = 500;
/// How many Tasks or Schedules are asked for.
const PAGE: u64 = 30;

/// The longest text beside a name.
const LONGEST: usize = 60;

/// The argument, with completions if its type is a name or an id of something that the service has.
pub(super) fn offered(arg: Arg) -> Arg {
    if !arg.get_action().takes_values() {
        return arg;
    }
    let kind = arg.get_value_parser().type_id();
    let completer: fn(&OsStr) -> Vec<CompletionCandidate> = if kind == TypeId::of::<FunctionName>() {
        |typed| asked(typed, functions)
    } else if kind == TypeId::of::<task_arg::IdPrefix>() {
        |typed| asked(typed, tasks)
    } else if kind == TypeId::of::<schedule_arg::Wanted>() {
        |typed| asked(typed, schedules)
    } else {
        return arg;
    };
    arg.add(ArgValueCompleter::new(completer))
}

/// A name, and what is shown beside it.
type Named = (String, String);

async fn functions(client: &Client, _: &str) -> anyhow::Result<Vec<Named>> {
    let functions = client.functions().await?.into_iter().map(|function| function.value);
    Ok(functions.map(|function| (function.name.to_string(), function.description)).collect())
}

/// The Tasks that were created last; with the first digits of an id, those that have them.
async fn tasks(client: &Client, typed: &str) -> anyhow::Result<Vec<Named>> {
    let query = match typed.parse::<task_arg::IdPrefix>() {
        Ok(prefix) => prefix.query(),
        Err(_) => Query::new(),
    };
    let found = client.tasks(query.sort_by_default("-creationTimestamp"), HowMany::First(PAGE)).await?.parse()?;
    let named = |task: &Task| (task.id.to_string(), format!("{} {}", task.function_name, task.status));
    Ok(found.iter().map(|task| named(&task.value)).collect())
}

/// Schedules by their names; by their ids if a name does not tell which one, or is no single word.
async fn schedules(client: &Client, typed: &str) -> anyhow::Result<Vec<Named>> {
    let found = client.schedules(Query::new(), HowMany::First(PAGE)).await?.parse()?;
    let name_of = |schedule: &Schedule| schedule.name.as_ref().map(ToString::to_string);
    let names: Vec<_> = found.iter().filter_map(|schedule| name_of(&schedule.value)).collect();
    let is_word = |name: &String| name.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
    let is_only = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    let named = |schedule: &Schedule| {
        let id = schedule.id.to_string();
        let name = name_of(schedule);
        match name.clone().filter(is_word).filter(is_only) {
            Some(word) if !id.starts_with(typed) || typed.is_empty() => (word, schedule.function_name.to_string()),
            _ => (id, format!("{} {}", schedule.function_name, name.unwrap_or_default())),
        }
    };
    Ok(found.iter().map(|schedule| named(&schedule.value)).collect())
}

fn asked(
    typed: &OsStr,
    question: impl AsyncFn(&Client, &str) -> anyhow::Result<Vec<Named>>,
) -> Vec<CompletionCandidate> {
    // The words of the line follow this program's own arguments.
    let words = crate::words().into_iter().skip_while(|word| word != "--");
    let Ok(connection) = Connection::try_parse_from(connection_words(words)) else { return vec![] };
    let Some(typed) = typed.to_str() else { return vec![] };
    let Ok(client) = connection.args.client_in_silence() else { return vec![] };
    found(&client, typed, question).into_iter().map(candidate).collect()
}

/// What the service answers in time, if it begins with what was typed.
fn found(
    client: &Client,
    typed: &str,
    question: impl AsyncFn(&Client, &str) -> anyhow::Result<Vec<Named>>,
) -> Vec<Named> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return vec![] };
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, question(client, typed)).await });
    // A name that is still being looked up must not delay the end.
    runtime.shutdown_background();
    let Ok(Ok(named)) = answer else { return vec![] };
    named.into_iter().filter(|(name, _)| name.starts_with(typed)).take(MOST).collect()
}

fn candidate((name, about): Named) -> CompletionCandidate {
    // A stranger may have written it, and a shell shows it as it is.
    let line = about.lines().next().unwrap_or_default();
    let about: String = line.chars().filter(|char| !char.is_control()).take(LONGEST).collect();
    CompletionCandidate::new(name).help((!about.trim().is_empty()).then(|| about.into()))
}

/// The options that choose a service.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Connection {
    #[command(flatten)]
    args: ConnectArgs,
}

/// Those words of a line that choose a service. The line is not complete, so it cannot be parsed as a whole.
fn connection_words(words: impl Iterator<Item = String>) -> Vec<String> {
    const OPTIONS: [&str; 4] = ["--host", "--url", "--credentials", "--access-token"];
    let mut kept = Vec::new();
    let mut is_value = false;
    for word in words {
        let is_option = OPTIONS.contains(&word.as_str());
        if is_value || is_option || OPTIONS.iter().any(|option| word.starts_with(&format!("{option}="))) {
            kept.push(word);
        }
        is_value = is_option && !is_value;
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tasklane_client::testing::{Seen, Server};

    use super::*;

    #[test]
    fn the_service_of_the_line_is_asked() {
        let kept = |line: &str| connection_words(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(kept("tasklane get --host localhost:4001 hel"), "--host localhost:4001");
        assert_eq!(kept("tasklane tasks get --url=http://x --json 69"), "--url=http://x");
        assert_eq!(kept("tasklane get hel"), "");
        let parsed = |line: &str| Connection::try_parse_from(connection_words(line.split(' ').map(str::to_owned)));
        assert!(parsed("get --credentials a/b").is_ok() && parsed("get --host").is_err());
    }

    /// What a service offers that answers every request with this JSON.
    async fn offered(
        typed: &'static str,
        answer: serde_json::Value,
        question: impl AsyncFn(&Client, &str) -> anyhow::Result<Vec<Named>> + Send + 'static,
    ) -> (Vec<Named>, Vec<String>) {
        let server = Server::start(move |_: &Seen| (200, answer.clone())).await;
        let client = server.client();
        let named = question(&client, typed).await.unwrap_or_default();
        (named.into_iter().filter(|(name, _)| name.starts_with(typed)).collect(), server.lines())
    }

    fn page(records: serde_json::Value) -> serde_json::Value {
        let total = records.as_array().unwrap().len();
        json!({ "query": "", "page": { "total": total, "offset": 0, "limit": 50 }, "data": records })
    }

    #[tokio::test]
    async fn functions_have_their_descriptions_and_tasks_are_asked_for_by_their_first_digits() {
        let at = "2026-01-31T08:15:30.123Z";
        let functions_page = page(json!([
            { "name": "hello-js", "description": "Says hello", "updateTimestamp": at }, { "name": "other", "updateTimestamp": at },
        ]));
        let (named, _) = offered("hel", functions_page, functions).await;
        assert_eq!(named, [("hello-js".to_owned(), "Says hello".to_owned())]);
        let (id, line) = ("6b0b29555d12780bbec79662", "ge(id,6b0b29000000000000000000)");
        let task = json!({ "id": id, "functionName": "hello", "status": "failed", "statusChangedTimestamp": at, "tags": [],
            "startTimestamp": at, "priority": 0, "creationTimestamp": at, "updateTimestamp": at });
        let (named, asked) = offered("6b0b29", page(json!([task])), tasks).await;
        assert_eq!(named, [(id.to_owned(), "hello failed".to_owned())]);
        assert!(asked[0].contains(line), "{asked:?}");
    }

    #[tokio::test]
    async fn a_schedule_is_offered_by_its_name_if_that_is_one_word_and_the_only_one() {
        let at = "2026-01-31T08:15:30.123Z";
        let schedule = |number: u8, name: serde_json::Value| {
            let id = format!("6b0b29555d12780bbec7966{number}");
            json!({ "id": id, "name": name, "interval": 60, "functionName": "hello", "startTimestamp": at,
                "creationTimestamp": at, "updateTimestamp": at })
        };
        let schedules_page = page(json!([
            schedule(1, json!("nightly")),
            schedule(2, json!("twice")),
            schedule(3, json!("twice")),
            schedule(4, json!("two words")),
            schedule(5, json!("$(reboot)")),
        ]));
        let (named, _) = offered("", schedules_page, schedules).await;
        let names: Vec<_> = named.iter().map(|(name, _)| name.as_str()).collect();
        let id = |number: u8| format!("6b0b29555d12780bbec7966{number}");
        assert_eq!(names, ["nightly", &id(2), &id(3), &id(4), &id(5)]);
        assert_eq!(named[3].1, "hello two words");
    }

    #[test]
    fn what_a_stranger_wrote_beside_a_name_is_short_and_harmless() {
        let shown = candidate(("x".to_owned(), format!("a\x1b[31m{}\nb", "y".repeat(100))));
        let help = shown.get_help().unwrap().to_string();
        assert!(help.starts_with("a[31myy") && help.len() == LONGEST && !help.contains('\n'), "{help}");
    }
}
