//! Tools from PyPI, as infra/python pins them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use super::project::repository;

/// Installs what `infra/python/<name>.txt` pins below `target/`, once for all tests and runs, and answers the folder of
/// its programs.
///
/// Panics with a sentence that says what to do when Python is missing, or the registry cannot be reached.
pub fn install(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    fs::create_dir_all(&folder).expect("target/ can be written to");
    let lock = File::create(folder.join(".lock")).expect("target/ can be written to");
    lock.lock().expect("the file system locks files");

    let pinned = repository().join(format!("infra/python/{name}.txt"));
    let wanted = fs::read(&pinned).unwrap_or_else(|e| panic!("{}: {e}", pinned.display()));
    let (venv, installed) = (folder.join("venv"), folder.join(".installed"));
    let programs = venv.join("bin");
    // Written last: what it holds is what was installed whole.
    if fs::read(&installed).is_ok_and(|list| list == wanted) {
        return programs;
    }
    let _ = fs::remove_dir_all(&venv);
    let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).output();
    let made = made.unwrap_or_else(|e| panic!("python3 does not start ({e}): install Python 3.11 or later."));
    let printed = |output: &std::process::Output| {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    assert!(made.status.success(), "python3 cannot make a venv: install its package python3-venv.\n{}", printed(&made));
    let pip = Command::new(programs.join("pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "-r"])
        .arg(&pinned)
        .output()
        .expect("a venv brings pip");
    assert!(pip.status.success(), "pip could not install what {} pins.\n{}", pinned.display(), printed(&pip));
    fs::write(&installed, wanted).expect("target/ can be written to");
    programs
}
