//! A place where runs of a Function report and wait until the test lets them continue.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use super::wait::until;

/// Receives HTTP requests and responds when told to.
pub struct Stage {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

struct Request {
    body: Value,
    waiting: Option<TcpStream>,
}

/// The code of a Function that reports its event to the stage and returns the response.
pub const ACTOR: &str = "
exports.handler = async event => {
  const response = await fetch(process.env.STAGE, { method: 'POST', body: JSON.stringify(event) });
  return response.json();
};";

impl Stage {
    /// Opens one on a free port.
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let all = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let body = read_body(&stream);
                all.lock().unwrap().push(Request { body, waiting: Some(stream) });
            }
        });
        Self { url, requests }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bodies of all requests so far, in order.
    pub fn bodies(&self) -> Vec<Value> {
        self.requests.lock().unwrap().iter().map(|request| request.body.clone()).collect()
    }

    /// Waits until this many requests have come.
    pub fn arrived(&self, count: usize) -> Vec<Value> {
        until(&format!("{count} request(s) came to the stage"), || {
            let bodies = self.bodies();
            (bodies.len() >= count).then_some(bodies)
        })
    }

    /// Responds to every waiting request and returns their number.
    pub fn release_all(&self) -> usize {
        let mut requests = self.requests.lock().unwrap();
        let waiting = requests.iter_mut().filter_map(|request| request.waiting.take());
        waiting
            .map(|mut stream| {
                // The client may be gone if its process was killed.
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnull");
            })
            .count()
    }
}

fn read_body(stream: &TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body is complete");
    serde_json::from_slice(&body).unwrap_or(Value::Null)
}
