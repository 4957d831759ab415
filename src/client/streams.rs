//! Tasks followed live: the events of a stream.

use std::{collections::VecDeque, time::Duration};

use serde::Deserialize;
use tasklane_model::{ObjectId, Task, Timestamp};
use tasklane_ports::LogLine;

use super::{Client, ClientError, transport::Call};

/// How long a stream may be silent: the service says every 15 seconds that it is alive.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a stream lives at most, with some room for slow connections: the service closes it after ten minutes.
const LIFETIME: Duration = Duration::from_secs(900);
/// The most that is read of one event. A Task has at most 250 KB of data.
const MOST_BYTES: usize = 16 << 20;

/// An event of a Task's stream.
#[derive(Clone, Debug)]
pub enum TaskNews {
    /// The Task as it is now.
    Task(Box<Task>),
    /// The next line of its run.
    Line(LogLine),
    /// It will not change any more.
    End,
}

/// The events of one Task, as they arrive.
#[derive(Debug)]
pub struct TaskStream {
    client: Client,
    response: reqwest::Response,
    parser: Parser,
}

/// An event of the stream of all Tasks.
#[derive(Clone, Debug)]
pub enum AllNews {
    /// A Task that was created or has changed.
    Task(Box<Task>),
    /// A line of a run.
    Line(TaskLine),
    /// This reader was too slow, and missed something.
    Gap,
}

/// A line of a Task's run.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskLine {
    /// The Task.
    pub task_id: ObjectId,
    /// When it was logged.
    pub timestamp: Timestamp,
    /// The line.
    pub message: String,
}

/// The events of all Tasks, as they arrive.
#[derive(Debug)]
pub struct AllStream(TaskStream);

impl Client {
    /// Follows all Tasks that conditions of RQL match: each change from now on, and the lines of their runs, if the caller may
    /// read them.
    ///
    /// # Errors
    /// As for one Task.
    pub async fn stream_tasks(&self, rql: String) -> Result<AllStream, ClientError> {
        let call = Call::get("/tasklane/v1/events").query(rql).within(LIFETIME);
        let response = self.stream(&call).await?;
        Ok(AllStream(TaskStream { client: self.clone(), response, parser: Parser::default() }))
    }

    /// Follows a Task: as it is now, the lines of its run from the first one on, if the caller may read them, and each change.
    ///
    /// # Errors
    /// Status 404 without a code where there are no streams, 1505 when too many are open, and the errors that every request can
    /// have.
    pub async fn stream_task(&self, id: ObjectId) -> Result<TaskStream, ClientError> {
        let call = Call::get(format!("/tasklane/v1/tasks/{id}/events")).within(LIFETIME);
        let response = self.stream(&call).await?;
        Ok(TaskStream { client: self.clone(), response, parser: Parser::default() })
    }
}

impl TaskStream {
    /// The next event; `None` if the stream ended. Then it may be opened again, unless [`TaskNews::End`] came before.
    ///
    /// # Errors
    /// When the connection breaks or falls silent, or what arrives is no such stream.
    pub async fn next(&mut self) -> Result<Option<TaskNews>, ClientError> {
        self.next_as(Event::read).await
    }

    async fn next_as<N>(
        &mut self,
        read: impl Fn(&Event) -> Result<Option<N>, String>,
    ) -> Result<Option<N>, ClientError> {
        let base = || self.client.base().clone();
        loop {
            while let Some(event) = self.parser.events.pop_front() {
                let news = read(&event).map_err(|what| ClientError::NotTheService { base: base(), what })?;
                if news.is_some() {
                    return Ok(news);
                }
            }
            let chunk = tokio::time::timeout(SILENCE, self.response.chunk());
            let chunk = chunk.await.map_err(|_| ClientError::TimedOut { base: base() })?;
            match chunk.map_err(|error| ClientError::from_transport(self.client.base(), &error))? {
                Some(bytes) if self.parser.is_within(MOST_BYTES) => self.parser.take(&bytes),
                Some(_) => {
                    let what = "its events are too long".to_owned();
                    return Err(ClientError::NotTheService { base: base(), what });
                }
                None => return Ok(None),
            }
        }
    }
}

impl AllStream {
    /// The next event; `None` if the stream ended. Then it may be opened again.
    ///
    /// # Errors
    /// When the connection breaks or falls silent, or what arrives is no such stream.
    pub async fn next(&mut self) -> Result<Option<AllNews>, ClientError> {
        self.0.next_as(Event::read_of_all).await
    }
}

/// Splits a stream into events, as the HTML standard says.
#[derive(Debug, Default)]
struct Parser {
    /// The beginning of a line that is not complete yet.
    line: Vec<u8>,
    /// Whether the last byte ended a line as the first half of a CRLF may do.
    after_return: bool,
    current: Event,
    events: VecDeque<Event>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

impl Parser {
    fn is_within(&self, most: usize) -> bool {
        self.line.len() + self.current.data.len() <= most
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line(),
                byte => self.line.push(*byte),
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.current);
            if !event.data.is_empty() {
                self.events.push_back(event);
            }
            return;
        }
        // Other fields, and comments, mean nothing here.
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.current.name),
            "data" => {
                self.current.data.push_str(value);
                self.current.data.push('\n');
            }
            _ => {}
        }
    }
}

impl Event {
    /// What it says; `None` if it is of a kind that this version does not know.
    fn read(&self) -> Result<Option<TaskNews>, String> {
        Ok(match self.name.as_str() {
            "task" => Some(TaskNews::Task(json(&self.data)?)),
            "log" => Some(TaskNews::Line(json(&self.data)?)),
            "end" => Some(TaskNews::End),
            _ => None,
        })
    }

    /// The same, of the stream of all Tasks.
    fn read_of_all(&self) -> Result<Option<AllNews>, String> {
        Ok(match self.name.as_str() {
            "task" => Some(AllNews::Task(json(&self.data)?)),
            "log" => Some(AllNews::Line(json(&self.data)?)),
            "gap" => Some(AllNews::Gap),
            _ => None,
        })
    }
}

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let text = "retry: 2000\n\n:\n\nevent: log\ndata: {\"a\":\ndata: \"ü\"}\n\nevent:task\r\ndata:1\r\rignored\nevent: end\ndata: {}\n\ndata: cut";
        let event = |name: &str, data: &str| Event { name: name.to_owned(), data: data.to_owned() };
        let wanted = [event("log", "{\"a\":\n\"ü\"}\n"), event("task", "1\n"), event("end", "{}\n")];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            text.as_bytes().chunks(size).for_each(|chunk| parser.take(chunk));
            assert_eq!(parser.events, wanted, "{size} bytes at once");
        }
    }

    #[test]
    fn an_unknown_event_is_skipped_and_a_broken_one_is_an_error() {
        let read = |name: &str, data: &str| Event { name: name.to_owned(), data: data.to_owned() }.read();
        assert!(matches!(read("", "x"), Ok(None)) && matches!(read("later", "{}"), Ok(None)));
        assert!(matches!(read("end", "{}\n"), Ok(Some(TaskNews::End))));
        let line = r#"{"taskId":"697db9a2c5f0a1b2c3d4e5f6","timestamp":"2026-01-31T08:15:30.123Z","message":"a"}"#;
        assert!(matches!(read("log", line), Ok(Some(TaskNews::Line(line))) if line.message == "a"));
        assert!(read("task", "{}").is_err());
    }
}
