//! The life of processes: warm, parallel, replaced, idle, ended.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tasklane_model::{InvokeError, Outcome};

use super::{
    harness::{Deployed, World, environment, eventually},
    limits::is_running,
};
use crate::{JailMode, platform::Platform};

const COUNTER: &str =
    "let n = 0, fs = require('fs'), id = require('crypto').randomUUID(); exports.handler = async (event) => {
    n += 1;
    if (event.exit) process.exit(1);
    while (event.until && !fs.existsSync(event.until)) await new Promise((r) => setTimeout(r, 10));
    return { n, pid: process.pid, id };
}";

fn is_alive(pid: &Value) -> bool {
    let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
    Platform::Portable.stat(pid).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_survives_between_warm_runs_and_errors_but_not_a_crash() {
    for world in [World::new(), World::unjailed()] {
        let function = world.node(COUNTER).await;
        let first = world.run(&function, json!({})).await.returned();
        let second = world.run(&function, json!({})).await.returned();
        assert_eq!((&second["n"], &second["id"]), (&json!(2), &first["id"]));
        assert_eq!(world.run(&function, json!({"exit": true})).await.failed().name, "Runtime.ExitError");
        let fresh = world.run(&function, json!({})).await.returned();
        assert_eq!(fresh["n"], json!(1));
        assert_ne!(fresh["id"], first["id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_concurrent_run_has_its_own_process_up_to_the_limit() {
    let world = Arc::new(World::with(|config| {
        config.max_processes = 3;
        // The Function uses files and process ids of the machine.
        config.jail = JailMode::Off;
    }));
    let function = Arc::new(world.node(COUNTER).await);
    let release = world.folder.path().join("release");
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let (world, function, release) = (world.clone(), function.clone(), release.clone());
            tokio::spawn(async move { world.run(&function, json!({"until": release})).await.returned()["pid"].clone() })
        })
        .collect();
    eventually("all three run", || world.lambda.busy_processes() == 3).await;
    let fourth = world.run(&function, json!({})).await.result;
    assert!(matches!(fourth, Err(InvokeError::Throttled(_))), "{fourth:?}");
    std::fs::write(&release, "").unwrap();
    let mut pids = Vec::new();
    for run in runs {
        pids.push(run.await.unwrap().to_string());
    }
    pids.sort();
    pids.dedup();
    assert_eq!(pids.len(), 3);

    // All three are idle now. A Function without a process replaces the one that was idle the longest.
    let other = world.deploy(&[("index.js", COUNTER)], |spec| spec.name = "other".to_owned().try_into().unwrap()).await;
    assert_eq!(world.run(&other, json!({})).await.returned()["n"], json!(1));
    let alive = pids.iter().filter(|pid| is_alive(&pid.parse().unwrap())).count();
    assert_eq!(alive, 2);
}

/// There are two slots, one of them taken by an idle Function, and two parallel runs of another Function, the first of
/// which ends when `when` holds. Returns the idle Function's counter in its next run, and the results of the two runs.
async fn crowded(patience: Duration, when: impl Fn(&World) -> bool) -> (Value, [Value; 2]) {
    let world = Arc::new(World::with(|config| {
        config.max_processes = 2;
        config.patience = patience;
        // The Function must see the file that lets it go on.
        config.jail = JailMode::Off;
    }));
    let named = async |name: &str| {
        let name = name.to_owned().try_into().unwrap();
        Arc::new(world.deploy(&[("index.js", COUNTER)], |spec| spec.name = name).await)
    };
    let (one, idle) = (named("one").await, named("idle").await);
    let release = world.folder.path().join("release");
    let run = |event: Value| {
        let (world, one) = (world.clone(), one.clone());
        tokio::spawn(async move { world.run(&one, event).await.returned() })
    };
    world.run(&idle, json!({})).await.returned();
    let first = run(json!({ "until": release }));
    eventually("the first runs", || world.lambda.busy_processes() == 1).await;
    let second = run(json!({}));
    eventually("the second has gone on", || when(&world)).await;
    std::fs::write(&release, "").unwrap();
    let both = [first.await.unwrap(), second.await.unwrap()];
    (world.run(&idle, json!({})).await.returned()["n"].clone(), both)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_its_functions_process_before_it_ends_another() {
    let waits = |world: &World| world.lambda.engine.pool.waiting_count() == 1;
    let (idle, [first, second]) = crowded(Duration::from_secs(3600), waits).await;
    assert_eq!((&first["n"], &second["n"]), (&json!(1), &json!(2)));
    assert_eq!(first["id"], second["id"], "both ran in the same process");
    assert_eq!(idle, json!(2), "the other's process lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_does_not_wait_long_for_a_busy_process() {
    let runs = |world: &World| world.lambda.busy_processes() == 2;
    let (idle, [first, second]) = crowded(Duration::from_millis(1), runs).await;
    assert_eq!((&first["n"], &second["n"]), (&json!(1), &json!(1)));
    assert_ne!(first["id"], second["id"]);
    assert_eq!(idle, json!(1), "its slot was needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_processes_are_frozen_and_end_after_a_while() {
    for (jail, mark) in [(JailMode::On, "86441.5"), (JailMode::Off, "86442.5")] {
        let world = World::with(|config| {
            config.idle_after = Duration::from_millis(600);
            config.jail = jail;
        });
        let code = format!(
            "require('child_process').spawn('sleep', ['{mark}'], {{ detached: true }});
             let ticks = 0; setInterval(() => ticks++, 10); exports.handler = async () => ticks"
        );
        let function = world.node(&code).await;
        let before = world.run(&function, json!({})).await.returned();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let after = world.run(&function, json!({})).await.returned();
        assert!(is_running(mark), "it is the same process");
        let ticks = after.as_i64().unwrap() - before.as_i64().unwrap();
        assert!(ticks < 20, "it ticked {ticks} times while nothing ran");
        eventually("the process ended", || !is_running(mark)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_waits_for_runs_and_then_kills_them() {
    let world = Arc::new(World::unjailed());
    let function = Arc::new(world.node(COUNTER).await);
    let run = |event: Value| {
        let (world, function) = (world.clone(), function.clone());
        tokio::spawn(async move { world.run(&function, event).await.result })
    };
    let release = world.folder.path().join("release");
    let (short, long) = (run(json!({"until": release})), run(json!({"until": "/never"})));
    eventually("both run", || world.lambda.busy_processes() == 2).await;
    let stopping = {
        let world = world.clone();
        tokio::spawn(async move { world.lambda.shutdown(Duration::from_secs(4)).await })
    };
    std::fs::write(&release, "").unwrap();
    stopping.await.unwrap();
    let short = short.await.unwrap().unwrap();
    assert!(matches!(short.outcome, Outcome::Returned(_)), "{short:?}");
    let long = long.await.unwrap();
    assert!(matches!(long, Err(InvokeError::OutcomeUnknown(_))), "{long:?}");
    let late = world.run(&function, json!({})).await.result;
    assert!(matches!(late, Err(InvokeError::Throttled(_))), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_disconnects_does_not_stop_the_run() {
    let world = Arc::new(World::new());
    let function = Arc::new(
        world
            .node("exports.handler = async () => { await new Promise((r) => setTimeout(r, 300)); console.log('done') }")
            .await,
    );
    let correlation = world.new_id();
    let call = {
        let (world, function) = (world.clone(), function.clone());
        tokio::spawn(async move { world.invoke(&function, "{}".into(), correlation).await })
    };
    eventually("it runs", || world.lambda.busy_processes() == 1).await;
    call.abort();
    eventually("it ended", || world.lambda.busy_processes() == 0).await;
    let log = world.log_of(correlation);
    assert!(
        log.iter().any(|line| line.ends_with("\tINFO\tdone")) && log.last().unwrap().starts_with("REPORT "),
        "{log:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_can_be_read_during_the_run() {
    let world = Arc::new(World::new());
    let function = Arc::new(
        world
            .node(
                "exports.handler = async () => { console.log('early'); await new Promise((r) => setTimeout(r, 2000)) }",
            )
            .await,
    );
    let correlation = world.new_id();
    let call = {
        let (world, function) = (world.clone(), function.clone());
        tokio::spawn(async move { world.invoke(&function, "{}".into(), correlation).await })
    };
    let begun = std::time::Instant::now();
    while !world.log_of(correlation).iter().any(|line| line.ends_with("\tINFO\tearly")) {
        assert!(begun.elapsed() < Duration::from_secs(10) && !call.is_finished(), "the line never came");
        tokio::task::yield_now().await;
    }
    assert!(!call.is_finished());
    call.await.unwrap().unwrap();
}

async fn environment_of(world: &World, function: &Deployed) -> Vec<String> {
    let ran = world.run(function, json!({})).await.returned();
    let shown = |(name, value): (&String, &Value)| format!("{name}={}", world.shown(function, value.as_str().unwrap()));
    let data_dir = world.folder.path().canonicalize().unwrap().display().to_string();
    ran.as_object().unwrap().iter().map(shown).map(|line| line.replace(&data_dir, "DATA")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_lambdas_without_the_servers_variables() {
    check_environment(&World::new(), &[]).await;
    check_environment(&World::unjailed(), &["TMPDIR=*"]).await;
}

async fn check_environment(world: &World, here: &[&str]) {
    // The server has a PATH, a HOME and cargo's variables; none of them may be passed on.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && std::env::var_os("PATH").is_some());
    let configured = environment(&[("CLIENT_ID", "abc"), ("TZ", "Europe/Brussels")]);
    let node = world.node("exports.handler = async () => process.env").await;
    let python_code = [("index.py", "import os\ndef handler(e, c):\n    return dict(os.environ)")];
    let python = world
        .deploy(&python_code, |spec| {
            spec.configuration.set_runtime(tasklane_model::Runtime::new("python3.11"));
            spec.configuration.environment = configured.clone();
        })
        .await;
    let common = [
        "AWS_ACCESS_KEY_ID=LOCALLOCALLOCALLOCAL",
        "AWS_DEFAULT_REGION=us-east-1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
        "AWS_LAMBDA_FUNCTION_NAME=test-f",
        "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/test-f",
        "AWS_LAMBDA_LOG_STREAM_NAME=*",
        "AWS_LAMBDA_RUNTIME_API=*",
        "AWS_REGION=us-east-1",
        "AWS_SECRET_ACCESS_KEY=local",
        "AWS_SESSION_TOKEN=local",
        "AWS_XRAY_CONTEXT_MISSING=LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS=169.254.79.129:2000",
        "LAMBDA_RUNTIME_DIR=RUNTIME",
        "LAMBDA_TASK_ROOT=TASK",
        "LANG=en_US.UTF-8",
        "LD_LIBRARY_PATH=RUNTIME:TASK:TASK/lib:/opt/lib",
        "PATH=*",
        "PWD=TASK",
        "_AWS_XRAY_DAEMON_ADDRESS=169.254.79.129",
        "_AWS_XRAY_DAEMON_PORT=2000",
        "_HANDLER=index.handler",
        "_X_AMZN_TRACE_ID=*",
    ];
    let own: [(&Deployed, &[&str]); 2] = [
        (
            &node,
            &[
                "AWS_EXECUTION_ENV=AWS_Lambda_nodejs20.x",
                "NODE_PATH=/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:RUNTIME/node_modules:RUNTIME:TASK",
                "TZ=:UTC",
            ],
        ),
        (
            &python,
            &["AWS_EXECUTION_ENV=AWS_Lambda_python3.11", "CLIENT_ID=abc", "PYTHONPATH=RUNTIME", "TZ=Europe/Brussels"],
        ),
    ];
    for (function, own) in own {
        let varying = ["AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "PATH", "TMPDIR", "_X_AMZN_TRACE_ID"];
        let mut found: Vec<_> = environment_of(world, function)
            .await
            .into_iter()
            .map(|line| match line.split_once('=') {
                Some((name, _)) if varying.contains(&name) => format!("{name}=*"),
                _ => line,
            })
            .collect();
        found.sort();
        let mut expected: Vec<_> = common.iter().chain(own).chain(here).map(|line| (*line).to_owned()).collect();
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_starts_in_its_folder_and_has_a_private_temporary_one() {
    let world = World::unjailed();
    let function = world
        .node("const fs = require('fs'), os = require('os'); exports.handler = async (event) => { fs.writeFileSync(os.tmpdir() + '/x', 'x'); return { cwd: process.cwd(), root: process.env.LAMBDA_TASK_ROOT, tmp: os.tmpdir(), files: fs.readdirSync('.'), pid: process.pid } }")
        .await;
    let ran = world.run(&function, json!({})).await.returned();
    assert_eq!((&ran["cwd"], &ran["files"]), (&ran["root"], &json!(["index.js"])));
    let tmp = std::path::PathBuf::from(ran["tmp"].as_str().unwrap());
    assert!(tmp.join("x").exists());
    world.lambda.remove(&function.spec.name).await.unwrap();
    assert!(!tmp.exists() && !is_alive(&ran["pid"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_survives_when_the_engine_is_dropped() {
    for (world, mark) in [(World::new(), "86421.5"), (World::unjailed(), "86422.5")] {
        let code = format!(
            "require('child_process').spawn('sleep', ['{mark}'], {{ detached: true, stdio: 'ignore' }});
             exports.handler = async () => process.pid"
        );
        let function = world.node(&code).await;
        let pid = world.run(&function, json!({})).await.returned();
        assert!(is_running(mark));
        let was_jailed = world.lambda.unjailed().is_none();
        drop(world);
        eventually("both are gone", || !is_running(mark) && (was_jailed || !is_alive(&pid))).await;
    }
}

/// The server for the test below, in a process of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by no_process_survives_when_the_server_is_killed"]
async fn server_to_be_killed() {
    let Some(folder) = std::env::var_os("TASKLANE_TEST_FOLDER") else { return };
    let mark = std::env::var("TASKLANE_TEST_MARK").unwrap();
    let jail: JailMode = std::env::var("TASKLANE_TEST_JAIL").unwrap().parse().unwrap();
    let world = World::on(tempfile::TempDir::new_in(folder).unwrap(), |config| config.jail = jail);
    let code = format!(
        "const {{ spawn, execSync }} = require('child_process');
exports.handler = async (event) => {{
    process.title = 'node {mark}1';
    spawn('sleep', ['{mark}2'], {{ detached: true, stdio: 'ignore' }});
    execSync('(setsid sleep {mark}3 > /dev/null 2>&1 &)');
    await new Promise((r) => setTimeout(r, 60000));
}}"
    );
    let function = world.node(&code).await;
    world.run(&function, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_survives_when_the_server_is_killed() {
    for (jail, mark) in [("on", "86431.5"), ("off", "86432.5")] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "tests::processes::server_to_be_killed"])
            .env("TASKLANE_TEST_FOLDER", folder.path())
            .env("TASKLANE_TEST_MARK", mark)
            .env("TASKLANE_TEST_JAIL", jail)
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // The process, its child and its orphan.
        let running = || (1..=3).filter(|which| is_running(&format!("{mark}{which}"))).count();
        eventually("the Function runs", || running() == 3).await;
        server.kill().await.unwrap();
        eventually("all are gone", || running() == 0).await;
    }
}
