//! A Function that calls the service: `executionCredentials`, through `tasklane dev`, `tasklane sync` and the official CLI.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{
    command::{Ended, run},
    dev::{Dev, Starting},
    packages,
    project::write_function,
};

/// Calls the service with the official SDK.
const CALLER: &str = "
const { createOAuth1Client } = require('@extrahorizon/javascript-sdk');
exports.handler = async () => {
  const exh = createOAuth1Client({
    host: process.env.API_HOST,
    consumerKey: process.env.API_OAUTH_CONSUMER_KEY, consumerSecret: process.env.API_OAUTH_CONSUMER_SECRET,
    token: process.env.API_OAUTH_TOKEN, tokenSecret: process.env.API_OAUTH_TOKEN_SECRET,
  });
  const outcome = call => call().then(() => 'done', error => error.name);
  return {
    me: (await exh.users.me()).email,
    viewTasks: await outcome(() => exh.tasks.find()),
    viewFunctions: await outcome(() => exh.tasks.functions.find()),
    other: process.env.OTHER,
  };
};";

/// The Function with the SDK in one file.
fn bundled() -> String {
    let packages = packages::install();
    let source = packages.join("caller.js");
    fs::write(&source, CALLER).unwrap();
    let bundle = Command::new(packages.join("node_modules/.bin/esbuild"))
        .arg(&source)
        .args(["--bundle", "--platform=node", "--log-level=error"])
        .output()
        .expect("esbuild starts");
    assert!(bundle.status.success(), "{}", String::from_utf8_lossy(&bundle.stderr));
    String::from_utf8(bundle.stdout).unwrap()
}

fn with(permissions: &[&str]) -> Value {
    json!({ "executionCredentials": { "permissions": permissions }, "environment": { "OTHER": "mine" } })
}

fn execute(dev: &Dev, name: &str) -> Value {
    dev.ask("POST", &format!("/tasks/v1/functions/{name}/execute"), Some(&json!({}))).ok()["result"].clone()
}

fn result(name: &str, tasks: &str, functions: &str) -> Value {
    json!({
        "me": format!("exh.tasks+{name}@extrahorizon.com"), "viewTasks": tasks, "viewFunctions": functions, "other": "mine",
    })
}

const REFUSED: &str = "NO_PERMISSION_EXCEPTION";

#[test]
fn a_function_has_the_permissions_of_its_file_from_the_first_start_on() {
    let home = tempfile::tempdir().unwrap();
    let code = bundled();
    let watched = home.path().join("watched");
    write_function(&watched, "first", &code, &with(&["VIEW_TASKS"]));
    let dev = Starting::new(home.path(), [&watched]).ready();
    assert_eq!(execute(&dev, "first"), result("first", "done", REFUSED));

    // Another one, deployed by hand.
    let folder = home.path().join("repository");
    write_function(&folder.join("functions"), "second", &code, &with(&["VIEW_TASKS", "VIEW_DOCUMENTS", "VIEW_TASK"]));
    fs::write(folder.join("repo-config.json"), r#"{"tasks":["functions"],"schemas":["elsewhere"]}"#).unwrap();
    let sync = |more: &[&str]| run(home.path(), [&["sync", folder.to_str().unwrap()][..], more].concat());
    let planned = sync(&["--plan"]).expect(1).stdout;
    for line in [
        "+ executionCredentials.role: \"exh.tasks.second\"",
        "+ executionCredentials.user: \"exh.tasks+second@extrahorizon.com\"",
        "+ executionCredentials.credential (value hidden)",
        "+ environmentVariables.API_OAUTH_TOKEN_SECRET (value hidden)",
    ] {
        assert!(planned.contains(line), "'{line}' is not in\n{planned}");
    }
    assert_eq!(dev.get("/users/v1/roles?eq(name,exh.tasks.second)")["page"]["total"], 0, "a plan changes nothing");
    let synced = sync(&[]).expect(0);
    assert!(
        synced.stderr.contains("grant nothing: VIEW_DOCUMENTS, VIEW_TASK (did you mean VIEW_TASKS?)"),
        "{}",
        synced.stderr
    );
    assert_eq!(execute(&dev, "second"), result("second", "done", REFUSED));

    // Again: nothing changes. Secrets are shown by the Function's details only.
    let before = dev.get("/tasks/v1/functions/second");
    let secret = before["environmentVariables"]["API_OAUTH_TOKEN_SECRET"]["value"].as_str().unwrap();
    assert_eq!(before["environmentVariables"]["API_HOST"]["value"], dev.base_url());
    let again = [sync(&["--plan"]).expect(0), sync(&[]).expect(0)];
    assert!(again.iter().all(|ended| ended.stdout.contains("second: unchanged")), "{again:?}");
    assert_eq!(dev.get("/tasks/v1/functions/second"), before);

    // What the file no longer names is gone at once, with the credential that the Function has.
    write_function(&folder.join("functions"), "second", &code, &with(&["VIEW_TASK_FUNCTIONS"]));
    let planned = sync(&["--plan"]).expect(1);
    assert!(
        planned
            .stdout
            .contains("- executionCredentials.permissions: [\"VIEW_DOCUMENTS\",\"VIEW_TASK\",\"VIEW_TASKS\"]"),
        "{}",
        planned.stdout
    );
    let synced = sync(&["--json"]).expect(0);
    assert_eq!(execute(&dev, "second"), result("second", REFUSED, "done"));
    assert_eq!(dev.get("/tasks/v1/functions/second")["environmentVariables"], before["environmentVariables"]);
    for output in [&planned, &synced].into_iter().chain(&again) {
        assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret));
    }
    assert!(!dev.stderr().contains(secret));

    // After a restart on another port, the Functions that dev keeps in step find the service again.
    dev.stop();
    let dev = Starting::new(home.path(), [&watched]).ready();
    assert_eq!(execute(&dev, "first"), result("first", "done", REFUSED));
    dev.stop();
}

