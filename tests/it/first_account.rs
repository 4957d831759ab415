//! `infra/first-account`: what an operator runs once in a real account. Here it tries a service on this machine.

use std::{fs, process::Command};

use crate::support::{command::Ended, dev::Dev, project::repository};

#[test]
fn a_trial_reports_what_became_of_each_task_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let dev = Dev::start(home.path(), [&empty]);
    let mut script = Command::new(repository().join("infra/first-account"));
    script.args(["--service", "--tasklane", env!("CARGO_BIN_EXE_tasklane")]);
    script.args(["--tasks", "2", "--task-seconds", "1", "--apart", "0.2"]);
    script.args(["--every", "2", "--for", "2", "--retries", "2", "--retry-after", "1"]);
    script.env("HOME", home.path()).envs(dev.credentials());

    let Ended { stdout, stderr, .. } = Ended::of(&mut script);

    for wanted in [
        "## 2 Tasks of 1 s, 0.2 s apart\n\n- 2 started",
        "## A Schedule each 2 s, 2 times\n\n- 2 started",
        "## A Task that is retried 2 times\n\n- wanted after 1.0 s, 2.0 s; planned after 1.0 s, 2.0 s\n",
    ] {
        assert!(stdout.contains(wanted), "no {wanted:?} in\n{stdout}\n{stderr}");
    }
    // On a busy machine, Tasks may be late, and then it says so. Everything else would be a fault.
    let complaints = stdout.lines().filter(|line| line.starts_with("- **") && !line.contains("late"));
    assert_eq!(complaints.count(), 0, "{stdout}");
    let functions = dev.get("/tasks/v1/functions").to_string();
    assert!(!functions.contains("first-"), "its Functions are removed: {functions}");
}
