//! Tools from PyPI, pinned in infra/python.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use super::project::repository;

/// Installs the packages in `infra/python/<name>.txt` below `target/`, once for all tests and runs, and returns the folder
/// of their programs, including the `python` that finds them.
///
/// Panics with instructions if Python is missing or too old, or if the registry cannot be reached.
pub fn install(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    fs::create_dir_all(&folder).expect("target/ can be written to");
    let lock = File::create(folder.join(".lock")).expect("target/ can be written to");
    lock.lock().expect("the file system locks files");

    let pinned = repository().join(format!("infra/python/{name}.txt"));
    let wanted = fs::read(&pinned).unwrap_or_else(|e| panic!("{}: {e}", pinned.display()));
    let (venv, installed) = (folder.join("venv"), folder.join(".installed"));
    let programs = venv.join("bin");
    // Written last, so that it exists only after a complete installation.
    if fs::read(&installed).is_ok_and(|list| list == wanted) {
        return programs;
    }
    let _ = fs::remove_dir_all(&venv);
    let is_recent = "import sys; sys.exit(f'this is Python {sys.version}' if sys.version_info < (3, 11) else 0)";
    run(Command::new("python3").args(["-c", is_recent]), "Install Python 3.11 or later.");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv), "Install Python's venv (python3-venv on Debian).");
    run(
        Command::new(programs.join("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
            // The list is complete: no dependencies are added, and nothing is built here.
            .args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r"])
            .arg(&pinned),
        "Is the registry of Python packages within reach?",
    );
    fs::write(&installed, wanted).expect("target/ can be written to");
    programs
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
