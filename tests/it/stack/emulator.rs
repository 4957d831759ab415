//! An emulator of AWS: MiniStack, started for one test, or one that is already running.

use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::faults::Faults;
use crate::support::{project::repository, python, wait::PATIENCE};

/// The URL of a running emulator to use instead, e.g. `http://localhost:4566`.
const ENDPOINT: &str = "TASKLANE_TEST_AWS_ENDPOINT";
/// An environment variable that only the processes of the emulator have.
const MARK: &str = "TASKLANE_TEST_EMULATOR";
const REGION: &str = "eu-central-1";

/// A running emulator. Dropping it ends every process that it started, if it was started here.
pub struct Emulator {
    endpoint: String,
    own: Option<Own>,
}

struct Own {
    child: Child,
    home: TempDir,
    /// What handlers take for AWS.
    faults: Faults,
}

impl Emulator {
    /// The emulator in `TASKLANE_TEST_AWS_ENDPOINT`, or MiniStack on a free port of this machine, without persistent state.
    pub fn start() -> Self {
        if let Some(endpoint) = env::var(ENDPOINT).ok().filter(|endpoint| !endpoint.is_empty()) {
            return Self { endpoint, own: None };
        }
        // MiniStack needs a port, and another process may take the one that was free a moment ago.
        for _ in 0..5 {
            let port = free_port();
            let mut own = Own::launch(port);
            if own.comes_up(port) {
                return Self { endpoint: format!("http://localhost:{port}"), own: Some(own) };
            }
        }
        panic!("MiniStack found no port to listen on in five tries");
    }

    /// Whether it was started here, so that the test may look at its processes.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The environment variables that lead AWS's clients to the emulator.
    pub fn environment(&self) -> [(&'static str, &str); 5] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }

    /// What can go wrong between handlers and AWS; `None` if it was not started here.
    pub fn faults(&self) -> Option<&Faults> {
        self.own.as_ref().map(|own| &own.faults)
    }

    /// Kills the processes of a Lambda function without letting them clean up, as if their machine died. Returns their
    /// number; always 0 if the emulator was not started here.
    pub fn kill_lambda(&self, function: &str) -> usize {
        let Some(own) = &self.own else { return 0 };
        let name = format!("AWS_LAMBDA_FUNCTION_NAME={function}");
        own.processes(|environment| environment.contains(&name)).into_iter().filter(|pid| end(*pid)).count()
    }
}

impl Own {
    fn launch(port: u16) -> Self {
        let python = python::install("emulator").join("python");
        let home = tempfile::tempdir().expect("there is room for the emulator's state");
        let faults = Faults::open();
        faults.lead_to(port);
        let log = File::create(log_of(&home)).expect("the emulator's log can be written");
        let mut command = Command::new(python);
        command
            .arg(repository().join("infra/python/emulator.py"))
            .env_clear()
            .envs(env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME" || name == "LANG"))
            .env(MARK, home.path())
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            // Its other ports are open to everybody.
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("MINISTACK_REGION", REGION)
            .env("AWS_ENDPOINT_URL", format!("http://localhost:{}", faults.port()))
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("TMPDIR", home.path())
            .env("STATE_DIR", home.path().join("state"))
            .env("S3_DATA_DIR", home.path().join("s3"))
            // It ends when this pipe is closed, even if the test is killed.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file handle"))
            .stderr(log);
        let child = command.spawn().expect("python starts");
        Self { child, home, faults }
    }

    /// Waits until it responds. Returns `false` if it ended because another process has the port.
    fn comes_up(&mut self, port: u16) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                let log = self.log();
                assert!(log.contains("already in use"), "MiniStack ended with {status}\n{log}");
                return false;
            }
            if is_healthy(port) {
                return true;
            }
            assert!(Instant::now() < deadline, "MiniStack does not answer\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(log_of(&self.home)).unwrap_or_default()
    }

    /// The processes of this emulator, including itself, with this environment.
    fn processes(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Pid> {
        let mark = format!("{MARK}={}", self.home.path().display());
        let all = fs::read_dir("/proc").expect("processes are listed in /proc").map_while(Result::ok);
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &i32| {
            // A process may end meanwhile, and those of other users cannot be read.
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let environment = String::from_utf8_lossy(&environment);
            environment.split('\0').any(|variable| variable == mark) && is_wanted(&environment)
        })
        .map(Pid::from_raw)
        .collect()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the emulator\n{}", tail(&self.log(), 200));
        }
        end(Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")));
        let _ = self.child.wait();
        // Repeated until none is left, because one may have started another.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.processes(|_| true);
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            for pid in left {
                end(pid);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn end(pid: Pid) -> bool {
    kill(pid, Signal::SIGKILL).is_ok()
}

fn log_of(home: &TempDir) -> PathBuf {
    Path::join(home.path(), "emulator.log")
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /_ministack/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().is_ok_and(|answer| answer == "HTTP/1.1 200")
}
