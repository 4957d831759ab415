//! `tasklane dev` from its start to its end: what it answers, what it says, and how it stops.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{
    command::run,
    dev::{Dev, Starting},
    packages,
    project::{write_function, write_source},
    wait::{PATIENCE, until},
};

/// Functions with this many megabytes that do not compress, beside a small one that comes last in the order.
fn large_project(home: &Path, megabytes: usize) -> PathBuf {
    let functions = home.join("functions");
    let large = write_function(&functions, "large", "exports.handler = async () => 1;", &json!({}));
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()
    };
    let megabyte: Vec<u8> = (0..(1 << 17)).flat_map(|_| noise()).collect();
    for number in 0..megabytes {
        fs::write(large.join(format!("code/{number}.bin")), &megabyte).unwrap();
    }
    write_function(&functions, "small", "exports.handler = async () => 'first';", &json!({}));
    functions
}

#[test]
fn it_answers_and_stops_while_functions_are_synced() {
    let home = tempfile::tempdir().unwrap();
    let functions = large_project(home.path(), 60);
    let mut dev = Starting::new(home.path(), [&functions]).answering();
    assert!(!dev.stderr().contains("ready: "), "the URL comes first:\n{}", dev.stderr());
    assert_eq!(dev.get("/healthz")["status"], "up");
    dev.interrupt();
    let asked = Instant::now();
    dev.says("stopping: ");
    let status = dev.ended();
    // Packing takes many times as long.
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert!(status.success(), "{status}\n{}", dev.stderr());
    assert!(!dev.stderr().contains("large: created"), "{}", dev.stderr());
}

#[test]
fn a_large_function_does_not_delay_a_small_one() {
    let home = tempfile::tempdir().unwrap();
    let functions = large_project(home.path(), 60);
    let dev = Starting::new(home.path(), [&functions]).answering();
    dev.says("small: created from");
    write_source(&functions, "small", "exports.handler = async () => 'second';");
    dev.says("small: updated (code) from");
    assert!(!dev.stderr().contains("large: created"), "{}", dev.stderr());
    // It is not silent about what takes long.
    dev.says("large: packing 60.1 MB …");
    assert_eq!(dev.ask("POST", "/tasks/v1/functions/small/execute", None).ok()["result"], "second");
    dev.interrupt();
}

#[test]
fn it_says_what_can_be_called_and_each_call() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let source = "exports.handler = async () => { console.log('seen'); return { statusCode: 200 }; };";
    write_function(&functions, "web", source, &json!({ "executionPermission": "public" }));
    write_function(&functions, "worker", source, &json!({}));
    let dev = Dev::start(home.path(), [&functions]);
    let url = dev.base_url();
    let stderr = dev.stderr();
    assert!(stderr.contains(&format!("web: over HTTP at {url}/tasks/v1/api/web/")), "{stderr}");
    assert!(stderr.contains(&format!("ready: 2 Functions; the API is described at {url}/docs")), "{stderr}");
    assert!(!stderr.contains("worker: over HTTP"), "{stderr}");
    dev.ask("GET", "/tasks/v1/api/web/a?secret=s3cret", None);
    dev.says("http | GET /tasks/v1/api/web/a 200 ");
    dev.ask("GET", "/tasks/v1/nothing", None);
    dev.says("http | GET /tasks/v1/nothing 404 ");
    dev.says("web | START RequestId: ");
    assert!(!dev.stderr().contains("s3cret"));
    // The command line asks again and again, and nobody wants to read that.
    run(home.path(), ["list"]).expect(0);
    run(home.path(), ["get", "nothing"]).expect(2);
    dev.says("http | GET /tasks/v1/functions/nothing 404 ");
    assert!(!dev.stderr().contains("http | GET /tasks/v1/functions 200"), "{}", dev.stderr());
    dev.stop();

    let dev = Dev::start(home.path(), [functions.as_os_str(), "--quiet".as_ref()]);
    dev.ask("GET", "/tasks/v1/api/web/", None);
    dev.says("web | ");
    until("its line is there", || dev.stderr().contains("seen").then_some(()));
    assert!(!dev.stderr().contains("http | ") && !dev.stderr().contains("START RequestId"), "{}", dev.stderr());
    dev.stop();
}

