//! The stack under test: template.yaml, deployed with CloudFormation into an emulator, and helpers for tests.

use std::{
    ffi::OsStr,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use tempfile::TempDir;

use super::emulator::Emulator;
use crate::support::{
    command::{Ended, tasklane},
    project::repository,
    python,
    wait::{PATIENCE, until},
};

/// How many Tasks of a stack may run at once.
pub const TASK_CONCURRENCY: usize = 4;

/// A deployed stack, and an operator with an empty home folder.
pub struct Deployed<'a> {
    pub emulator: &'a Emulator,
    /// The name in CloudFormation.
    pub name: String,
    /// The prefix of all names in it.
    pub prefix: String,
    outputs: Value,
    home: TempDir,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// A response of the gateway.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body of a 200 as JSON.
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

impl<'a> Deployed<'a> {
    /// Deploys the handlers in `zips`, after a first deployment that fails and leaves nothing.
    pub fn deploy(emulator: &'a Emulator, zips: &Path) -> Self {
        // A random one in a shared emulator, which may already have a stack with this name.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set").as_micros();
        let prefix = format!("t{now:x}");
        let name = format!("stack-{prefix}");
        let parameters = [format!("Prefix={prefix}"), format!("TaskConcurrency={TASK_CONCURRENCY}")];
        let zips = zips.to_str().expect("a path");
        let left = stack_py(emulator, ["fail", &name, zips, &parameters[0], &parameters[1]]);
        assert_eq!(left, serde_json::json!({ "tables": [], "keys": [] }), "left by a first deployment that failed");
        let home = tempfile::tempdir().expect("there is room for a home");
        let deploy = |more: &[&str]| {
            let args = ["deploy", "--stack", &name, "--handlers", zips, "--json"];
            // Without any program to call: it needs AWS credentials and nothing else.
            Ended::of(tasklane(home.path()).args(args).args(more).envs(emulator.environment()).env("PATH", ""))
        };
        let set = ["--set", &parameters[0], "--set", &parameters[1]];
        let planned = deploy(&[&set[..], &["--plan"]].concat()).expect(1);
        assert!(planned.stderr.contains("a new stack with"), "{}", planned.stderr);
        assert!(!home.path().join(format!("{name}.stack.json")).exists(), "a plan changes nothing");
        deploy(&set).expect(2);
        let outputs = deploy(&[&set[..], &["--yes"]].concat()).expect(0).json();
        // What it wrote is enough to deploy again, and there is nothing to do.
        deploy(&["--plan"]).expect(0);
        let written = fs::read_to_string(home.path().join(format!("{name}.stack.json"))).expect("a file of the stack");
        assert!(written.contains(&format!("\"Prefix\": \"{prefix}\"")), "{written}");
        let credentials = home.path().join(format!("{name}.credentials"));
        let first = Ended::of(tasklane(home.path()).args(["list", "--credentials"]).arg(&credentials));
        first.expect(0);
        let url: reqwest::Url = outputs["Url"].as_str().expect("an output").parse().expect("a URL");
        let host = url.host_str().expect("a host");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        if host.ends_with(".localhost") {
            http = http.resolve(host, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        }
        Self {
            emulator,
            name,
            prefix,
            home,
            http: http.build().expect("a client"),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            outputs,
        }
    }

    /// An output of the stack.
    pub fn output(&self, name: &str) -> &str {
        self.outputs[name].as_str().unwrap_or_else(|| panic!("there is no output {name}: {}", self.outputs))
    }

    pub fn delete(&self) {
        let ended = self.run(&["deploy", "--stack", &self.name, "--destroy", "--yes"]).expect(0);
        assert!(ended.stderr.contains(&format!("TasksTable  {}-tasks", self.prefix)), "{}", ended.stderr);
    }

    /// Everything that belongs to the stack, by kind.
    pub fn left(&self) -> Value {
        stack_py(self.emulator, ["left", &self.prefix])
    }

    /// Calls one operation of an AWS API, as boto3 names service and operation.
    pub fn aws(&self, service: &str, operation: &str, arguments: &Value) -> Value {
        stack_py(self.emulator, ["ask", service, operation, &arguments.to_string()])
    }

    /// The operator's home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs `tasklane <args>` to its end, with AWS credentials in the environment and the service's credentials where
    /// [`Deployed::keep_credentials`] put them.
    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::of(tasklane(self.home()).args(args).envs(self.emulator.environment()))
    }

    /// The JSON output of a command that succeeds.
    pub fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).expect(0).json()
    }

    /// The path of the service's credentials.
    pub fn credentials_file(&self) -> std::path::PathBuf {
        self.home().join(".tasklane/credentials")
    }

    /// Writes an administrator's credentials to the file in which the command looks for them.
    pub fn keep_credentials(&self, lines: &str) {
        let file = self.credentials_file();
        fs::create_dir_all(file.parent().expect("a folder")).expect("home can be written to");
        fs::write(file, lines).expect("home can be written to");
    }

    /// Sends a request to the gateway, as the administrator or without credentials.
    pub fn ask(&self, method: &str, path: &str, body: Option<(&str, Vec<u8>)>, administrator: bool) -> Answer {
        let url = format!("{}{path}", self.output("Url"));
        let mut request = self.http.request(method.parse().expect("a method"), url);
        if administrator {
            request = request.bearer_auth(self.token());
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        self.runtime.block_on(async {
            let response = request.send().await.expect("the gateway answers");
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer { status, headers, body: response.bytes().await.expect("the response is complete").to_vec() }
        })
    }

    /// Queues a Task and returns its id.
    pub fn queue(&self, function: &str, more: &[&str]) -> String {
        let task = self.json(&[&["tasks", "create", function], more].concat());
        task["id"].as_str().expect("a Task has an id").to_owned()
    }

    pub fn task(&self, id: &str) -> Value {
        let mut page = self.ask("GET", &format!("/tasks/v1/?eq(id,{id})"), None, true).ok();
        page["data"][0].take()
    }

    /// The Task once it has ended.
    pub fn ended(&self, id: &str) -> Value {
        until(&format!("Task {id} has ended"), || {
            let task = self.task(id);
            let goes_on = task["status"] == "new" || task["status"] == "inProgress";
            (!goes_on).then_some(task)
        })
    }

    fn token(&self) -> String {
        let lines = fs::read_to_string(self.credentials_file()).expect("the administrator has credentials");
        let token = lines.lines().find_map(|line| line.strip_prefix("API_ACCESS_TOKEN="));
        token.expect("they include a token").to_owned()
    }
}

fn stack_py<S: AsRef<OsStr>>(emulator: &Emulator, args: impl IntoIterator<Item = S>) -> Value {
    let mut command = Command::new(python::install("emulator").join("python"));
    let output = command
        .arg(repository().join("infra/python/stack.py"))
        .args(args)
        .envs(emulator.environment())
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{command:?} failed\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}