/// The official CLI is on GitHub's registry only, which asks for a token: build it, and run
/// `TASKLANE_TEST_EXH=<its folder>/build/index.js cargo test --test it execution_credentials -- --ignored`.
#[test]
#[ignore = "needs the official CLI"]
fn the_official_cli_syncs_logs_in_and_finds_its_own_again() {
    let cli = PathBuf::from(std::env::var_os("TASKLANE_TEST_EXH").expect("TASKLANE_TEST_EXH names the CLI's index.js"));
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let dev = Dev::start(home.path(), [&empty]);
    let repository = home.path().join("repository");
    let write =
        |permissions: &[&str]| write_function(&repository.join("tasks"), "caller", &bundled(), &with(permissions));
    let folder = write(&["VIEW_TASKS", "VIEW_DOCUMENTS:{schemaName}"]);
    let exh = |args: &[&str]| official(&cli, home.path(), &repository, &dev, args);

    assert!(exh(&["whoami"]).expect(0).stdout.contains("administrator"));
    let file = folder.join("task-config.json");
    let synced = exh(&["tasks", "sync", "--path", file.to_str().unwrap()]).expect(0);
    assert!(synced.stdout.contains("Creating credentials"), "{}", synced.stdout);
    assert_eq!(execute(&dev, "caller"), result("caller", "done", REFUSED));
    write(&["VIEW_TASK_FUNCTIONS"]);
    for _ in 0..2 {
        let again = exh(&["sync", "--tasks"]).expect(0);
        assert!(again.stdout.contains("Reusing existing user credentials"), "{}", again.stdout);
        assert_eq!(execute(&dev, "caller"), result("caller", REFUSED, "done"));
    }

    // Ours takes over what it made, and the other way round.
    let ours = run(home.path(), ["sync", repository.to_str().unwrap()]).expect(0);
    assert!(!ours.stdout.contains("executionCredentials"), "{}", ours.stdout);
    write_function(&repository.join("tasks"), "ours", &bundled(), &with(&["VIEW_TASKS"]));
    run(home.path(), ["sync", repository.to_str().unwrap()]).expect(0);
    exh(&["sync", "--tasks"]).expect(0);
    exh(&["sync", "--tasks"]).expect(0);
    assert_eq!(execute(&dev, "ours"), result("ours", "done", REFUSED));

    // A person logs in.
    dev.ask("POST", "/users/v1/roles", Some(&json!({ "name": "people" }))).ok();
    let person = json!({
        "email": "ada@example.com", "password": "Secret-word-1", "first_name": "Ada", "last_name": "Lovelace",
        "phone_number": "0", "language": "EN",
    });
    dev.ask("POST", "/users/v1/register", Some(&person)).ok();
    let keys = dev.credentials();
    let (key, secret) = (&keys["API_OAUTH_CONSUMER_KEY"], &keys["API_OAUTH_CONSUMER_SECRET"]);
    let login = ["login", "--host", dev.base_url(), "--email", "ada@example.com", "--password", "Secret-word-1"];
    let login = [&login[..], &["--consumerKey", key, "--consumerSecret", secret]].concat();
    exh(&login).expect(0);
    let whoami =
        Ended::of(Command::new("node").arg(&cli).arg("whoami").env_clear().envs(path()).env("HOME", home.path()));
    assert!(whoami.expect(0).stdout.contains("ada@example.com"));
    dev.stop();
}

/// The official CLI, with the administrator's credentials.
fn official(cli: &Path, home: &Path, folder: &Path, dev: &Dev, args: &[&str]) -> Ended {
    let mut command = Command::new("node");
    command.arg(cli).args(args).current_dir(folder).env("HOME", home).envs(dev.credentials());
    Ended::of(&mut command)
}

fn path() -> impl Iterator<Item = (String, String)> {
    std::env::vars().filter(|(name, _)| name == "PATH")
}
