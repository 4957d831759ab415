//! The credential that a Function calls the service back with: `executionCredentials`.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};
use tasklane_client::{ExecutionCredentials, ExecutionCredentialsBody, FunctionDetails};
use tasklane_model::{Environment, Permissions};
use tasklane_task_config::{CREDENTIAL_VARIABLES, ExecutionCredentials as Wanted, TaskConfig};

use super::plan::{Change, Kind};

/// What to ask the service for. The Function keeps the keys that it has, if they are valid.
pub(crate) fn body(wanted: &Wanted, current: Option<&FunctionDetails>, dry_run: bool) -> ExecutionCredentialsBody {
    let (consumer_key, token) = current.and_then(keys_of).unzip();
    ExecutionCredentialsBody {
        permissions: wanted.permissions.clone(),
        email: wanted.email.clone(),
        consumer_key,
        token,
        dry_run,
    }
}

/// The consumer key and the token of a Function that has everything it needs to sign with them.
fn keys_of(current: &FunctionDetails) -> Option<(String, String)> {
    let value = |name: &str| {
        let variable = current.environment_variables.get(name)?;
        (!variable.value.is_empty()).then(|| variable.value.clone())
    };
    let [_, consumer_key, _, token, _] = CREDENTIAL_VARIABLES;
    let is_complete = CREDENTIAL_VARIABLES.iter().all(|name| value(name).is_some());
    value(consumer_key).zip(value(token)).filter(|_| is_complete)
}

/// The configuration with the five variables in its environment. Of a file without an `environment`, the Function keeps its
/// other variables.
pub(crate) fn with_variables(
    config: TaskConfig,
    current: Option<&FunctionDetails>,
    host: &str,
    answer: &ExecutionCredentials,
) -> anyhow::Result<TaskConfig> {
    let has =
        |name: &str| current.and_then(|current| current.environment_variables.get(name)).map(|has| has.value.clone());
    let mut variables: BTreeMap<String, String> = match (&config.options.environment, current) {
        (Some(named), _) => named.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        (None, Some(current)) => {
            let all = current.environment_variables.iter();
            all.map(|(name, variable)| (name.clone(), variable.value.clone())).collect()
        }
        (None, None) => BTreeMap::new(),
    };
    let [host_name, keys @ ..] = CREDENTIAL_VARIABLES;
    variables.insert(host_name.to_owned(), host.to_owned());
    let values = match &answer.keys {
        Some(new) => {
            let (consumer, token) = (new.consumer_secret.expose(), new.token_secret.expose());
            [&new.consumer_key, consumer, &new.token, token].map(|value| Some(value.to_owned()))
        }
        // A plan does not show values, only that they differ.
        None if answer.credential_created => keys.map(|name| Some(format!("a new {name}"))),
        None => keys.map(has),
    };
    variables.extend(keys.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?))));
    let environment = Environment::parse(variables)
        .map_err(|rule| anyhow::anyhow!("{rule}"))
        .context("with the variables that 'executionCredentials' sets, the environment is not valid")?;
    let mut config = config;
    config.options.environment = Some(environment);
    Ok(config)
}

/// What the service did, or would do.
pub(crate) fn changes(answer: &ExecutionCredentials) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut add = |happens: bool, field: &str, change: Kind, value: Option<Value>| {
        let (from, to) = if change == Kind::Removed { (value, None) } else { (None, value) };
        if happens {
            changes.push(Change { field: format!("executionCredentials.{field}"), change, from, to });
        }
    };
    let (added, removed) = (&answer.permissions_added, &answer.permissions_removed);
    add(answer.role_created, "role", Kind::Added, Some(json!(answer.role)));
    add(!added.is_empty(), "permissions", Kind::Added, Some(json!(added)));
    add(!removed.is_empty(), "permissions", Kind::Removed, Some(json!(removed)));
    add(answer.user_created, "user", Kind::Added, Some(json!(answer.email)));
    add(answer.role_given, "user", Kind::Changed, Some(json!(format!("{} gets the role", answer.email))));
    add(answer.credential_created, "credential", Kind::Added, None);
    changes
}

