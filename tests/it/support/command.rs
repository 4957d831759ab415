//! The `tasklane` command as users run it.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The command, without access to this machine's own credentials or settings.
pub fn tasklane(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tasklane"));
    command.current_dir(home).env("HOME", home).env_remove("XDG_CONFIG_HOME").stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let ours =
            name.to_str().is_some_and(|n| n.starts_with("API_") || n.starts_with("TASKLANE_") || n.starts_with("AWS_"));
        if ours {
            command.env_remove(name);
        }
    }
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

impl Ended {
    /// Runs the command to its end.
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the command starts");
        Self {
            code: status.code().expect("the command exits by itself"),
            stdout: String::from_utf8(stdout).expect("stdout is text"),
            stderr: String::from_utf8(stderr).expect("stderr is text"),
        }
    }

    /// Itself, if it exited with this code; otherwise panics with the output.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Stdout as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("stdout is not JSON: {e}\n{}", self.stdout))
    }
}

/// `tasklane <args>` in `home`, run to its end.
pub fn run<S: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = S>) -> Ended {
    Ended::of(tasklane(home).args(args))
}
