//! Valid and invalid `task-config.json` files.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tasklane_model::{CatchUp, Overlap, PermissionMode, Recurrence, RetryPolicyChange};

use super::*;

fn variables(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("s3cret".to_owned()),
        "LIMIT" => Some("60".to_owned()),
        "ON" => Some("true".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn minimal() -> Value {
    json!({ "name": "hello", "path": "./dist", "entryPoint": "index.handler", "runtime": "nodejs22.x" })
}

fn with(property: &str, value: Value) -> Value {
    let mut config = minimal();
    config[property] = value;
    config
}

fn without(property: &str) -> Value {
    let mut config = minimal();
    config.as_object_mut().unwrap().remove(property);
    config
}

/// A code folder with handlers for Node.js and Python.
fn code(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for file in ["index.js", "index.py"] {
        fs::write(folder.join(file), "").unwrap();
    }
}

/// Writes the file beside a code folder `dist` and loads it.
fn load(text: &str) -> Result<TaskConfig, String> {
    let dir = tempfile::tempdir().unwrap();
    code(&dir.path().join("dist"));
    fs::write(dir.path().join("a-file"), "").unwrap();
    fs::write(dir.path().join(FILE_NAME), text).unwrap();
    let prefix = format!("{}/", dir.path().display());
    TaskConfig::load(&dir.path().join(FILE_NAME), None, &variables).map_err(|e| e.to_string().replace(&prefix, ""))
}

#[test]
fn every_property_is_read() {
    let config = load(
        &json!({
            "$schema": "https://example.com/TaskConfig.json",
            "name": "hello_1",
            "path": "dist",
            "entryPoint": "index.handler",
            "runtime": "python3.13",
            "description": "Says hello",
            "timeLimit": 60,
            "memoryLimit": 256,
            "environment": { "GREETING": "hi", "API_KEY": "$SECRET", "NONE": "" },
            "executionPermission": "allUsers",
            "defaultPriority": -3,
            "retryPolicy": { "enabled": true, "errorsToRetry": ["CONNECTION_ERROR"] },
        })
        .to_string(),
    )
    .unwrap();
    assert_eq!(config.name.as_str(), "hello_1");
    let ConfiguredProgram::Zip { code_dir, entry_point, runtime } = &config.program else { panic!("{config:?}") };
    assert!(code_dir.ends_with("dist"));
    assert_eq!((entry_point.as_str(), runtime.as_str()), ("index.handler", "python3.13"));
    assert_eq!(config.options.description.as_deref(), Some("Says hello"));
    assert_eq!(config.options.time_limit.unwrap().get(), 60);
    assert_eq!(config.options.memory_limit.unwrap().get(), 256);
    let environment: Vec<_> = config.options.environment.as_ref().unwrap().iter().collect();
    assert_eq!(environment, [("API_KEY", "s3cret"), ("GREETING", "hi"), ("NONE", "")]);
    assert_eq!(config.options.permission_mode, Some(PermissionMode::AllUsers));
    assert_eq!(config.options.default_priority.unwrap().get(), -3);
    let policy =
        RetryPolicyChange { errors_to_retry: vec!["CONNECTION_ERROR".to_owned()], ..RetryPolicyChange::every_error() };
    assert_eq!(config.options.retry_policy, Some(policy));
}

#[test]
fn a_retry_strategy_is_read_and_null_removes_it() {
    let policy = |policy: Value| load(&with("retryPolicy", policy).to_string()).unwrap().options.retry_policy.unwrap();
    let kept = policy(json!({ "enabled": true }));
    assert_eq!((kept.strategy, kept.errors_not_to_retry), (None, None));
    let set =
        policy(json!({ "enabled": true, "errorsNotToRetry": ["A"], "strategy": { "maxRetries": 7, "jitter": false } }));
    assert_eq!(set.strategy.unwrap().unwrap().to_string(), "at most 7, after 2 s, doubling up to 3600 s");
    assert_eq!(set.errors_not_to_retry.unwrap().unwrap().as_slice(), ["A"]);
    let removed = policy(json!({ "enabled": true, "errorsNotToRetry": null, "strategy": null }));
    assert_eq!((removed.strategy, removed.errors_not_to_retry), (Some(None), Some(None)));
}

#[test]
fn the_time_that_tasks_may_wait_is_read_and_null_removes_it() {
    let read = |value: Value| load(&with("timeouts", value).to_string()).map(|config| config.options.queued_timeout);
    assert_eq!(read(json!({ "queued": 60 })).unwrap().unwrap().unwrap().get(), 60);
    assert_eq!(read(json!({})).unwrap(), None);
    assert_eq!(read(json!({ "queued": null })).unwrap(), Some(None));
    assert_eq!(read(json!(null)).unwrap(), Some(None));
    for wrong in [json!(5), json!({ "queued": 0 }), json!({ "queue": 5 })] {
        assert!(read(wrong.clone()).unwrap_err().to_string().contains("timeouts"), "{wrong}");
    }
}

#[test]
fn absent_properties_are_none() {
    let config = load(&minimal().to_string()).unwrap();
    assert_eq!(
        (
            config.options.description,
            config.options.time_limit,
            config.options.memory_limit,
            config.options.environment
        ),
        (None, None, None, None)
    );
    assert_eq!(
        (config.options.permission_mode, config.options.default_priority, config.options.retry_policy),
        (None, None, None)
    );
}

#[test]
fn every_value_can_come_from_the_environment() {
    let config = load(
        &json!({
            "name": "hello", "path": "dist", "entryPoint": "index.handler", "runtime": "nodejs22.x",
            "timeLimit": "$LIMIT",
            "retryPolicy": { "enabled": "$ON", "errorsToRetry": ["$SECRET"] },
        })
        .to_string(),
    )
    .unwrap();
    assert_eq!(config.options.time_limit.unwrap().get(), 60);
    let policy = RetryPolicyChange { errors_to_retry: vec!["s3cret".to_owned()], ..RetryPolicyChange::every_error() };
    assert_eq!(config.options.retry_policy, Some(policy));
}

#[test]
fn problems_name_the_property_and_the_rule() {
    let retry = |policy: Value| with("retryPolicy", policy).to_string();
    let table = [
        ("{", "task-config.json: is not JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "task-config.json: must be a JSON object"),
        (&without("name").to_string(), "task-config.json: the property 'name' is required"),
        (&without("runtime").to_string(), "task-config.json: the property 'runtime' is required"),
        (
            &with("name", json!("a b")).to_string(),
            "task-config.json: 'name' must be 1 to 64 of the characters A-Z a-z 0-9 _ -",
        ),
        (&with("name", json!(1)).to_string(), "task-config.json: 'name' must be a string"),
        (
            &with("path", json!("missing")).to_string(),
            "task-config.json: 'path' leads to missing, which does not exist; do you have to build the code first?",
        ),
        (
            &with("entryPoint", json!("src/index.handler")).to_string(),
            "task-config.json: 'entryPoint' leads to ./dist/src/index.js (or .mjs, .cjs), which does not exist; \
             build the code first, or correct 'entryPoint' or 'path'",
        ),
        (
            &with("path", json!("a-file")).to_string(),
            "task-config.json: 'path' leads to a-file, which is a file; it must be the folder with the code",
        ),
        (
            &with("runtime", json!("nodjs22.x")).to_string(),
            "task-config.json: 'runtime' must be a runtime of AWS Lambda, e.g. nodejs22.x or python3.13; did you mean 'nodejs22.x'?",
        ),
        (
            &with("timeLimit", json!(2)).to_string(),
            "task-config.json: 'timeLimit' must be a whole number of seconds from 3 to 300",
        ),
        (&with("timeLimit", json!("60")).to_string(), "task-config.json: 'timeLimit' must be a whole number"),
        (&with("memoryLimit", json!(128.5)).to_string(), "task-config.json: 'memoryLimit' must be a whole number"),
        (
            &with("memoryLimt", json!(128)).to_string(),
            "task-config.json: there is no property 'memoryLimt'; did you mean 'memoryLimit'?",
        ),
        (
            &with("timelimit", json!(5)).to_string(),
            "task-config.json: there is no property 'timelimit'; did you mean 'timeLimit'?",
        ),
        (&with("storeResult", json!("yes")).to_string(), "task-config.json: 'storeResult' must be true or false"),
        (&with("tags", json!([])).to_string(), "task-config.json: there is no property 'tags'"),
        (
            &with("executionPermission", json!("nobody")).to_string(),
            "task-config.json: 'executionPermission' must be one of permissionRequired, allUsers, public",
        ),
        (&with("environment", json!({"AB": 1})).to_string(), "task-config.json: 'environment.AB' must be a string"),
        (
            &with("environment", json!({"AWS_REGION": "x"})).to_string(),
            "task-config.json: 'environment': the environment variable 'AWS_REGION' is reserved: Lambda sets it itself",
        ),
        (
            &with("environment", json!({"AB": "$NOT_THERE"})).to_string(),
            "task-config.json: 'environment.AB' comes from the environment variable 'NOT_THERE', which is not set or is empty",
        ),
        (
            &with("description", json!("$EMPTY")).to_string(),
            "task-config.json: 'description' comes from the environment variable 'EMPTY', which is not set or is empty",
        ),
        (
            &with("description", json!("é".repeat(257))).to_string(),
            "task-config.json: 'description' must be at most 256 characters",
        ),
        (&retry(json!({})), "task-config.json: the property 'retryPolicy.enabled' is required"),
        (&retry(json!({"enabled": "yes"})), "task-config.json: 'retryPolicy.enabled' must be true or false"),
        (
            &retry(json!({"enabled": true, "errorToRetry": []})),
            "task-config.json: there is no property 'retryPolicy.errorToRetry'; did you mean 'retryPolicy.errorsToRetry'?",
        ),
        (
            &retry(json!({"enabled": true, "strategy": {"maxRetry": 1}})),
            "task-config.json: there is no property 'retryPolicy.strategy.maxRetry'; did you mean 'retryPolicy.strategy.maxRetries'?",
        ),
        (
            &retry(json!({"enabled": true, "strategy": {"maxRetries": 51}})),
            "task-config.json: 'retryPolicy.strategy.maxRetries' must be a whole number from 0 to 50",
        ),
        (
            &retry(json!({"enabled": true, "strategy": {"backoff": "linear"}})),
            "task-config.json: 'retryPolicy.strategy.backoff' must be one of fixed, exponential",
        ),
        (
            &retry(json!({"enabled": true, "strategy": {"baseSeconds": 9, "maxSeconds": 8}})),
            "task-config.json: 'retryPolicy.strategy.maxSeconds' must not be less than 'baseSeconds'",
        ),
        (
            &retry(json!({"enabled": true, "errorsNotToRetry": [""]})),
            "task-config.json: 'retryPolicy.errorsNotToRetry' must be at most 100 strings of 1 to 256 characters each",
        ),
        (
            &retry(json!({"enabled": true, "errorsToRetry": [1]})),
            "task-config.json: 'retryPolicy.errorsToRetry' must be a list of error names",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(load(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn execution_credentials_are_read_with_names_of_other_services() {
    let read = |value: Value| load(&with("executionCredentials", value).to_string());
    let credentials = |value: Value| read(value).unwrap().execution_credentials.unwrap();
    assert_eq!(load(&minimal().to_string()).unwrap().execution_credentials, None);
    let all = credentials(json!({ "permissions": ["VIEW_TASKS", "VIEW_DOCUMENTS:notes"], "email": "Me@Example.com" }));
    assert_eq!(all.permissions.iter().collect::<Vec<_>>(), ["VIEW_DOCUMENTS:notes", "VIEW_TASKS"]);
    assert_eq!(all.email.unwrap().as_str(), "me@example.com");
    assert_eq!(credentials(json!({ "permissions": [] })).email, None);
    for (value, expected) in [
        (json!([]), "'executionCredentials' must be an object"),
        (json!({}), "'executionCredentials' must have 'permissions', which may be an empty list"),
        (json!({ "permissions": "VIEW_TASKS" }), "'executionCredentials.permissions' must be a list of strings"),
        (json!({ "permissions": ["A B"] }), "'executionCredentials.permissions' contains an invalid permission"),
        (json!({ "permissions": [], "email": "me" }), "'executionCredentials.email' must be an email address"),
        (json!({ "permissions": [], "mail": "x" }), "no property 'executionCredentials.mail'; did you mean"),
    ] {
        let error = read(value).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let mut both = with("executionCredentials", json!({ "permissions": [] }));
    both["environment"] = json!({ "API_OAUTH_TOKEN": "x", "OTHER": "y" });
    let error = load(&both.to_string()).unwrap_err();
    assert_eq!(
        error,
        "task-config.json: 'environment.API_OAUTH_TOKEN' is set by 'executionCredentials': remove one of them"
    );
}

#[test]
fn a_repository_of_the_official_cli_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for path in ["listed/functions/a", "listed/more/b", "listed/tasks/ignored", "default/tasks/c", "empty/tasks/d"] {
        file(&format!("{path}/task-config.json"), "{}");
    }
    file("listed/repo-config.json", r#"{"schemas":["x"],"tasks":["./functions","/more"]}"#);
    file("empty/repo-config.json", r#"{"templates":[]}"#);
    file("broken/repo-config.json", "{");
    file("wrong/repo-config.json", r#"{"tasks":"functions"}"#);
    file("gone/repo-config.json", r#"{"tasks":["functions"]}"#);
    let found = |path: &str| find_for_sync(&dir.path().join(path)).map(|found| relative(dir.path(), found));
    let listed = ["listed/./functions/a/task-config.json", "listed/more/b/task-config.json"];
    assert_eq!(found("listed").unwrap(), listed);
    assert_eq!(found("default").unwrap(), ["default/tasks/c/task-config.json"]);
    for (path, expected) in [
        ("empty", "no task-config.json here"),
        ("broken", "repo-config.json: is not JSON"),
        ("wrong", "repo-config.json: 'tasks' must be a list of folders"),
        ("gone", "repo-config.json: 'tasks' names 'functions', which is not a folder"),
    ] {
        let error = found(path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let mut config = with("timeLimit", json!(1));
    config["nmae"] = json!("x");
    config["runtime"] = json!("cobol");
    let error = load(&config.to_string()).unwrap_err();
    insta::assert_snapshot!(error, @"
    task-config.json: 3 problems
      - there is no property 'nmae'; did you mean 'name'?
      - 'runtime' must be a runtime of AWS Lambda, e.g. nodejs22.x or python3.13
      - 'timeLimit' must be a whole number of seconds from 3 to 300
    ");
}

#[test]
fn errors_and_debug_never_quote_the_value_of_a_variable() {
    for property in ["name", "entryPoint", "runtime", "timeLimit", "executionPermission", "path"] {
        // "path" may show its target; the others have an invalid value.
        let value = if property == "entryPoint" { json!({ "a": "$SECRET" }) } else { json!("$SECRET") };
        if let Err(error) = load(&with(property, value).to_string())
            && property != "path"
        {
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    fs::write(&file, with("environment", json!({"API_KEY": "$SECRET"})).to_string()).unwrap();
    let draft = Draft::read(&file, &variables).unwrap();
    assert!(!format!("{draft:?}").contains("s3cret"));
    code(&dir.path().join("dist"));
    assert!(!format!("{:?}", draft.finish().unwrap()).contains("s3cret"));
}

#[test]
fn the_command_line_overrides_the_file() {
    let dir = tempfile::tempdir().unwrap();
    code(&dir.path().join("dist"));
    code(&dir.path().join("other"));
    let file = dir.path().join(FILE_NAME);
    fs::write(&file, with("environment", json!({"KEPT": "1", "CHANGED": "1"})).to_string()).unwrap();
    let mut draft = Draft::read(&file, &variables).unwrap();
    draft.set("timeLimit", 90);
    draft.set_code_dir(&dir.path().join("other"));
    draft.set_variable("CHANGED", "2");
    draft.set_variable("ADDED", "$NOT_TAKEN_FROM_ANYWHERE");
    let config = draft.finish().unwrap();
    assert_eq!(config.options.time_limit.unwrap().get(), 90);
    assert_eq!(config.program.place(), dir.path().join("other"));
    let environment = config.options.environment.unwrap();
    let environment: Vec<_> = environment.iter().collect();
    assert_eq!(environment, [("ADDED", "$NOT_TAKEN_FROM_ANYWHERE"), ("CHANGED", "2"), ("KEPT", "1")]);
}

#[test]
fn a_configuration_may_come_from_the_command_line_alone() {
    let dir = tempfile::tempdir().unwrap();
    code(dir.path());
    let mut draft = Draft::empty();
    draft.set("name", "hello");
    draft.set_code_dir(dir.path());
    draft.set("entryPoint", "index.handler");
    assert_eq!(draft.clone().finish().unwrap_err().to_string(), "the command line: the property 'runtime' is required");
    draft.set("runtime", "nodejs22.x");
    assert_eq!(draft.finish().unwrap().program.place(), dir.path());
}

fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{}").unwrap();
    }
    dir
}

fn relative(dir: &Path, found: Vec<std::path::PathBuf>) -> Vec<String> {
    found.iter().map(|path| path.strip_prefix(dir).unwrap().display().to_string()).collect()
}

#[test]
fn find_searches_deeply_but_skips_dependencies() {
    let dir = tree(&[
        "task-config.json",
        "b/task-config.json",
        "a/deep/down/task-config.json",
        "a/other.json",
        "node_modules/x/task-config.json",
        "a/node_modules/x/task-config.json",
        "target/x/task-config.json",
        ".git/task-config.json",
    ]);
    let found = find(&[dir.path().to_owned(), dir.path().join("b")]).unwrap();
    assert_eq!(relative(dir.path(), found), ["a/deep/down/task-config.json", "b/task-config.json", "task-config.json"]);
    let named = find(&[dir.path().join("a/other.json"), dir.path().join("node_modules")]).unwrap();
    assert_eq!(relative(dir.path(), named), ["a/other.json", "node_modules/x/task-config.json"]);
    let error = find(&[dir.path().join("nowhere")]).unwrap_err().to_string();
    assert!(error.contains("nowhere: cannot be read"), "{error}");
}

#[test]
fn sync_accepts_a_file_a_folder_or_the_folders_in_it() {
    let dir = tree(&[
        "one/task-config.json",
        "one/dist/task-config.json",
        "many/b/task-config.json",
        "many/a/task-config.json",
        "many/a/deep/task-config.json",
        "many/none/index.js",
        "many/node_modules/task-config.json",
        "bare/index.js",
    ]);
    let found = |path: &str| find_for_sync(&dir.path().join(path)).map(|found| relative(dir.path(), found));
    assert_eq!(found("one").unwrap(), ["one/task-config.json"]);
    assert_eq!(found("many").unwrap(), ["many/a/task-config.json", "many/b/task-config.json"]);
    assert_eq!(found("many/b/task-config.json").unwrap(), ["many/b/task-config.json"]);
    let error = found("bare").unwrap_err().to_string();
    assert!(
        error.ends_with("bare: no task-config.json here, in a folder directly below, or where a repo-config.json says"),
        "{error}"
    );
    assert!(found("nowhere").is_err());
}

#[test]
fn schedules_are_read_with_the_data_as_it_is_written() {
    let mut text = with(
        "schedules",
        json!([
            { "name": "nightly", "cron": "30 2 * * *", "timezone": "europe/berlin", "overlap": "skip", "catchUp": "all",
              "priority": "$LIMIT", "endTimestamp": "2030-01-01T00:00:00Z", "onComplete": { "functionName": "next" } },
            { "name": "poll", "interval": 60, "data": "DATA" },
            { "name": "secret", "interval": 60, "data": { "key": "$SECRET" } },
        ]),
    )
    .to_string();
    text = text.replace("\"DATA\"", "{ \"n\": 1.50, \"big\": 12345678901234567890123 }");
    let schedules = load(&text).unwrap().schedules.unwrap();
    let [nightly, poll, secret] = schedules.as_slice() else { panic!("{schedules:?}") };
    let Recurrence::Cron(cron, zone) = &nightly.recurrence else { panic!("{nightly:?}") };
    assert_eq!((cron.to_string().as_str(), zone.to_string().as_str()), ("30 2 * * *", "Europe/Berlin"));
    assert_eq!((nightly.overlap, nightly.catch_up), (Some(Overlap::Skip), Some(CatchUp::All)));
    assert_eq!(nightly.priority.map(i64::from), Some(60));
    assert_eq!(nightly.on_complete.as_ref().unwrap().function_name.as_str(), "next");
    assert!(nightly.data.is_none() && nightly.start_timestamp.is_none() && nightly.end_timestamp.is_some());
    assert_eq!(poll.data.as_ref().unwrap().as_str(), r#"{ "n": 1.50, "big": 12345678901234567890123 }"#);
    assert_eq!(secret.data.as_ref().unwrap().as_str(), r#"{"key":"s3cret"}"#);
    for none in [json!(null), json!([])] {
        assert_eq!(load(&with("schedules", none).to_string()).unwrap().schedules, Some(Vec::new()));
    }
    let unnamed = load(&minimal().to_string()).unwrap();
    assert_eq!((unnamed.schedules.clone(), unnamed.exact().schedules), (None, Some(Vec::new())));
}

#[test]
fn a_schedule_that_could_not_be_created_is_refused() {
    for (schedules, expected) in [
        (json!({}), "'schedules' must be a list"),
        (json!([1]), "'schedules[0]' must be an object"),
        (json!([{ "interval": 5 }]), "the property 'schedules[0].name' is required"),
        (json!([{ "name": "a" }]), "'schedules[0]' needs 'interval' or 'cron'"),
        (json!([{ "name": "a", "interval": 0 }]), "'schedules[0].interval' must be"),
        (json!([{ "name": "a", "cron": "* *" }]), "'schedules[0].cron' "),
        (json!([{ "name": "a", "cron": "@daily", "timezone": "Berlin" }]), "'schedules[0].timezone' "),
        (json!([{ "name": "a", "cron": "@daily", "interval": 5 }]), "not both"),
        (json!([{ "name": "a", "interval": 5, "timezone": "UTC" }]), "'timezone' belongs to 'cron'"),
        (json!([{ "name": "a", "interval": 5, "overlap": "no" }]), "must be one of allow, skip, queue"),
        (json!([{ "name": "a", "interval": 5, "endTimestamp": "soon" }]), "'schedules[0].endTimestamp' "),
        (json!([{ "name": "a", "interval": 5, "onComplete": {} }]), "'schedules[0].onComplete' must be an object"),
        (json!([{ "name": "a", "interval": 5, "crn": 1 }]), "there is no property 'schedules[0].crn'; did you mean"),
        (
            json!([{ "name": "a", "interval": 5 }, { "name": "a", "interval": 6 }]),
            "'schedules[1].name' is the name of another one, too",
        ),
        (json!(vec![json!({ "name": "a", "interval": 5 }); 101]), "'schedules' must have at most 100 entries"),
    ] {
        let error = load(&with("schedules", schedules.clone()).to_string()).unwrap_err();
        assert!(error.contains(expected), "{schedules}: {error}");
    }
}

#[test]
fn options_for_aws_and_secrets_are_checked_in_the_file() {
    let config = load(
        &with(
            "aws",
            json!({ "tracing": "Active", "layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:a:1"], "vpc": null }),
        )
        .to_string(),
    )
    .unwrap();
    let aws = config.options.aws.clone().unwrap().unwrap();
    assert_eq!((aws.layers().len(), aws.vpc.is_none()), (1, true));
    assert_eq!(load(&with("aws", Value::Null).to_string()).unwrap().options.aws, Some(None));
    assert_eq!(load(&minimal().to_string()).unwrap().options.aws, None);
    let config = load(&with("secrets", json!({ "TOKEN": "ssm:/tasklane/prod/token" })).to_string()).unwrap();
    assert_eq!(config.options.secrets.unwrap().get("TOKEN").unwrap().as_str(), "ssm:/tasklane/prod/token");
    for (property, value, says) in [
        ("aws", json!([]), "'aws' must be an object"),
        ("aws", json!({ "trace": "Active" }), "'aws.trace'"),
        ("aws", json!({ "tracing": "on" }), "'aws.tracing' must be one of Active, PassThrough"),
        ("aws", json!({ "layers": "a" }), "'aws.layers' must be a list of strings"),
        ("aws", json!({ "vpc": { "subnetIds": ["subnet-1"] } }), "'aws.vpc' must have"),
        ("secrets", json!({ "TOKEN": "s3cret" }), "'secrets.TOKEN' must be ssm:"),
        ("secrets", json!({ "1": "ssm:/tasklane/prod/token" }), "'secrets' is wrong"),
    ] {
        let error = load(&with(property, value).to_string()).unwrap_err();
        assert!(error.contains(says) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_schema_stands_in_the_file_or_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    code(&dir.path().join("f/dist"));
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let read = |data: &str, confines: Option<&Path>| {
        let config = with("dataSchema", json!("HERE")).to_string().replace("\"HERE\"", data);
        write("f/task-config.json", &config);
        let prefix = format!("{}/", dir.path().display());
        let config = TaskConfig::load(&dir.path().join("f/task-config.json"), confines, &variables);
        let schema = config
            .map(|config| config.options.data_schema.map(|schema| schema.map(|one| one.as_json().as_str().to_owned())));
        schema.map_err(|error| error.to_string().replace(&prefix, ""))
    };
    write("f/data.json", "\u{feff}{ \"maximum\": 12345678901234567890.10 }\n");
    write("outside.json", "true");
    write("f/text.json", "{");
    write("f/wrong.json", r#"{"type":"strin"}"#);
    write("f/large.json", &" ".repeat(2 << 20));
    let schema = |text: &str| Ok(Some(Some(text.to_owned())));
    assert_eq!(read("\"data.json\"", None), schema(r#"{"maximum":12345678901234567890.10}"#));
    // What begins with `$` in a schema is no variable, and numbers keep their digits.
    let inline =
        r##"{"pattern":"$","enum":["$SECRET"],"minimum":1.00,"$defs":{"a":{"$ref":"#"}},"properties":{"$a":true}}"##;
    assert_eq!(read(inline, None), schema(inline));
    assert_eq!(read("true", None), schema("true"));
    assert_eq!(read("null", None), Ok(Some(None)));
    assert_eq!(read("\"../outside.json\"", None), schema("true"));
    let refusal = |data: &str, confines: Option<&Path>| read(data, confines).unwrap_err();
    let at = "f/task-config.json: 'dataSchema' ";
    assert_eq!(
        refusal("\"wrong.json\"", None),
        format!(
            "{at}leads to wrong.json, which must be a JSON Schema: '/type' must be object, array, string, number, integer, boolean or null, or a list of these"
        )
    );
    for (data, message) in [
        (r#"{"required":1}"#, "must be a JSON Schema: '/required' must be a list of different names"),
        ("5", "must be a JSON Schema: it must be an object, true or false"),
        ("\"data.yaml\"", "leads to data.yaml: it must be a schema, or the path of a .json file"),
        ("\"none.json\"", "leads to none.json, which cannot be read: "),
        ("\"text.json\"", "leads to text.json, which is not JSON: "),
        ("\"large.json\"", "leads to large.json, which is larger than a schema may be"),
    ] {
        let said = refusal(data, None);
        assert!(said.starts_with(&format!("{at}{message}")), "{said}");
    }
    let folder = dir.path().join("f");
    let said = refusal("\"../outside.json\"", Some(&folder));
    assert!(said.contains("leads to ../outside.json, which is outside of the folder"), "{said}");
}

#[test]
fn an_image_takes_the_place_of_the_code() {
    const URI: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hello:1";
    let image = |image: &str| json!({ "name": "Hello", "image": image }).to_string();
    let config = load(&image(URI)).unwrap();
    let ConfiguredProgram::Image { image: name, .. } = &config.program else { panic!("{config:?}") };
    assert_eq!(name.as_str(), URI);
    assert_eq!(config.program.image(), Some(name));
    let config = load(&image("./a-file")).unwrap();
    let ConfiguredProgram::ImageFile { place, image: name } = &config.program else { panic!("{config:?}") };
    assert!(place.ends_with("a-file"), "{place:?}");
    assert_eq!(name.as_str(), "local/Hello");
    for (text, problem) in [
        (
            image("./absent.tar"),
            "'image' leads to ./absent.tar, which does not exist; do you have to build the image first?",
        ),
        (image("a b"), "'image' must be the name of an image"),
        (image("image.tar "), "a path that begins with ./, e.g. ./image.tar"),
        (with("image", json!(URI)).to_string(), "'image' takes the place of 'path': leave one of them out"),
        (with("image", json!(7)).to_string(), "'image' must be a string"),
    ] {
        let said = load(&text).unwrap_err();
        assert!(said.contains(problem), "{said}");
    }
}

#[test]
fn an_image_is_within_the_folder_that_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("functions");
    fs::create_dir(&folder).unwrap();
    fs::write(dir.path().join("image.tar"), "").unwrap();
    let file = folder.join(FILE_NAME);
    fs::write(&file, json!({ "name": "hello", "image": "../image.tar" }).to_string()).unwrap();
    assert!(TaskConfig::load(&file, None, &variables).is_ok());
    let refused = TaskConfig::load(&file, Some(&folder), &variables).unwrap_err().to_string();
    assert!(refused.contains("outside") && refused.contains("--allow-outside"), "{refused}");
}
