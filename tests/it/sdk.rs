//! Runs the JavaScript suite (`tests/sdk`), which uses the official SDK, against a `tasklane dev` of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::{dev::Dev, packages, project::repository};

/// Enough for all test files at once. Files about limits set a limit for their own Function, or run alone.
const PLENTY: u16 = 50;
const FEW: u16 = 3;

#[test]
fn the_official_sdk_cannot_tell_the_difference() {
    run_suite(&repository().join("tests/sdk"), PLENTY, 4);
}

#[test]
fn limits_of_the_service_hold_when_they_are_reached() {
    run_suite(&repository().join("tests/sdk/alone"), FEW, 1);
}

/// Runs every `*.test.mjs` of the folder, `files_at_once` of them at a time. Panics with the output if one
/// fails.
fn run_suite(folder: &Path, tasks_at_once: u16, files_at_once: usize) {
    let packages = packages::install();
    let mut node = packages::node();
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start(home.path(), ["--concurrency", &tasks_at_once.to_string()]);
    node.args(["--test", "--test-reporter=spec", "--test-timeout=300000"])
        .arg(format!("--test-concurrency={files_at_once}"))
        .args(test_files(folder))
        .env("TASKLANE_TEST_PACKAGES", packages)
        .env("TASKLANE_TEST_CREDENTIALS", dev.credentials_file())
        .env("TASKLANE_TEST_CONCURRENCY", tasks_at_once.to_string())
        // Otherwise node treats the suite as part of an outer test run.
        .env_remove("NODE_TEST_CONTEXT")
        .env_remove("NODE_OPTIONS");
    let output = node.output().expect("node starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "the suite failed\n--- node\n{printed}{}\n--- tasklane dev\n{}",
        String::from_utf8_lossy(&output.stderr),
        dev.stderr(),
    );
    dev.stop();
}

fn test_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the suite is there")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(".test.mjs")))
        .collect();
    assert!(!files.is_empty(), "there is no test in {}", folder.display());
    files.sort();
    files
}
