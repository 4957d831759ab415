//! What a Function's processes do and notice between two runs. Each test runs in both kinds of jail. If the machine
//! lets root create control groups, one kind freezes with these and the other with signals.

use std::{fs, process::Command};

use serde_json::json;
use tasklane_model::Runtime;

use super::harness::{Deployed, World, also_as_an_ordinary_user};
use crate::package::testing;

/// Runs without end in one of two ways: with processes that each start a successor, or with a timer whose signal lets a
/// stopped process go on. It ends by itself after a while, in case nothing ends it.
const RESTLESS: &str = r#"
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(int count, char **arguments) {
    double end = now() + 60;
    if (count < 2) return 2;
    setsid();
    if (!strcmp(arguments[1], "timer")) {
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT};
        struct itimerspec often = {{0, 5000000}, {0, 5000000}};
        timer_t timer;
        timer_create(CLOCK_MONOTONIC, &event, &timer);
        timer_settime(timer, 0, &often, 0);
        while (now() < end) usleep(100);
        return 0;
    }
    for (int chain = 0; chain < 30; chain++) {
        if (fork() != 0) continue;
        while (now() < end) {
            usleep(500);
            kill(-1, SIGCONT);
            if (fork() > 0) _exit(0);
        }
        _exit(0);
    }
    return 0;
}
"#;

/// Leaves a restless program behind.
const LEAVES: &str = "import subprocess
def handler(event, context):
    subprocess.Popen(['/var/task/restless', event['how'], event['mark']], stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return 'left'
";

async fn restless(world: &World) -> Deployed {
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("restless.c"), folder.path().join("restless"));
    fs::write(&source, RESTLESS).unwrap();
    assert!(Command::new("cc").args(["-static", "-o"]).args([&program, &source]).status().unwrap().success());
    let program = fs::read(program).unwrap();
    let package = testing::zip_with_modes(&[("index.py", 0o644, LEAVES.as_bytes()), ("restless", 0o755, &program)]);
    world.deploy_zip(package, |spec| spec.configuration.set_runtime(Runtime::new("python3.11"))).await
}

/// The processes that have `mark` in their command line, and how much processor time each used.
fn times(mark: &str) -> Vec<(String, String)> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let of = |process: fs::DirEntry| {
        let command = fs::read(process.path().join("cmdline")).ok()?;
        let is_it = String::from_utf8_lossy(&command).contains(mark);
        let stat = is_it.then(|| fs::read_to_string(process.path().join("stat")).ok())??;
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some((process.file_name().into_string().ok()?, format!("{} {}", fields[11], fields[12])))
    };
    processes.filter_map(of).collect()
}

/// Waits until these processes exist and use no more time, or are gone.
async fn until_still(mark: &str) {
    let begun = std::time::Instant::now();
    let mut before = times(mark);
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let now = times(mark);
        if now == before {
            return;
        }
        assert!(begun.elapsed().as_secs() < 30, "they go on: {now:?}");
        before = now;
    }
}

/// Leaves a restless program behind and waits until it is stopped.
async fn left_alone(world: &World, how: &str) {
    let mark = format!("{how}-{}", std::process::id());
    let function = restless(world).await;
    let left = world.run(&function, json!({"how": how, "mark": mark})).await;
    assert_eq!(left.returned(), json!("left"));
    until_still(&mark).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_keep_starting_others_are_stopped() {
    also_as_an_ordinary_user("freezing::processes_that_keep_starting_others_are_stopped").await;
    let world = World::new();
    left_alone(&world, "relay").await;
    // Whether the process was frozen or ended, the next run is like any other.
    let other = world.node("exports.handler = async () => 1").await;
    assert_eq!(world.run(&other, json!({})).await.returned(), json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_continues_itself_is_stopped() {
    also_as_an_ordinary_user("freezing::a_process_that_continues_itself_is_stopped").await;
    left_alone(&World::new(), "timer").await;
}

/// When a child stops, its parent gets the same signal as when it ends.
const PARENT: &str = "import signal, subprocess
child = subprocess.Popen(['sleep', '1000'])
told = []
signal.signal(signal.SIGCHLD, lambda *_: told.append(1))
def handler(event, context):
    return told
";

#[tokio::test(flavor = "multi_thread")]
async fn freezing_a_child_sends_its_parent_no_signal() {
    also_as_an_ordinary_user("freezing::freezing_a_child_sends_its_parent_no_signal").await;
    let world = World::new();
    let function = world.python(PARENT).await;
    for _ in 0..3 {
        assert_eq!(world.run(&function, json!({})).await.returned(), json!([]));
        // Time to be frozen. Waiting longer would show nothing more.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
