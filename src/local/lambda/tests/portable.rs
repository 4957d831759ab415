//! What runs on a Mac: the suite again, without anything that only Linux has.

use serde_json::json;

use super::harness::{PORTABLE, World};
use crate::{JailMode, LocalLambda, LocalLambdaConfig, platform::Platform, testing::MemoryLog};

/// What the other systems lack: jails, control groups, and a watchdog that finds processes which have left their process
/// group. There, memory is what is resident, of each process alone.
const ONLY_ON_LINUX: &[&str] = &[
    "platform::linux",
    "tests::cost",
    "tests::entry::a_function_sees_neither_the_servers_keys_nor_those_of_others",
    "tests::entry::no_code_of_a_function_runs_before_privileges_are_dropped",
    "tests::entry::user_namespaces_and_dangerous_calls_are_refused",
    "tests::freezing",
    // An image runs in a jail.
    "tests::images::an_image",
    "tests::images::nothing_of_an_image",
    "tests::jail",
    // They need nothing of the platform that the other languages do not.
    "tests::java",
    "tests::limits::pages_",
    "tests::limits::the_memory_of_a_process_counts_after_its_first_thread_has_ended",
    "tests::portable",
    "tests::processes::no_process_survives_when_the_server_is_killed",
    "tests::processes::the_environment_is_lambdas_without_the_servers_variables",
    "tests::runtime::child_processes_of_multiprocessing_start_no_second_runtime",
    "tests::runtime::python_has_no_packages_but_the_functions_own",
];

#[tokio::test]
async fn the_suite_passes_without_what_only_linux_has() {
    let mut suite = tokio::process::Command::new(std::env::current_exe().unwrap());
    suite.arg("tests::").args(ONLY_ON_LINUX.iter().flat_map(|name| ["--skip", name])).env(PORTABLE, "yes");
    let output = suite.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let passed = said.rsplit_once("test result: ok. ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    assert!(passed.is_some_and(|passed: usize| passed > 60), "most of the suite: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_linux_has_is_missing_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let configured = |jail: JailMode| {
        let mut config = LocalLambdaConfig::new(folder.path(), std::sync::Arc::new(MemoryLog::default()));
        (config.platform, config.jail) = (Platform::Portable, jail);
        config
    };
    let lambda = LocalLambda::new(configured(JailMode::Auto)).unwrap();
    assert_eq!(lambda.unjailed(), Some("jails need Linux"));
    assert_eq!(lambda.control_groups(), None);
    let refused = LocalLambda::new(configured(JailMode::On)).err().unwrap().to_string();
    assert!(refused.ends_with("jails need Linux"), "{refused}");
}

/// On Linux orphans are adopted by the Function's process. Elsewhere they are found by their group, or because they were
/// seen before.
#[tokio::test(flavor = "multi_thread")]
async fn orphans_count_and_end_with_the_function() {
    let world = World::with(|config| (config.platform, config.jail) = (Platform::Portable, JailMode::Off));
    let code = "import subprocess, time
def handler(event, context):
    subprocess.run(['sh', '-c', 'sleep 86471.5 & exit 0'])
    time.sleep(0.2)
    return 'left'
";
    let function = world.python(code).await;
    assert_eq!(world.run(&function, json!({})).await.returned(), json!("left"));
    assert!(super::limits::is_running("86471.5"));
    world.lambda.engine.pool.end_idle(|_| true).await;
    super::harness::eventually("the orphan is gone", || !super::limits::is_running("86471.5")).await;
}
