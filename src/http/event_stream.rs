//! Server-sent events: the format of streams (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use tasklane_model::Result;
use tasklane_service::{StreamItem, TaskStream};
use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder,
        response::{Response as ResponseDoc, ResponseBuilder},
    },
};

use super::{
    answer::Answer,
    openapi::{Schemas, reference},
};

/// A stream as a response, which goes on until the stream ends.
pub struct EventStream(pub TaskStream);

/// One event of a stream, for the API document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(description = "One event of a stream: its name, and its JSON as text.")]
pub struct StreamEvent {
    /// What it is about.
    event: EventName,
    /// The JSON that the operation describes.
    data: &'static str,
}

/// The name of an event.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EventName {
    Task,
    Log,
    Gap,
    End,
}

/// The beginning of each stream. It has the response's head sent at once, and tells a browser to come back this many
/// milliseconds after the end.
const BEGINNING: Bytes = Bytes::from_static(b"retry: 2000\n\n");
/// A comment, which readers ignore.
const STILL_HERE: Bytes = Bytes::from_static(b":\n\n");
/// nginx, for example, would otherwise keep events back until it has a buffer full of them.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

impl Answer for EventStream {
    fn into_response(self) -> Result<Response> {
        let events = self.0.map(|item| write(&item).map_err(std::io::Error::other));
        let whole = stream::once(async { Ok(BEGINNING) }).chain(events);
        let mut response = Response::new(Body::from_stream(whole));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
        Ok(response)
    }

    fn response(schemas: &mut Schemas) -> ResponseDoc {
        let content = ContentBuilder::new().schema(Some(reference::<StreamEvent>(schemas))).build();
        ResponseBuilder::new().description("Server-sent events.").content("text/event-stream", content).build()
    }
}

fn write(item: &StreamItem) -> serde_json::Result<Bytes> {
    Ok(match item {
        StreamItem::Task(task) => event(EventName::Task, task.as_str()),
        StreamItem::Line(line) => event(EventName::Log, &json(line)?),
        StreamItem::Gap => event(EventName::Gap, "{}"),
        StreamItem::StillHere => STILL_HERE,
        StreamItem::End(end) => event(EventName::End, &json(end)?),
    })
}

fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value)
}

/// An event with this JSON. A user's own JSON may span several lines, and then each is a line of the event; readers join
/// them with a line feed, which is the same JSON.
fn event(name: EventName, json: &str) -> Bytes {
    let name = match name {
        EventName::Task => "task",
        EventName::Log => "log",
        EventName::Gap => "gap",
        EventName::End => "end",
    };
    let mut text = format!("event: {name}\n");
    // A carriage return ends a line too. In JSON, either can only be white space.
    for line in json.split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_with_line_breaks_stays_one_event() {
        let written = event(EventName::Task, "{\"a\":\r\n\"b\"}");
        assert_eq!(written, "event: task\ndata: {\"a\":\ndata: \ndata: \"b\"}\n\n");
    }
}
