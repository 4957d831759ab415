//! Programs of Debian packages that tests need, listed in infra/debian.

use std::process::Command;

use super::project::repository;

/// Installs the program if it is missing, and returns its path.
pub fn program(name: &str) -> String {
    let install = Command::new(repository().join("infra/debian/install")).arg(name).output().unwrap();
    assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
    let path = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
    String::from_utf8(path.stdout).unwrap().trim().to_owned()
}
