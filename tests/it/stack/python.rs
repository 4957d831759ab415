//! The Python packages that emulate AWS and talk to it, as infra/python pins them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::project::repository;

/// Installs them below `target/`, once for all tests and runs, and answers the interpreter that finds them.
///
/// Panics with a sentence that says what to do when Python is missing or too old, or the registry cannot be reached.
pub fn install() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aws-emulator");
    fs::create_dir_all(&folder).expect("target/ can be written to");
    let lock = File::create(folder.join(".lock")).expect("target/ can be written to");
    lock.lock().expect("the file system locks files");

    let pinned = repository().join("infra/python/emulator.txt");
    let wanted = fs::read(&pinned).expect("infra/python/emulator.txt is there");
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    // Written last: what it holds is what was installed whole.
    let installed = folder.join(".installed");
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    let _ = fs::remove_dir_all(&venv);
    let is_recent = "import sys; sys.exit(f'this is Python {sys.version}' if sys.version_info < (3, 11) else 0)";
    run(Command::new("python3").args(["-c", is_recent]), "Install Python 3.11 or later.");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv), "Install Python's venv (python3-venv on Debian).");
    run(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
            // What is pinned is all that is needed, and nothing else comes along.
            .arg("--no-deps")
            .arg("-r")
            .arg(&pinned),
        "Is the registry of Python packages within reach?",
    );
    fs::write(&installed, wanted).expect("target/ can be written to");
    python
}

fn run(command: &mut Command, advice: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start ({error}). {advice}"));
    assert!(
        output.status.success(),
        "{command:?} failed. {advice}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