/// Says which of the permissions grant nothing, if there are any.
pub(crate) fn unknown_line(permissions: &Permissions) -> Option<String> {
    let one = |name: &str| {
        let unknown = Permissions::parse([name]).ok()?.check_known().err()?;
        let hint = unknown.suggestion().map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
        Some(format!("{name}{hint}"))
    };
    let names: Vec<_> = permissions.iter().filter_map(one).collect();
    (!names.is_empty()).then(|| format!("no permissions of this service, so they grant nothing: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use tasklane_model::{EntryPoint, FunctionName, FunctionOptions, Runtime};

    use super::*;

    fn config() -> TaskConfig {
        TaskConfig {
            name: FunctionName::parse("hello").unwrap(),
            program: tasklane_task_config::ConfiguredProgram::Zip {
                code_dir: "code".into(),
                entry_point: EntryPoint::parse("index.handler").unwrap(),
                runtime: Runtime::new("nodejs22.x"),
            },
            options: FunctionOptions::default(),
            execution_credentials: None,
            schedules: None,
        }
    }

    fn current(variables: &[(&str, &str)]) -> FunctionDetails {
        let variables: BTreeMap<_, _> =
            variables.iter().map(|(name, value)| (*name, json!({ "value": value }))).collect();
        let details = json!({
            "name": "hello", "entryPoint": "index.handler", "runtime": "nodejs22.x", "environmentVariables": variables,
        });
        serde_json::from_value(details).unwrap()
    }

    fn answer(credential_created: bool, keys: Value) -> ExecutionCredentials {
        let answer = json!({
            "role": "exh.tasks.hello", "email": "a@example.com", "roleCreated": false, "permissionsAdded": [],
            "permissionsRemoved": [], "userCreated": false, "roleGiven": false, "credentialCreated": credential_created,
            "keys": keys,
        });
        serde_json::from_value(answer).unwrap()
    }

    const HELD: [(&str, &str); 6] = [
        ("API_HOST", "http://localhost:1"),
        ("API_OAUTH_CONSUMER_KEY", "ck"),
        ("API_OAUTH_CONSUMER_SECRET", "cs"),
        ("API_OAUTH_TOKEN", "t"),
        ("API_OAUTH_TOKEN_SECRET", "ts"),
        ("OTHER", "o"),
    ];

    fn variables(config: TaskConfig, current: Option<&FunctionDetails>, answer: &ExecutionCredentials) -> Vec<String> {
        let config = with_variables(config, current, "http://localhost:2", answer).unwrap();
        config.options.environment.unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_function_keeps_its_keys_and_gets_the_host_of_today() {
        let held = current(&HELD);
        let body = |current| body(&Wanted { permissions: Permissions::none(), email: None }, current, false);
        assert_eq!(
            (body(Some(&held)).consumer_key.as_deref(), body(Some(&held)).token.as_deref()),
            (Some("ck"), Some("t"))
        );
        // One is missing, so it cannot call anything.
        assert_eq!((body(Some(&current(&HELD[1..]))).token, body(None).token), (None, None));
        let kept = variables(config(), Some(&held), &answer(false, Value::Null));
        let same = [
            "API_OAUTH_CONSUMER_KEY=ck",
            "API_OAUTH_CONSUMER_SECRET=cs",
            "API_OAUTH_TOKEN=t",
            "API_OAUTH_TOKEN_SECRET=ts",
        ];
        assert_eq!(kept, [&["API_HOST=http://localhost:2"], &same[..], &["OTHER=o"]].concat());
    }

    #[test]
    fn new_keys_replace_all_and_an_environment_in_the_file_is_the_rest() {
        let new = json!({ "consumerKey": "CK", "consumerSecret": "CS", "token": "T", "tokenSecret": "TS" });
        let mut config = config();
        config.options.environment = Environment::parse([("MINE".to_owned(), "m".to_owned())].into()).ok();
        let set = variables(config.clone(), Some(&current(&HELD)), &answer(true, new));
        let same = [
            "API_OAUTH_CONSUMER_KEY=CK",
            "API_OAUTH_CONSUMER_SECRET=CS",
            "API_OAUTH_TOKEN=T",
            "API_OAUTH_TOKEN_SECRET=TS",
        ];
        assert_eq!(set, [&["API_HOST=http://localhost:2"], &same[..], &["MINE=m"]].concat());
        // A plan has none, and differs from what there is.
        let planned = variables(config, Some(&current(&HELD)), &answer(true, Value::Null));
        assert!(planned.iter().all(|variable| !same.contains(&variable.as_str())) && planned.len() == 6, "{planned:?}");
    }

    #[test]
    fn permissions_of_other_services_are_named() {
        let line = |names: &[&str]| unknown_line(&Permissions::parse(names.iter().copied()).unwrap());
        assert_eq!(line(&["VIEW_TASKS", "EXECUTE_TASK_FUNCTION:a"]), None);
        insta::assert_snapshot!(line(&["VIEW_TASK", "VIEW_DOCUMENTS:notes"]).unwrap(), @"no permissions of this service, so they grant nothing: VIEW_DOCUMENTS:notes, VIEW_TASK (did you mean VIEW_TASKS?)");
    }
}
