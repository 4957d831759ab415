//! `tasklane dev`: its output, syncing, and events.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::support::{
    dev::Dev,
    project::{write_function, write_source},
    stage::Stage,
    wait::until,
};

#[test]
fn it_prints_its_url_and_only_the_owner_can_read_the_credentials() {
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start::<&str>(home.path(), []);
    let credentials = dev.credentials();
    let mut names: Vec<_> = credentials.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "API_ACCESS_TOKEN",
            "API_HOST",
            "API_OAUTH_CONSUMER_KEY",
            "API_OAUTH_CONSUMER_SECRET",
            "API_OAUTH_TOKEN",
            "API_OAUTH_TOKEN_SECRET"
        ]
    );
    assert_eq!(credentials["API_HOST"], dev.base_url());
    let mode = fs::metadata(dev.credentials_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(dev.get("/users/v1/me")["id"].is_string());
    for secret in ["API_ACCESS_TOKEN", "API_OAUTH_CONSUMER_SECRET", "API_OAUTH_TOKEN_SECRET"] {
        assert!(!dev.stderr().contains(&credentials[secret]), "{secret} was logged");
    }
    dev.stop();
}

#[test]
fn nobody_else_reads_what_is_in_a_data_folder_that_others_may_enter() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join(".tasklane");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let functions = home.path().join("functions");
    write_function(&functions, "greeter", "exports.handler = async () => { throw new Error('seen'); };", &json!({}));
    let dev = Dev::start(home.path(), [&functions]);
    dev.create_task("greeter", json!({}));
    until("its failure is an event", || data.join("events.jsonl").exists().then_some(()));
    dev.stop();
    let open: Vec<_> = fs::read_dir(&data)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.metadata().unwrap().permissions().mode() & 0o077 != 0)
        .map(|entry| entry.file_name())
        .collect();
    assert!(data.join("synced.json").exists() && data.join("stats.sqlite").exists());
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_change_is_synced_and_a_broken_one_keeps_the_last_good_version() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    write_function(&functions, "greeter", "exports.handler = async () => 'first';", &json!({}));
    let dev = Dev::start(home.path(), [&functions]);
    let execute = || dev.ask("POST", "/tasks/v1/functions/greeter/execute", None).ok()["result"].clone();
    assert_eq!(execute(), "first");

    write_source(&functions, "greeter", "exports.handler = async () => 'second';");
    until("the change is synced", || (execute() == "second").then_some(()));

    let config = functions.join("greeter/task-config.json");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, good.replace("index.handler", "index.handler\", \"surprise\": \"x")).unwrap();
    until("the broken file is reported", || dev.stderr().contains("surprise").then_some(()));
    assert_eq!(execute(), "second");

    write_source(&functions, "greeter", "exports.handler = async () => 'third';");
    fs::write(&config, good).unwrap();
    until("the repaired file is synced", || (execute() == "third").then_some(()));

    write_function(&functions, "newcomer", "exports.handler = async () => 'here';", &json!({}));
    until("the new Function is synced", || {
        let answer = dev.ask("POST", "/tasks/v1/functions/newcomer/execute", None);
        (answer.status == 200).then(|| assert_eq!(answer.body["result"], "here"))
    });
    dev.stop();
}

#[test]
fn if_one_function_is_broken_the_others_are_still_served() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    write_function(&functions, "good", "exports.handler = async () => 'good';", &json!({}));
    write_function(&functions, "bad", "", &json!({ "timeLimit": 2 }));
    let dev = Dev::start(home.path(), [&functions]);
    assert_eq!(dev.ask("POST", "/tasks/v1/functions/good/execute", None).ok()["result"], "good");
    let stderr = until("the broken one is reported", || {
        let stderr = dev.stderr();
        stderr.contains("timeLimit").then_some(stderr)
    });
    assert!(stderr.contains("bad"), "{stderr}");
    dev.stop();
}

