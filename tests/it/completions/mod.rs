//! Completions in real shells, of names that a running service knows.

use std::{
    ffi::OsString,
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use serde_json::json;

use crate::support::{
    command, debian,
    dev::Dev,
    project::{repository, write_function},
};

/// A service with two Functions, a Task and a Schedule. Its home is where the shells are at home, too.
fn service(home: &Path) -> (Dev, String) {
    let functions = home.join("functions");
    for name in ["greet-everybody", "other"] {
        write_function(&functions, name, "exports.handler = async () => 1;", &json!({}));
    }
    let dev = Dev::start(home, [functions.as_os_str()]);
    let later = json!({ "startTimestamp": "2099-01-01T00:00:00Z" });
    let task = dev.create_task("other", later)["id"].as_str().unwrap().to_owned();
    let schedule = json!({ "name": "nightly", "cron": "0 3 * * *", "functionName": "other" });
    dev.ask("POST", "/tasklane/v1/schedules", Some(&schedule)).ok();
    (dev, task)
}

/// What the program tells bash about the last word of this line.
fn asked(home: &Path, line: &str) -> Output {
    let words: Vec<_> = line.split(' ').collect();
    command::tasklane(home)
        .env("TASKLANE_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .arg("--")
        .args(words)
        .output()
        .unwrap()
}

/// The same as values. It never says anything else.
fn offered(home: &Path, line: &str) -> Vec<String> {
    let output = asked(home, line);
    assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn names_that_the_service_knows_are_offered_and_nothing_if_it_does_not_answer() {
    let home = tempfile::tempdir().unwrap();
    let (dev, task) = service(home.path());
    for command in
        ["get", "execute", "logs", "delete", "enable", "versions", "bench", "tasks create", "tasks list --function"]
    {
        let found = offered(home.path(), &format!("tasklane {command} gre"));
        assert_eq!(found, ["greet-everybody"], "{command}");
    }
    let found = offered(home.path(), "tasklane get ");
    assert!(found.contains(&"greet-everybody".to_owned()) && found.contains(&"other".to_owned()), "{found:?}");
    for command in ["tasks get", "tasks cancel", "tasks wait"] {
        assert!(offered(home.path(), &format!("tasklane {command} ")).contains(&task), "{command}");
    }
    assert_eq!(offered(home.path(), &format!("tasklane tasks logs {}", &task[..8])), [task]);
    assert_eq!(offered(home.path(), "tasklane schedules pause nig"), ["nightly"]);
    assert!(offered(home.path(), "tasklane init gre").is_empty(), "a new Function has a new name");
    assert_eq!(offered(home.path(), "tasklane sched"), ["schedules"]);

    // The line chooses the service, as it does when it is run.
    let elsewhere = tempfile::tempdir().unwrap();
    let credentials = home.path().join(".tasklane/credentials");
    let line = format!("tasklane get --credentials {} gre", credentials.display());
    assert_eq!(offered(elsewhere.path(), &line), ["greet-everybody"]);
    assert!(offered(elsewhere.path(), "tasklane get gre").is_empty(), "there are no credentials");

    // A service that accepts connections and never answers, and one that is gone.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("API_HOST=http://{}\nAPI_ACCESS_TOKEN=tl_x\n", silent.local_addr().unwrap());
    let file = elsewhere.path().join("silent");
    fs::write(&file, host).unwrap();
    assert!(offered(elsewhere.path(), &format!("tasklane get --credentials {} gre", file.display())).is_empty());
    dev.stop();
    assert!(offered(home.path(), "tasklane get gre").is_empty());
}

#[test]
fn a_new_shell_completes_names_after_the_installation() {
    let home = tempfile::tempdir().unwrap();
    let (dev, _) = service(home.path());
    // As a package installs it for zsh.
    let packaged = command::run(home.path(), ["completions", "zsh"]).expect(0).stdout;
    fs::create_dir(home.path().join("site")).unwrap();
    fs::write(home.path().join("site/_tasklane"), packaged).unwrap();
    fs::write(home.path().join(".zshrc"), "fpath=(~/site $fpath)\nautoload -Uz compinit && compinit -u\n").unwrap();
    press_tab(home.path(), "zsh");
    fs::remove_file(home.path().join(".zshrc")).unwrap();

    for name in ["bash", "zsh", "fish"] {
        let shell = debian::program(name);
        let install =
            || command::tasklane(home.path()).args(["completions", "--install"]).env("SHELL", &shell).output().unwrap();
        let (first, second) = (install(), install());
        assert!(first.status.success() && second.status.success(), "{first:?}");
        assert!(String::from_utf8_lossy(&second.stderr).contains("installed already"), "{second:?}");
        press_tab(home.path(), name);
    }
    dev.stop();
}

/// Presses Tab in a new shell that is at home there.
fn press_tab(home: &Path, name: &str) {
    let pressed = Command::new("python3")
        .arg(repository().join("tests/it/completions/press_tab.py"))
        .args(["tasklane get greet-everybody", "tasklane get gre", &debian::program(name)])
        .args(if name == "fish" { vec![] } else { vec!["-i"] })
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("PATH", path())
        .env("TERM", "xterm")
        .output()
        .unwrap();
    assert!(pressed.status.success(), "{name}: {}", String::from_utf8_lossy(&pressed.stderr));
}

/// The path on which shells find the tested program.
fn path() -> OsString {
    let folder = Path::new(env!("CARGO_BIN_EXE_tasklane")).parent().unwrap().to_owned();
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&inherited))).unwrap()
}