#[test]
fn a_path_that_does_not_exist_is_refused_and_without_one_the_working_directory_is_served() {
    let home = tempfile::tempdir().unwrap();
    let refused = run(home.path(), ["dev", "--port", "0", "nosuch"]).expect(2);
    assert!(refused.stderr.contains("nosuch cannot be served"), "{}", refused.stderr);

    let project = home.path().join("project");
    write_function(&project, "here", "exports.handler = async () => 'here';", &json!({}));
    let mut command = crate::support::command::tasklane(home.path());
    command.current_dir(&project).args(Starting::arguments(home.path()));
    let dev = Starting::spawn(home.path(), command).ready();
    assert!(dev.stderr().contains("serving the Functions below the working directory"), "{}", dev.stderr());
    assert_eq!(dev.ask("POST", "/tasks/v1/functions/here/execute", None).ok()["result"], "here");
    dev.stop();

    // A home folder may hold anything.
    let dev = Starting::new::<&str>(home.path(), []).ready();
    assert!(dev.stderr().contains("no Functions are served: name their folders"), "{}", dev.stderr());
    dev.stop();
}

#[test]
fn variables_come_from_a_file_even_from_its_own_credentials() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let source = "exports.handler = async () => process.env.HOST;";
    write_function(&functions, "caller", source, &json!({ "environment": { "HOST": "$API_HOST" } }));
    let credentials = home.path().join(".tasklane/credentials");
    let dev = Dev::start(home.path(), [functions.as_os_str(), "--env-file".as_ref(), credentials.as_os_str()]);
    assert_eq!(dev.ask("POST", "/tasks/v1/functions/caller/execute", None).ok()["result"], dev.base_url());
    dev.stop();
}

#[test]
fn logs_of_all_functions_are_followed() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let source = "exports.handler = async () => { console.log('first\\nsecond'); console.warn('careful'); return { statusCode: 200 }; };";
    write_function(&functions, "one", source, &json!({}));
    write_function(&functions, "two", source, &json!({ "executionPermission": "public" }));
    let dev = Dev::start(home.path(), [&functions]);
    dev.ask("POST", "/tasks/v1/functions/one/execute", None).ok();
    dev.ask("GET", "/tasks/v1/api/two/", None).ok();
    let logs = |more: &[&str]| {
        let args = [&["logs"], more].concat();
        run(home.path(), args).expect(0).stdout
    };
    until("the lines are stored", || logs(&[]).contains("two | ").then_some(()));
    let all = logs(&[]);
    assert!(all.contains("one | ") && all.contains("one | second") && all.contains("REPORT RequestId"), "{all}");
    let quiet = logs(&["two", "--quiet", "--level", "warn"]);
    assert!(!quiet.contains("one | ") && quiet.lines().count() == 1 && quiet.ends_with("WARN   careful\n"), "{quiet}");
    let json = run(home.path(), ["logs", "one", "--json"]).expect(0).stdout;
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["functionName"] == "one" && line["message"].is_string()), "{json}");
    dev.stop();
}

#[test]
fn a_task_is_named_by_its_first_digits_and_followed_through_its_retries() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let source = "exports.handler = async (event) => {
        if (!event.retryForTaskIds?.length) { console.log('run one'); throw new Error('once'); }
        console.log('run two');
    };";
    write_function(&functions, "flaky", source, &json!({ "retryPolicy": { "enabled": true } }));
    let dev = Dev::start(home.path(), [&functions]);
    let followed = run(home.path(), ["tasks", "create", "flaky", "--follow", "--tag", "mine"]).expect(0);
    assert!(followed.stdout.contains("run one") && followed.stdout.contains("run two"), "{}", followed.stdout);
    assert!(followed.stderr.contains("Error: once") && followed.stderr.contains("retried as "), "{}", followed.stderr);
    let id = followed.stderr.lines().find_map(|line| line.strip_prefix("created ")).unwrap().to_owned();
    let got = run(home.path(), ["tasks", "get", "--json", &id[..20]]);
    // The retry is younger than a second, so its id may begin alike.
    assert!(got.code == 0 && got.json()["id"] == id.as_str() || got.stderr.contains("more than one Task"), "{got:?}");
    assert_eq!(run(home.path(), ["tasks", "get", "--json", "--last"]).expect(0).json()["status"], "complete");
    let list = ["tasks", "list", "--json", "--tag", "mine", "--status", "retried,complete"];
    assert_eq!(run(home.path(), list).expect(0).json().as_array().unwrap().len(), 2);
    dev.stop();
}