#[test]
fn a_failed_task_is_published_once_to_the_log_and_to_the_webhook() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let source = "exports.handler = async () => { const e = new Error('why'); e.name = 'MINE'; throw e; };";
    write_function(&functions, "failing", source, &json!({}));
    let webhook = Stage::open();
    let dev = Dev::start(home.path(), ["--webhook".as_ref(), webhook.url().as_ref(), functions.as_os_str()]);
    let task = dev.create_task("failing", json!({}));
    let error = json!({ "type": "runtime", "name": "MINE", "message": "why" });

    let event = webhook.arrived(1).remove(0);
    webhook.release_all();
    assert_eq!(event["type"], "task_failed");
    assert_eq!(event["content"], json!({ "id": task["id"], "functionName": "failing", "error": error }));
    let id = task["id"].as_str().unwrap();
    until("the event is shown", || dev.stderr().contains("task_failed").then_some(()));
    assert!(dev.stderr().contains(id));
    assert_eq!(dev.task(id)["status"], "failed");
    dev.stop();
    assert_eq!(webhook.bodies().len(), 1);
}

#[test]
fn if_the_port_is_taken_the_error_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let ended = crate::support::command::run(home.path(), ["dev", "--listen", &address]).expect(2);
    assert!(ended.stderr.contains(&address), "{}", ended.stderr);
}

#[test]
fn without_a_jail_it_prints_a_warning_and_listens_on_this_machine_only() {
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start(home.path(), ["--jail", "off"]);
    assert!(dev.stderr().contains("without a jail, with your user's permissions"), "{}", dev.stderr());
    dev.stop();
    let args = ["dev", "--jail", "off", "--listen", "0.0.0.0:0"];
    let ended = crate::support::command::run(home.path(), args).expect(2);
    assert!(ended.stderr.contains("without a jail the service listens on this machine only"), "{}", ended.stderr);
    // A bubblewrap that does not work, as on a machine that forbids namespaces.
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("bwrap"), "#!/bin/sh\necho no namespaces here >&2\nexit 1\n").unwrap();
    fs::set_permissions(bin.join("bwrap"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = crate::support::command::tasklane(home.path());
    let ended = crate::support::command::Ended::of(command.args(["dev", "--listen", "0.0.0.0:0"]).env("PATH", path));
    assert!(ended.expect(2).stderr.contains("bubblewrap does not work on this machine: no namespaces here"));
}

#[test]
fn code_outside_the_paths_is_served_only_if_allowed() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let folder = write_function(&functions, "reaching", "exports.handler = async () => 'in';", &json!({}));
    fs::rename(folder.join("code"), home.path().join("elsewhere")).unwrap();
    let config = folder.join("task-config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(r#""code""#, r#""../../elsewhere""#)).unwrap();

    let dev = Dev::start(home.path(), [&functions]);
    assert!(dev.stderr().contains("--allow-outside"), "{}", dev.stderr());
    assert_eq!(dev.ask("GET", "/tasks/v1/functions/reaching", None).status, 404);
    // `sync`, which deploys to a running service, refuses it too, before it calls the service.
    let sync = |more: &[&str]| {
        let mut command = crate::support::command::tasklane(home.path());
        crate::support::command::Ended::of(command.arg("sync").arg("--path").arg(&functions).args(more))
    };
    let refused = sync(&[]).expect(2);
    assert!(refused.stderr.contains("--allow-outside"), "{}", refused.stderr);
    sync(&["--allow-outside"]).expect(0);
    assert_eq!(dev.ask("POST", "/tasks/v1/functions/reaching/execute", None).ok()["result"], "in");
    dev.stop();

    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start(home.path(), [functions.as_os_str(), "--allow-outside".as_ref()]);
    assert_eq!(dev.ask("POST", "/tasks/v1/functions/reaching/execute", None).ok()["result"], "in");
    dev.stop();
}

#[test]
fn finished_tasks_expire_after_the_days_of_retention_and_never_without() {
    const DAY: i64 = 24 * 60 * 60;
    for (days, seconds) in [("2", Some(2 * DAY)), ("0", None)] {
        let home = tempfile::tempdir().unwrap();
        let functions = home.path().join("functions");
        write_function(&functions, "greeter", "exports.handler = async () => 1;", &json!({}));
        let dev = Dev::start(home.path(), [functions.as_os_str(), "--retention-days".as_ref(), days.as_ref()]);
        let id = dev.create_task("greeter", json!({}))["id"].as_str().unwrap().to_owned();
        until("it ends", || (dev.task(&id)["status"] == "complete").then_some(()));
        let database = dev.data_dir().join("database.sqlite");
        dev.stop();
        let ended = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let left = expiry_of_task(&database).map(|at| at - i64::try_from(ended).unwrap());
        // It ended within the last minute.
        assert!(left.is_some() == seconds.is_some(), "{left:?}");
        assert!(left.zip(seconds).is_none_or(|(left, all)| (all - 60..=all).contains(&left)), "{left:?}");
    }
}

/// When the only Task of a database expires, in seconds since 1970.
fn expiry_of_task(database: &std::path::Path) -> Option<i64> {
    let database = tasklane::local::database::open(database).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = runtime.block_on(database.client().scan().table_name("tasklane-tasks").send()).unwrap();
    let [task] = tasks.items() else { panic!("{:?}", tasks.items()) };
    task.get("expires").map(|expires| expires.as_n().unwrap().parse().unwrap())
}

#[test]
fn warnings_of_the_service_reach_its_operator_as_plain_lines() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let runtime = absent_python();
    let folder = write_function(&functions, "other", "", &json!({ "runtime": runtime }));
    std::fs::write(folder.join("code/index.py"), "").unwrap();
    let dev = Dev::start(home.path(), [&functions]);
    let stderr = dev.stderr();
    let warnings: Vec<_> = stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    let [warning] = warnings[..] else { panic!("{stderr}") };
    assert!(warning.contains(runtime) && warning.contains("this machine's Python 3."), "{warning}");
    dev.stop();
}

