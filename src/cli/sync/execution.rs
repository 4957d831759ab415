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
    use super::*;

    #[test]
    fn permissions_of_other_services_are_named() {
        let line = |names: &[&str]| unknown_line(&Permissions::parse(names.iter().copied()).unwrap());
        assert_eq!(line(&["VIEW_TASKS", "EXECUTE_TASK_FUNCTION:a"]), None);
        insta::assert_snapshot!(line(&["VIEW_TASK", "VIEW_DOCUMENTS:notes"]).unwrap(), @"no permissions of this service, so they grant nothing: VIEW_DOCUMENTS:notes, VIEW_TASK (did you mean VIEW_TASKS?)");
    }
}
