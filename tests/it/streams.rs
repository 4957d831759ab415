//! Tasks followed live, in a `tasklane dev`.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    net::TcpStream,
    process::Stdio,
};

use serde_json::{Value, json};

use crate::support::{command::tasklane, dev::Dev, project::write_function, stage::Stage, wait::PATIENCE};

/// The events that arrive at a client.
struct Reader(Lines<BufReader<TcpStream>>);

impl Reader {
    fn open(dev: &Dev, path: &str) -> Self {
        let address = dev.base_url().strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let token = &dev.credentials()["API_ACCESS_TOKEN"];
        // Without the chunks of HTTP/1.1, which would stand between the lines.
        let head = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(socket).lines();
        let status = lines.next().unwrap().unwrap();
        assert!(status.ends_with(" 200 OK"), "{status}");
        while !lines.next().unwrap().unwrap().is_empty() {}
        Self(lines)
    }

    /// The next event: its name and its JSON. `None` at the end.
    fn event(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        for line in self.0.by_ref() {
            let line = line.expect("the stream goes on, or ends");
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
        None
    }

    /// The next event, in a word, without the lines that Lambda itself logs.
    fn word(&mut self) -> String {
        loop {
            let Some((name, data)) = self.event() else { return "over".to_owned() };
            let text = |field: &str| data[field].as_str().unwrap().to_owned();
            return match name.as_str() {
                "log"
                    if ["START ", "END ", "REPORT ", "INIT_"].iter().any(|mark| text("message").starts_with(mark)) =>
                {
                    continue;
                }
                // node writes the time, the request and the level before what was logged.
                "log" => text("message").rsplit('\t').next().unwrap_or_default().to_owned(),
                "task" => text("status"),
                _ => name,
            };
        }
    }
}

/// Logs, waits for the stage, and logs again.
const TALKER: &str = "
exports.handler = async event => {
  console.log('before');
  await fetch(process.env.STAGE, { method: 'POST', body: '1' });
  console.log('after');
};";

#[test]
fn changes_and_lines_arrive_in_order_until_the_task_is_final() {
    let home = tempfile::tempdir().unwrap();
    let (functions, stage) = (home.path().join("functions"), Stage::open());
    let variables = json!({ "environment": { "STAGE": stage.url() } });
    write_function(&functions, "talker", TALKER, &variables);
    let dev = Dev::start(home.path(), [&functions]);
    let mut all = Reader::open(&dev, "/tasklane/v1/events?functionName=talker");
    let mut none = Reader::open(&dev, "/tasklane/v1/events?functionName=another");

    let id = dev.create_task("talker", json!({}))["id"].as_str().unwrap().to_owned();
    let mut one = Reader::open(&dev, &format!("/tasklane/v1/tasks/{id}/events"));
    // By then it may run already.
    let mut word = one.word();
    if word == "new" {
        word = one.word();
    }
    assert_eq!((word.as_str(), one.word().as_str()), ("inProgress", "before"));
    stage.arrived(1);
    stage.release_all();
    for wanted in ["after", "complete", "end", "over"] {
        assert_eq!(one.word(), wanted);
    }
    let mut words = Vec::new();
    while !["after", "complete"].iter().all(|last| words.iter().any(|word| word == last)) {
        words.push(all.word());
    }
    let place =
        |wanted: &str| words.iter().position(|word| word == wanted).unwrap_or_else(|| panic!("{wanted}: {words:?}"));
    assert!(place("inProgress") < place("before") && place("before") < place("after"), "{words:?}");
    assert!(place("inProgress") < place("complete"), "{words:?}");

    // A stream keeps the service from stopping no longer than a moment.
    dev.interrupt();
    assert_eq!((all.word().as_str(), none.word().as_str()), ("over", "over"));
    dev.stopped();
}

#[test]
fn the_command_line_shows_lines_as_they_are_logged() {
    let home = tempfile::tempdir().unwrap();
    let (functions, stage) = (home.path().join("functions"), Stage::open());
    let variables = json!({ "environment": { "STAGE": stage.url() } });
    write_function(&functions, "talker", TALKER, &variables);
    let dev = Dev::start(home.path(), [&functions]);
    let id = dev.create_task("talker", json!({}))["id"].as_str().unwrap().to_owned();
    stage.arrived(1);
    let mut command = tasklane(home.path());
    let mut following =
        command.args(["tasks", "logs", &id, "--follow"]).stdout(Stdio::piped()).spawn().expect("the command starts");
    let mut shown = BufReader::new(following.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut next = |text: &str| shown.by_ref().any(|line| line.contains(text));
    // This line arrives while the Task runs.
    assert!(next("before"));
    stage.release_all();
    assert!(next("after") && next("REPORT RequestId:"));
    assert_eq!(shown.next(), None);
    assert!(following.wait().unwrap().success());
    dev.stop();
}