/// A runtime of Lambda that has no interpreter on this machine.
fn absent_python() -> &'static str {
    let path = std::env::var_os("PATH").unwrap();
    let is_here = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    let runtimes = ["python3.9", "python3.10", "python3.12", "python3.13", "python3.14"];
    runtimes.into_iter().find(|runtime| !is_here(runtime)).expect("no machine has every Python")
}

#[test]
fn secrets_and_layers_come_from_this_machine() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let source = "exports.handler = async () => [process.env.TOKEN, require('shared')];";
    let layer = "arn:aws:lambda:eu-west-1:123456789012:layer:shared";
    let more = json!({
        "secrets": { "TOKEN": "ssm:/tasklane/prod/token" },
        "aws": { "layers": [format!("{layer}:3")], "architecture": "arm64" },
    });
    write_function(&functions, "reader", source, &more);
    let module = home.path().join("layer/nodejs/node_modules/shared");
    fs::create_dir_all(&module).unwrap();
    fs::write(module.join("index.js"), "module.exports = 'shared';").unwrap();
    let secrets = home.path().join("secrets.json");
    fs::write(&secrets, r#"{ "ssm:/tasklane/prod/token": "s3cret-value" }"#).unwrap();
    let layer = format!("--layer={layer}={}", home.path().join("layer").display());
    let args = [functions.to_str().unwrap(), "--secrets", secrets.to_str().unwrap(), &layer];
    let dev = Dev::start(home.path(), args);
    let executed = dev.ask("POST", "/tasks/v1/functions/reader/execute", None).ok();
    assert_eq!(executed["result"], json!(["s3cret-value", "shared"]));
    let details = dev.get("/tasks/v1/functions/reader");
    assert_eq!(details["secrets"], json!({ "TOKEN": "ssm:/tasklane/prod/token" }));
    assert_eq!(details["aws"], more["aws"]);
    assert_eq!(dev.stderr().matches("this has no effect here: architecture").count(), 1, "{}", dev.stderr());
    let both = json!({ "environmentVariables": { "TOKEN": { "value": "x" } } });
    let refused = dev.ask("PUT", "/tasks/v1/functions/reader", Some(&both));
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!(1402)));
    let absent = json!({ "secrets": { "TOKEN": "ssm:/tasklane/prod/absent" } });
    let refused = dev.ask("PUT", "/tasks/v1/functions/reader", Some(&absent));
    assert!(refused.body["message"].as_str().unwrap().contains("has no value for it"), "{}", refused.body);
    assert!(!dev.stderr().contains("s3cret-value"));
    dev.stop();
}
