//! The npm packages that tests need, pinned in infra/js and infra/js-runners.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use super::project::repository;

/// Installs those of infra/js below `target/`, once for all tests and runs, and returns their folder.
///
/// Panics with instructions if node or npm is missing, or if the registry cannot be reached.
pub fn install() -> PathBuf {
    install_into("js-packages", "js")
}

/// The same with those of another folder of infra.
pub fn install_from(manifests: &str) -> PathBuf {
    install_into(manifests, manifests)
}

fn install_into(name: &str, manifests: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("target/ can be written to");
    let lock = File::create(folder.join(".lock")).expect("target/ can be written to");
    lock.lock().expect("the file system locks files");

    let pinned = repository().join("infra").join(manifests);
    let wanted = fs::read(pinned.join("package-lock.json")).expect("infra has a package-lock.json");
    // Written last, so that it exists only after a complete installation.
    let installed = folder.join(".installed");
    if fs::read(&installed).is_ok_and(|lock| lock == wanted) {
        return folder;
    }
    for file in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(pinned.join(file), folder.join(file)).expect("infra can be copied");
    }
    let npm = Command::new("npm").args(["ci", "--prefer-offline"]).current_dir(&folder).output();
    let npm = npm.unwrap_or_else(|e| panic!("npm does not start ({e}): install Node.js 20 or later, which brings it."));
    assert!(
        npm.status.success(),
        "npm could not install what infra/{manifests}/package-lock.json pins. Is the registry ({}) within reach?\n{}{}",
        registry(),
        String::from_utf8_lossy(&npm.stdout),
        String::from_utf8_lossy(&npm.stderr),
    );
    fs::write(&installed, wanted).expect("target/ can be written to");
    folder
}

/// A `node` that can run the suite: its test runner needs version 20.
pub fn node() -> Command {
    let version = Command::new("node").arg("--version").output();
    let version = version.unwrap_or_else(|e| panic!("node does not start ({e}): install Node.js 20 or later."));
    let text = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let major = text.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    assert!(major.is_some_and(|major| major >= 20), "this is node {text}: install Node.js 20 or later.");
    Command::new("node")
}

fn registry() -> String {
    let asked = Command::new("npm").args(["config", "get", "registry"]).output();
    asked.map_or_else(|_| "unknown".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
