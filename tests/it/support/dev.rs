//! A `tasklane dev` process for one test, with a free port and its own data folder.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{command, wait::PATIENCE};

/// A running `tasklane dev`. Dropping it kills it.
pub struct Dev {
    child: Child,
    base_url: String,
    data_dir: PathBuf,
    stderr: Arc<Mutex<String>>,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// A response: status and JSON.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// A `tasklane dev` that has not printed its URL yet. Dropping it kills it.
pub struct Starting {
    child: Option<Child>,
    data_dir: PathBuf,
    stderr: Arc<Mutex<String>>,
    /// Closed at the end of its stderr.
    stderr_ends: mpsc::Receiver<()>,
    first_line: mpsc::Receiver<String>,
}

impl Starting {
    /// Starts one with its data in `home/.tasklane`, where the other commands find its credentials.
    pub fn new<S: AsRef<std::ffi::OsStr>>(home: &Path, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = command::tasklane(home);
        command.args(Self::arguments(home)).args(args);
        Self::spawn(home, command)
    }

    /// The common arguments of every `tasklane dev` in tests.
    pub fn arguments(home: &Path) -> [std::ffi::OsString; 5] {
        let data_dir = home.join(".tasklane").into_os_string();
        ["dev".into(), "--listen".into(), "127.0.0.1:0".into(), "--data-dir".into(), data_dir]
    }

    /// Starts this command, which starts a `tasklane dev` on a free port, with its data in `home/.tasklane`.
    pub fn spawn(home: &Path, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tasklane starts");
        let stderr = Arc::new(Mutex::new(String::new()));
        let stderr_ends = collect(child.stderr.take().expect("stderr is piped"), stderr.clone());
        let first_line = first_line_of(child.stdout.take().expect("stdout is piped"));
        Self { child: Some(child), data_dir: home.join(".tasklane"), stderr, stderr_ends, first_line }
    }

    /// Waits until it prints its URL and has synced its Functions.
    pub fn ready(self) -> Dev {
        let dev = self.answering();
        super::wait::until("the Functions are synced", || {
            dev.stderr().lines().any(|line| line.starts_with("ready: ")).then_some(())
        });
        dev
    }

    /// Waits until it prints its URL. Its Functions may not be there yet.
    pub fn answering(mut self) -> Dev {
        let Ok(line) = self.first_line.recv_timeout(PATIENCE) else {
            self.end();
            panic!("tasklane dev printed no address\n--- stderr\n{}", self.stderr.lock().unwrap());
        };
        let base_url = line.trim().to_owned();
        assert!(base_url.starts_with("http://localhost:"), "the first line is the address, and it is '{line}'");
        let http = http_client();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let child = self.child.take().expect("it has not been taken before");
        Dev { child, base_url, data_dir: self.data_dir.clone(), stderr: self.stderr.clone(), http, runtime }
    }

    /// Waits until it ends without having printed its URL, and returns its stderr.
    pub fn refused(mut self) -> (ExitStatus, String) {
        let child = self.child.as_mut().expect("it has not been taken before");
        let status = super::wait::until("tasklane dev ends", || child.try_wait().expect("it can be waited for"));
        let said = self.first_line.recv_timeout(PATIENCE);
        assert!(said.is_err(), "it was ready: {said:?}");
        // What it said last may still be on its way.
        let _ = self.stderr_ends.recv_timeout(PATIENCE);
        (status, self.stderr.lock().unwrap().clone())
    }

    /// Kills it at once, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.end();
    }
}