#[test]
fn with_json_stdout_is_json_in_every_outcome() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    write_function(&functions, "failing", "exports.handler = async () => { throw new Error('why'); };", &json!({}));
    let dev = Dev::start(home.path(), [&functions]);
    let failed = run(home.path(), ["execute", "failing", "--json"]).expect(1);
    assert_eq!(failed.json()["error"]["details"]["runtimeError"]["message"], "why");
    let unknown = run(home.path(), ["get", "nothing", "--json"]).expect(2);
    assert_eq!(unknown.json()["error"]["code"], 16);
    let misspelled = run(home.path(), ["execute", "faling"]).expect(2);
    assert!(misspelled.stderr.contains("Did you mean 'failing'?"), "{}", misspelled.stderr);
    let me = run(home.path(), ["whoami"]).expect(0).stdout;
    assert!(me.contains(dev.base_url()) && me.contains("administrator"), "{me}");
    assert!(unknown.stderr.contains("error: "), "{}", unknown.stderr);
    let refused = run(home.path(), ["get", "--json"]).expect(2);
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("NAME"), "{}", refused.stdout);
    dev.stop();
    let unreachable = run(home.path(), ["list", "--json"]).expect(2);
    assert!(unreachable.json()["error"]["message"].is_string());
}

#[test]
fn a_new_function_runs_at_once() {
    let home = tempfile::tempdir().unwrap();
    for (template, name) in [("js", "first"), ("py", "second")] {
        let made = run(home.path(), ["init", name, "--template", template]).expect(0);
        let next = format!("tasklane run ./{name} --data '{{\"name\":\"Ada\"}}'\n");
        assert_eq!(made.stdout, next);
        let ran = run(home.path(), ["run", name, "--data", r#"{"name":"Ada"}"#]).expect(0);
        assert_eq!(ran.json()["message"], "Hello, Ada!", "{template}");
    }
}

#[test]
fn a_new_function_in_typescript_is_built_and_one_with_a_test_is_tested() {
    let home = tempfile::tempdir().unwrap();
    let said = run(home.path(), ["init", "typed", "--template", "ts"]).expect(0).stdout;
    assert!(said.starts_with("(cd ./typed && npm ci && npm run build)\ntasklane run ./typed"), "{said}");
    let typed = home.path().join("typed");
    // In place of `npm ci`: the same versions.
    symlink(packages::install().join("node_modules"), typed.join("node_modules")).unwrap();
    for script in ["check", "build"] {
        let npm = Command::new("npm").args(["run", script]).current_dir(&typed).output().expect("npm starts");
        assert!(npm.status.success(), "{script}: {}", String::from_utf8_lossy(&npm.stdout));
    }
    let ran = run(home.path(), ["run", "typed", "--data", r#"{"name":"Ada"}"#]).expect(0);
    assert_eq!(ran.json()["message"], "Hello, Ada!");

    let said = run(home.path(), ["init", "tested", "--template", "test"]).expect(0).stdout;
    assert!(said.starts_with("(cd ./tested && node --test)\ntasklane run ./tested"), "{said}");
    let tests = packages::node().arg("--test").current_dir(home.path().join("tested")).output().expect("node starts");
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stdout));
}

/// A script is in the place of a Node.js that nvm installed.
#[test]
fn doctor_says_where_each_runtime_comes_from_and_how_to_get_the_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join(".nvm/versions/node/v26.1.0/bin/node");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::write(&program, "#!/bin/sh\nprintf '%s\\n' \"$0\" 26.1.0 '' '' ''\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = crate::support::command::tasklane(home.path());
    let found = crate::support::command::Ended::of(command.args(["doctor", "--json"])).json();
    let of = |runtime: &str| {
        let mut checked = found["checked"].as_array().unwrap().iter();
        checked.find(|checked| checked["runtime"] == runtime).unwrap_or_else(|| panic!("no {runtime}: {found}")).clone()
    };
    let node = of("nodejs26.x");
    assert_eq!((&node["state"], &node["source"]), (&json!("ok"), &json!("nvm")), "{node}");
    assert_eq!((&node["version"], &node["program"]), (&json!("Node.js 26.1.0"), &json!(program)));
    assert_eq!(of("provided.al2023")["state"], "ok");
    assert_eq!(of("dotnet8")["state"], "noted");
    for checked in found["checked"].as_array().unwrap() {
        let says_why = checked["state"] == "ok" || checked["detail"].as_str().is_some_and(|detail| detail.len() > 20);
        assert!(says_why, "{checked}");
    }
    let wrong = found["checked"].as_array().unwrap().iter().filter(|checked| checked["state"] == "wrong").count();
    assert_eq!(found["problems"], json!(wrong));
}

#[test]
fn doctor_checks_this_machine_and_misses_aws_in_a_sentence() {
    let home = tempfile::tempdir().unwrap();
    let checked = run(home.path(), ["doctor"]);
    assert!(checked.stdout.contains("an interpreter for Node.js"), "{checked:?}");
    assert!(checked.stdout.contains("the jail of Functions"), "{checked:?}");
    for what in [
        "control groups",
        "processors: ",
        "memory: ",
        "open files: at most ",
        "the disk of .tasklane: ",
        "the AWS SDK for node",
    ] {
        assert!(checked.stdout.contains(what), "{what}: {checked:?}");
    }
    let no_region = run(home.path(), ["doctor", "--stack", "x"]).expect(2).stderr;
    assert!(no_region.starts_with("error: no AWS region found: set AWS_REGION"), "{no_region}");
    let mut command = crate::support::command::tasklane(home.path());
    let command = command.args(["admin", "bootstrap", "--stack", "x"]);
    // Nobody answers there, so this machine's own role is not found either.
    let command = command.env("AWS_REGION", "eu-west-1").env("AWS_EC2_METADATA_DISABLED", "true");
    let no_credentials = crate::support::command::Ended::of(command).expect(2).stderr;
    assert!(no_credentials.starts_with("error: no AWS credentials found: set AWS_PROFILE"), "{no_credentials}");
    assert!(!no_credentials.contains('{'), "{no_credentials}");
}

/// Whether the debugger on this port says where to attach.
fn is_debugger(port: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /json HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")?;
    // It keeps the connection open.
    let mut lines = BufReader::new(stream).lines();
    Ok(lines.any(|line| line.is_ok_and(|line| line.contains("webSocketDebuggerUrl"))))
}

#[test]
fn a_debugger_attaches_between_runs_and_no_time_limit_ends_them() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    let source = "let runs = 0;
        exports.handler = async (event) => {
            await new Promise((done) => setTimeout(done, event.data?.ms ?? 0));
            return { pid: process.pid, runs: ++runs, options: process.env.NODE_OPTIONS };
        };";
    write_function(&functions, "slow", source, &json!({ "timeLimit": 3 }));
    let options =
        [functions.as_os_str(), "--inspect".as_ref(), "slow=0".as_ref(), "--inspect".as_ref(), "absent".as_ref()];
    let dev = Dev::start(home.path(), options);
    dev.says("warning: --inspect absent: no Function with this name was synced from here");
    let long = json!({ "data": { "ms": 3500 } });
    let execute = |body| dev.ask("POST", "/tasks/v1/functions/slow/execute", body).ok()["result"].clone();
    let first = execute(Some(&long));
    assert_eq!((&first["runs"], &first["options"]), (&json!(1), &json!("--inspect=127.0.0.1:0")));
    let stderr = dev.stderr();
    let port = stderr.split_once("Debugger listening on ws://127.0.0.1:").and_then(|(_, rest)| rest.split('/').next());
    let port = port.unwrap_or_else(|| panic!("no debugger:\n{stderr}"));
    // A frozen process would not answer. Nothing tells when it would have been frozen, so this waits.
    std::thread::sleep(Duration::from_millis(500));
    assert!(is_debugger(port).unwrap(), "no debugger on port {port}");
    // Two runs at once follow one another in the same process.
    let tasks = [0, 1].map(|_| dev.create_task("slow", json!({ "data": { "ms": 300 } })));
    for task in &tasks {
        let id = task["id"].as_str().unwrap();
        until("the task has ended", || (dev.task(id)["status"] == "complete").then_some(()));
    }
    let last = execute(None);
    assert_eq!((&last["runs"], &last["pid"]), (&json!(4), &first["pid"]));
    dev.stop();

    // The limit is the Function's again without a debugger.
    let dev = Dev::start(home.path(), [functions.as_os_str()]);
    let refused = dev.ask("POST", "/tasks/v1/functions/slow/execute", Some(&long));
    assert!(refused.body.to_string().contains("timed out after 3"), "{refused:?}");
    dev.stop();

    let snake = write_function(&functions, "snake", "", &json!({ "runtime": "python3.13" }));
    fs::write(snake.join("code/index.py"), "def handler(event, context):\n    return 1\n").unwrap();
    let dev = Dev::start(home.path(), [functions.as_os_str(), "--inspect".as_ref(), "snake".as_ref()]);
    dev.says("only Functions in Node.js can be inspected, and this one's runtime is python3.13");
    dev.stop();
    let same = run(home.path(), ["dev", "--inspect", "a", "--inspect", "b"]).expect(2);
    assert!(same.stderr.contains("have the same port"), "{}", same.stderr);
}
