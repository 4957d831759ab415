//! Limits of time, memory and size.

use serde_json::json;
use tasklane_model::{FunctionSpec, InvokeError, MemoryLimit, Runtime, TimeLimit};

use super::harness::{World, eventually};
use crate::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, package::testing};

/// Whether there is a living process with `mark` in its command line.
pub(super) fn is_running(mark: &str) -> bool {
    let mut system = sysinfo::System::new();
    let commands = sysinfo::ProcessRefreshKind::nothing().with_cmd(sysinfo::UpdateKind::Always);
    system.refresh_processes_specifics(sysinfo::ProcessesToUpdate::All, true, commands);
    let is_it = |process: &sysinfo::Process| {
        let mut words = process.cmd().iter().map(|word| word.to_string_lossy());
        words.any(|word| word.contains(mark)) && process.status() != sysinfo::ProcessStatus::Zombie
    };
    system.processes().values().any(is_it)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_its_processes_end_at_the_time_limit() {
    let world = World::new();
    // Its children: one in its process group, one in another session, one whose parent has exited.
    let code = "const { spawn, execSync } = require('child_process');
exports.handler = async () => {
    spawn('sleep', ['86401.25']);
    spawn('sleep', ['86402.25'], { detached: true, stdio: 'ignore', env: {} }).unref();
    execSync('(setsid sleep 86403.25 > /dev/null 2>&1 &)');
    console.log('started');
    await new Promise(() => setInterval(() => {}, 1000));
}";
    let function =
        world.deploy(&[("index.js", code)], |spec| spec.configuration.time_limit = TimeLimit::new(3).unwrap()).await;
    let begun = std::time::Instant::now();
    let ran = world.run(&function, json!({})).await;
    assert!((3.0..9.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    let id = ran.request_id();
    assert_eq!(ran.failed().name, "Sandbox.Timedout");
    assert_eq!(ran.failed().message, format!("RequestId: {id} Error: Task timed out after 3.00 seconds"));
    let lines = ran.own_lines();
    assert_eq!(lines[0], "T\tR\tINFO\tstarted");
    assert!(lines[1].ends_with("Z R Task timed out after 3.00 seconds"), "{lines:?}");
    let report = ran.log.last().unwrap();
    assert!(report.contains("\tDuration: 3000.00 ms\tBilled Duration: "), "{report}");
    assert!(report.ends_with("\tStatus: timeout"), "{report}");
    for sleeper in ["86401.25", "86402.25", "86403.25"] {
        eventually("the sleepers are gone", || !is_running(sleeper)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_an_exited_process_are_killed() {
    let world = World::new();
    let code = "import os, subprocess, sys
def handler(event, context):
    subprocess.Popen(['sleep', '86411.5'], start_new_session=True)
    os._exit(1)
";
    let ran = world.run(&world.python(code).await, json!({})).await;
    assert_eq!(ran.failed().name, "Runtime.ExitError");
    eventually("the sleeper is gone", || !is_running("86411.5")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_takes_too_much_memory_is_killed() {
    let world = World::new();
    let python = world.python("def handler(event, context):\n    import time\n    held = []\n    while True:\n        held.append(b'x' * 10_000_000)\n        time.sleep(0.01)\n").await;
    let node = world.node("exports.handler = async () => { const held = []; for (;;) { held.push(Buffer.alloc(1e7, 1)); await new Promise((r) => setTimeout(r, 10)) } }").await;
    for function in [python, node] {
        let ran = world.run(&function, json!({})).await;
        let id = ran.request_id();
        assert_eq!(ran.failed().name, "Runtime.ExitError");
        assert_eq!(ran.failed().message, format!("RequestId: {id} Error: Runtime exited with error: signal: killed"));
        let report = ran.log.last().unwrap();
        assert!(
            report.contains("\tMax Memory Used: 256 MB\t") && report.ends_with("Error Type: Runtime.OutOfMemory"),
            "{report}"
        );
        assert_eq!(
            ran.own_lines(),
            ["RequestId: R Error: Runtime exited with error: signal: killed\nRuntime.ExitError"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_children_counts() {
    let world = World::new();
    let hog = "import time; held = b'x' * 110_000_000; time.sleep(60)";
    let code = format!(
        "import subprocess, sys, time
def handler(event, context):
    children = [subprocess.Popen([sys.executable, '-c', \"{hog}\"]) for _ in range(event['children'])]
    time.sleep(1 if len(children) == 1 else 8)
    return [child.poll() for child in children]
"
    );
    let function = world.python(&code).await;
    assert_eq!(world.run(&function, json!({"children": 1})).await.returned(), json!([null]));
    let ran = world.run(&function, json!({"children": 2})).await;
    assert!(ran.failed().message.ends_with("signal: killed"), "{:?}", ran.failed());
}

/// The kernel shows such a process like one that has exited, with no memory.
#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_a_process_counts_after_its_first_thread_has_ended() {
    let world = World::new();
    let hog = "import ctypes, threading, time
def hog():
    held = b'x' * 300_000_000
    time.sleep(60)
threading.Thread(target=hog).start()
ctypes.CDLL(None).pthread_exit(None)
";
    let code = format!(
        "import subprocess, sys, time
def handler(event, context):
    subprocess.Popen([sys.executable, '-c', {hog:?}])
    time.sleep(8)
"
    );
    let ran = world.run(&world.python(&code).await, json!({})).await;
    assert!(ran.failed().message.ends_with("signal: killed"), "{:?}", ran.failed());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_file_that_is_mapped_are_not_the_function_s_memory() {
    let world = World::new();
    let code = "import mmap, time
def handler(event, context):
    with open('/var/task/model.bin', 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        total = sum(data[at] for at in range(0, len(data), 4096))
        time.sleep(0.5)
        return total
";
    // Pages with data that compresses well.
    let mut page = vec![0; 4096];
    page[0] = 1;
    let model = page.repeat(150 << 8);
    let package = testing::zip_stored(&[("index.py", code.as_bytes()), ("model.bin", &model)]);
    let change = |spec: &mut FunctionSpec| {
        spec.configuration.set_runtime(Runtime::new("python3.11"));
        spec.configuration.memory_limit = MemoryLimit::new(128).unwrap();
    };
    let ran = world.run(&world.deploy_zip(package, change).await, json!({})).await;
    assert_eq!(ran.returned(), json!(150 << 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_processes_share_count_once() {
    let world = World::new();
    let code = "import os, time
held = b'x' * 100_000_000
def handler(event, context):
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            time.sleep(5)
            os._exit(0)
        children.append(pid)
    time.sleep(0.4)
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return len(held)
";
    assert_eq!(world.run(&world.python(code).await, json!({})).await.returned(), json!(100_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_heap_is_reported_as_an_abort_or_a_kill() {
    let world = World::new();
    let code = "exports.handler = async () => { const held = []; for (;;) held.push({ a: [held.length] }) }";
    let function = world
        .deploy(&[("index.js", code)], |spec| spec.configuration.memory_limit = MemoryLimit::new(128).unwrap())
        .await;
    let ran = world.run(&function, json!({})).await;
    let message = &ran.failed().message;
    assert!(message.ends_with("signal: killed") || message.ends_with("signal: aborted"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_responses_have_lambdas_sizes() {
    let world = World::new();
    let function =
        world.node("exports.handler = async (event) => event.make ? 'x'.repeat(event.make) : event.length").await;
    let request = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2)).into();
    let largest = world.run_bytes(&function, request(MAX_REQUEST_BYTES)).await;
    assert_eq!(largest.returned(), json!(MAX_REQUEST_BYTES - 2));
    match world.run_bytes(&function, request(MAX_REQUEST_BYTES + 1)).await.result {
        Err(InvokeError::Refused { name, .. }) => assert_eq!(name, "RequestEntityTooLargeException"),
        other => panic!("{other:?}"),
    }
    let returned = world.run(&function, json!({"make": MAX_RESPONSE_BYTES - 2})).await.returned();
    assert_eq!(returned.as_str().unwrap().len(), MAX_RESPONSE_BYTES - 2);
    let ran = world.run(&function, json!({"make": MAX_RESPONSE_BYTES - 1})).await;
    assert_eq!(ran.failed().name, "Function.ResponseSizeTooLarge");
    assert_eq!(ran.failed().message, "Response payload size exceeded maximum allowed payload size (6291556 bytes).");
    assert_eq!(world.run(&function, json!({"make": 1})).await.returned(), json!("x"), "the process goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_has_its_own_time_limit_before_the_runs() {
    let world = World::new();
    // Loading takes longer than the time limit, but less than the ten seconds that it may take.
    let slow = "const until = Date.now() + 3500; while (Date.now() < until); exports.handler = async () => 'ran'";
    let function =
        world.deploy(&[("index.js", slow)], |spec| spec.configuration.time_limit = TimeLimit::new(3).unwrap()).await;
    let ran = world.run(&function, json!({})).await;
    assert_eq!(ran.returned(), json!("ran"));

    // Loading never ends.
    let stuck = "for (;;);";
    let function =
        world.deploy(&[("index.js", stuck)], |spec| spec.configuration.time_limit = TimeLimit::new(3).unwrap()).await;
    let begun = std::time::Instant::now();
    let ran = world.run(&function, json!({})).await;
    assert!((13.0..20.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    assert_eq!(ran.failed().name, "Sandbox.Timedout");
    assert!(
        ran.log[0].starts_with("INIT_REPORT Init Duration: 10")
            && ran.log[0].ends_with("\tPhase: init\tStatus: timeout"),
        "{:?}",
        ran.log
    );
    assert!(ran.log[1].ends_with("\tPhase: invoke\tStatus: timeout"), "{:?}", ran.log);
}