impl Dev {
    /// Starts one with its data in `home/.tasklane`, where the other commands find its credentials, and waits until it
    /// has synced its Functions.
    pub fn start<S: AsRef<std::ffi::OsStr>>(home: &Path, args: impl IntoIterator<Item = S>) -> Self {
        Starting::new(home, args).ready()
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The file that holds an administrator's credentials.
    pub fn credentials_file(&self) -> PathBuf {
        self.data_dir.join("credentials")
    }

    /// The content of that file.
    pub fn credentials(&self) -> HashMap<String, String> {
        let text = fs::read_to_string(self.credentials_file()).expect("the credentials are there once it is ready");
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Its stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A client with the administrator's credentials. Its connections belong to the runtime on which it is first used.
    pub fn asker(&self) -> Asker {
        self.asker_with(http_client())
    }

    fn asker_with(&self, http: reqwest::Client) -> Asker {
        let authorization = format!("Bearer {}", self.credentials()["API_ACCESS_TOKEN"]);
        Asker { http, base_url: self.base_url.clone(), authorization }
    }

    /// Sends a request as the administrator.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.answered(self.asker_with(self.http.clone()), method, path, body)
    }

    /// Sends a request with this Authorization header.
    pub fn ask_as(&self, authorization: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let authorization = authorization.to_owned();
        let asker = Asker { http: self.http.clone(), base_url: self.base_url.clone(), authorization };
        self.answered(asker, method, path, body)
    }

    fn answered(&self, asker: Asker, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.runtime.block_on(asker.ask(method, path, body)).expect("the service answers")
    }

    /// Sends a GET request; panics unless the status is 200.
    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None).ok()
    }

    /// Creates a Task of this Function, with more properties.
    pub fn create_task(&self, function: &str, more: Value) -> Value {
        let mut body = json!({ "functionName": function });
        merge(&mut body, more);
        self.ask("POST", "/tasks/v1/", Some(&body)).ok()
    }

    /// The Tasks that match this RQL.
    pub fn tasks(&self, rql: &str) -> Vec<Value> {
        match self.get(&format!("/tasks/v1/?{rql}"))["data"].take() {
            Value::Array(tasks) => tasks,
            other => panic!("not a list of Tasks: {other}"),
        }
    }

    /// The Task with this id.
    pub fn task(&self, id: &str) -> Value {
        self.tasks(&format!("eq(id,{id})")).pop().unwrap_or_else(|| panic!("there is no Task {id}"))
    }

    /// Waits until a line like this is on its stderr.
    pub fn says(&self, text: &str) -> String {
        let find = || self.stderr().lines().find(|line| line.contains(text)).map(str::to_owned);
        super::wait::until(&format!("it says '{text}'"), find)
    }

    /// Sends the signal of Ctrl-C.
    pub fn interrupt(&self) {
        kill(self.pid(), Signal::SIGINT).expect("it is still running");
    }

    /// Kills it without letting it clean up, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it is still running");
        self.child.wait().expect("it ends");
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends by itself; panics if it does not.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end\n--- stderr\n{}", self.stderr());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends Ctrl-C and waits until it has ended successfully.
    pub fn stop(self) {
        self.interrupt();
        self.stopped();
    }

    /// Waits until it has ended successfully after a Ctrl-C.
    pub fn stopped(mut self) {
        let status = self.ended();
        assert!(status.success(), "it ended with {status}\n--- stderr\n{}", self.stderr());
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- stderr of tasklane dev\n{}", self.stderr());
        }
        // Lets it end its Functions' processes first, because a failed test may have left it in any state.
        if self.is_running() {
            let _ = kill(self.pid(), Signal::SIGINT);
            let deadline = Instant::now() + Duration::from_secs(5);
            while self.is_running() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A client of a service, as its administrator.
#[derive(Clone)]
pub struct Asker {
    http: reqwest::Client,
    base_url: String,
    authorization: String,
}

impl Asker {
    /// Sends a request; an error if no complete response came.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> reqwest::Result<Answer> {
        let url = format!("{}{path}", self.base_url);
        let request = self.http.request(method.parse().unwrap(), url);
        let mut request = request.header("authorization", &self.authorization).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }
}

impl Answer {
    /// The body of a response with status 200.
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
}

fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

fn collect(stream: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> mpsc::Receiver<()> {
    let (open, ends) = mpsc::channel();
    thread::spawn(move || {
        let _open = open;
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = into.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    ends
}

/// The first line. The rest is also read, so that the writer never blocks.
fn first_line_of(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}
