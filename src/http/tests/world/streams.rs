//! Tasks followed live: server-sent events.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tasklane_http::{HttpConfig, router};
use tasklane_model::{ObjectId, RetryPolicyChange, Timestamp};
use tasklane_service::FunctionOptions;
use tasklane_testing::TestLambda;
use tokio::sync::Notify;
use tower::ServiceExt;

use super::kit::{Kit, shared};

const SEES_ALL: &str = "may VIEW_TASKS,VIEW_TASK_LOGS";
const SEES_TASKS: &str = "may VIEW_TASKS";

/// What arrives at a client.
struct Reader {
    headers: HeaderMap,
    body: Body,
    text: String,
    blocks: VecDeque<String>,
}

impl Reader {
    async fn open(kit: &Kit, path: &str, who: &str) -> Self {
        let request = kit.request(&format!("GET {path}"), &[("authorization", who)], "").await;
        let response = kit.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status.as_u16(), 200, "{path}");
        let mut reader = Self { headers: parts.headers, body, text: String::new(), blocks: VecDeque::new() };
        assert_eq!(reader.block().await.unwrap(), "retry: 2000");
        reader
    }

    /// The next event or comment; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        while self.blocks.is_empty() {
            let frame = self.body.frame().await?.unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.blocks.push_back(block.to_owned());
                self.text = rest.to_owned();
            }
        }
        self.blocks.pop_front()
    }

    /// The name and the JSON of the next event; `None` at the end.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block().await?;
            if block == ":" {
                continue;
            }
            let (name, data) = block.split_once('\n').unwrap();
            let data: String = data.lines().map(|line| line.strip_prefix("data: ").unwrap()).collect();
            return Some((name.strip_prefix("event: ").unwrap().to_owned(), serde_json::from_str(&data).unwrap()));
        }
    }

    /// The next event, in a word: a status, the text of a line, or another event's name.
    async fn word(&mut self) -> String {
        let Some((name, data)) = self.event().await else { return "over".to_owned() };
        match name.as_str() {
            "task" => data["status"].as_str().unwrap().to_owned(),
            "log" => data["message"].as_str().unwrap().to_owned(),
            _ => name,
        }
    }
}

/// A service with a Function `hello` that runs until it is notified.
async fn kit() -> (Kit, Arc<Notify>) {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    let go = Arc::new(Notify::new());
    let goes = Arc::clone(&go);
    kit.world.lambda.behave("hello", move |_| {
        let goes = Arc::clone(&goes);
        async move {
            goes.notified().await;
            Ok(TestLambda::returned("1"))
        }
    });
    (kit, go)
}

#[tokio::test(start_paused = true)]
async fn a_stream_shows_a_task_its_lines_and_its_end_in_order() {
    let (kit, go) = kit().await;
    let id = kit.world.task("hello").await.id;
    let mut reader = Reader::open(&kit, &format!("/tasklane/v1/tasks/{id}/events"), SEES_ALL).await;
    for (name, value) in
        [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
    {
        assert_eq!(reader.headers[name], value);
    }
    assert!(!reader.headers.contains_key("content-length"));
    assert_eq!(reader.event().await.unwrap(), ("task".to_owned(), get(&kit, id).await));
    kit.world.start();
    assert_eq!(reader.word().await, "inProgress");
    for line in ["a", "b", "b"] {
        kit.world.logs.log(id, kit.world.now(), line);
    }
    let (name, line) = reader.event().await.unwrap();
    assert_eq!((name.as_str(), &line["taskId"], &line["message"]), ("log", &json!(id), &json!("a")));
    assert!(line["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    // Somebody who comes later sees the same.
    let mut later = Reader::open(&kit, &format!("/tasklane/v1/tasks/{id}/events"), SEES_ALL).await;
    for word in ["inProgress", "a", "b", "b"] {
        assert_eq!(later.word().await, word);
    }
    kit.world.logs.log(id, kit.world.now(), "c");
    go.notify_one();
    kit.world.finished(id).await;
    // The last line may come after the end of the Task.
    let mut words = Vec::new();
    while words.last().is_none_or(|word| word != "complete") {
        words.push(reader.word().await);
    }
    assert_eq!(words, ["b", "b", "c", "complete"]);
    kit.world.logs.log(id, kit.world.now(), "REPORT RequestId: x");
    assert_eq!(reader.word().await, "REPORT RequestId: x");
    assert_eq!(
        reader.event().await.unwrap(),
        ("end".to_owned(), json!({ "taskId": id.to_string(), "status": "complete" }))
    );
    assert!(reader.event().await.is_none());
    // A final Task ends at once, with all that there is.
    let mut last = Reader::open(&kit, &format!("/tasklane/v1/tasks/{id}/events"), SEES_ALL).await;
    for word in ["a", "b", "b", "c", "REPORT RequestId: x", "complete", "end", "over"] {
        assert_eq!(last.word().await, word);
    }
}

async fn get(kit: &Kit, id: ObjectId) -> Value {
    kit.ask(&format!("GET /tasklane/v1/tasks/{id}"), SEES_TASKS, "").await.json()
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_last_line_ends_after_some_time_and_a_canceled_task_at_once() {
    let (kit, go) = kit().await;
    go.notify_one();
    kit.world.start();
    let id = kit.world.task("hello").await.id;
    let ended = kit.world.finished(id).await.status_changed_timestamp;
    let mut reader = Reader::open(&kit, &format!("/tasklane/v1/tasks/{id}/events"), SEES_ALL).await;
    assert_eq!((reader.word().await, reader.word().await), ("complete".to_owned(), "end".to_owned()));
    assert_eq!(kit.world.now().since(ended).as_secs(), 15);
    let began = kit.world.now();
    let mut without = Reader::open(&kit, &format!("/tasklane/v1/tasks/{id}/events"), SEES_TASKS).await;
    assert_eq!((without.word().await, without.word().await), ("complete".to_owned(), "end".to_owned()));
    let canceled = kit.world.task_with("hello", 0, Some("2027-01-01T00:00:00Z".parse().unwrap())).await.id;
    let mut reader = Reader::open(&kit, &format!("/tasklane/v1/tasks/{canceled}/events"), SEES_ALL).await;
    assert_eq!(reader.word().await, "new");
    kit.world.service.cancel_task(canceled).await.unwrap();
    assert_eq!((reader.word().await, reader.word().await), ("canceled".to_owned(), "end".to_owned()));
    assert!(kit.world.now().since(began) < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_retried_task_names_the_next_one() {
    let kit = Kit::new().await;
    let retry_policy = Some(RetryPolicyChange { enabled: true, ..RetryPolicyChange::default() });
    kit.world.function("hello", FunctionOptions { retry_policy, ..FunctionOptions::default() }).await;
    kit.world.lambda.throw("hello", "Boom");
    let id = kit.world.task("hello").await.id;
    let mut reader = Reader::open(&kit, &format!("/tasklane/v1/tasks/{id}/events"), SEES_TASKS).await;
    kit.world.start();
    while reader.word().await != "retried" {}
    let (name, end) = reader.event().await.unwrap();
    let next = get(&kit, id).await["retriedByTaskId"].clone();
    assert_eq!((name.as_str(), &end["status"], &end["retriedByTaskId"]), ("end", &json!("retried"), &next));
    assert!(next.is_string() && reader.event().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn lines_need_their_own_permission_and_those_of_api_requests_are_never_shown() {
    let (kit, go) = kit().await;
    let id = kit.world.task("hello").await.id;
    let paths = [format!("/tasklane/v1/tasks/{id}/events"), "/tasklane/v1/events".to_owned()];
    let mut silent = [Reader::open(&kit, &paths[0], SEES_TASKS).await, Reader::open(&kit, &paths[1], SEES_TASKS).await];
    let mut all = Reader::open(&kit, &paths[1], SEES_ALL).await;
    assert_eq!(silent[0].word().await, "new");
    kit.world.start();
    for reader in silent.iter_mut().chain([&mut all]) {
        assert_eq!(reader.word().await, "inProgress");
    }
    let request = ObjectId::new(kit.world.now(), 7);
    kit.world.logs.log(request, kit.world.now(), "of an API Request");
    kit.world.logs.log(id, kit.world.now(), "of the Task");
    assert_eq!(all.word().await, "of the Task");
    go.notify_one();
    for reader in silent.iter_mut().chain([&mut all]) {
        assert_eq!(reader.word().await, "complete");
    }
    assert_eq!(silent[0].word().await, "end");
}

#[tokio::test]
async fn who_may_not_read_the_task_gets_no_stream() {
    let (kit, _) = kit().await;
    let id = kit.world.task("hello").await.id;
    let of_one = format!("GET /tasklane/v1/tasks/{id}/events");
    for target in [of_one.as_str(), "GET /tasklane/v1/events"] {
        for (who, code) in [("", 104), ("may VIEW_TASK_LOGS,CREATE_TASKS", 10), ("Bearer nonsense", 117)] {
            assert_eq!(kit.ask(target, who, "").await.code(), code, "{target} as {who}");
        }
    }
    let refused =
        [("tasks/697db9a2c5f0a1b2c3d4e5f6/events", 16), ("tasks/nonsense/events", 12), ("events?limit(1)", 19)];
    for (path, code) in refused {
        assert_eq!(kit.ask(&format!("GET /tasklane/v1/{path}"), SEES_ALL, "").await.code(), code, "{path}");
    }
    for query in ["sort(id)", "select(id)", "skipCount()", "status=x&limit(3)", "eq(status"] {
        assert_eq!(kit.ask(&format!("GET /tasklane/v1/events?{query}"), SEES_ALL, "").await.code(), 19, "{query}");
    }
    assert!(!kit.world.feed.is_followed(), "a refused stream takes no place");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_all_tasks_shows_what_the_list_shows() {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    kit.world.function("other", FunctionOptions::default()).await;
    let path = "/tasklane/v1/events?functionName=hello&eq(data.wanted,true)";
    let mut reader = Reader::open(&kit, path, SEES_TASKS).await;
    let mut everything = Reader::open(&kit, "/tasklane/v1/events", SEES_TASKS).await;
    let create = async |function: &str, data: Value| {
        let body = json!({ "functionName": function, "data": data, "tags": ["a"] }).to_string();
        let created = kit.ask("POST /tasks/v1", "may CREATE_TASKS", body).await;
        assert_eq!(created.code(), 0, "{}", created.text);
        created.json()["id"].as_str().unwrap().to_owned()
    };
    create("other", json!({ "wanted": true })).await;
    create("hello", json!({ "wanted": false })).await;
    // Data of this size is not in the Task's row.
    let large = create("hello", json!({ "wanted": true, "text": "x".repeat(200_000) })).await;
    let listed = async || {
        let list = kit.ask(&format!("GET /tasks/v1?id={large}"), SEES_TASKS, "").await.json();
        list["data"][0].clone()
    };
    assert_eq!(reader.event().await.unwrap(), ("task".to_owned(), listed().await));
    kit.world.start();
    let mut last = Value::Null;
    while last["status"] != "complete" {
        let (name, task) = reader.event().await.unwrap();
        assert_eq!((name.as_str(), &task["id"]), ("task", &json!(large)));
        assert!(task != last, "nothing is said twice");
        last = task;
    }
    assert_eq!(last, listed().await);
    let mut ended = Vec::new();
    while ended.len() < 3 {
        let (name, task) = everything.event().await.unwrap();
        assert_eq!(name, "task");
        if task["status"] == "complete" {
            ended.push(task["functionName"].as_str().unwrap().to_owned());
        }
    }
    ended.sort();
    assert_eq!(ended, ["hello", "hello", "other"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_too_slow_learns_that_it_missed_something() {
    let (kit, _) = kit().await;
    let mut reader = Reader::open(&kit, "/tasklane/v1/events", SEES_ALL).await;
    let mut one =
        Reader::open(&kit, &format!("/tasklane/v1/tasks/{}/events", kit.world.task("hello").await.id), SEES_ALL).await;
    for number in 0..3_000 {
        kit.world.feed.task_written(ObjectId::new(kit.world.now(), number));
    }
    assert_eq!(reader.word().await, "gap");
    assert_eq!(one.word().await, "new", "the stream of one Task has no gaps");
    kit.world.task("hello").await;
    assert_eq!(reader.word().await, "new");
}

#[tokio::test]
async fn a_caller_has_a_limited_number_of_streams() {
    let (kit, _) = kit().await;
    let mut readers = Vec::new();
    for _ in 0..16 {
        readers.push(Reader::open(&kit, "/tasklane/v1/events", SEES_ALL).await);
    }
    let refused = kit.ask("GET /tasklane/v1/events", SEES_ALL, "").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, 1505), "{}", refused.text);
    assert_eq!(refused.headers["retry-after"], "1");
    readers.pop();
    Reader::open(&kit, "/tasklane/v1/events", SEES_ALL).await;
    readers.clear();
    let head = kit.request("HEAD /tasklane/v1/events", &[("authorization", SEES_ALL)], "").await;
    assert_eq!(kit.send(head).await.text, "");
    assert!(!kit.world.feed.is_followed());
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_is_alive_and_is_closed_in_the_end() {
    let (kit, _) = kit().await;
    let id = kit.world.task_with("hello", 0, Some("2027-01-01T00:00:00Z".parse().unwrap())).await.id;
    for (path, tasks) in [(format!("/tasklane/v1/tasks/{id}/events"), 1), ("/tasklane/v1/events".to_owned(), 0)] {
        let began = kit.world.now();
        let mut reader = Reader::open(&kit, &path, SEES_ALL).await;
        let (mut comments, mut events) = (0, 0);
        while let Some(block) = reader.block().await {
            if block == ":" { comments += 1 } else { events += 1 }
        }
        assert_eq!((events, kit.world.now().since(began).as_secs()), (tasks, 600), "{path}");
        assert!((38..=40).contains(&comments), "{comments}");
    }
}

#[tokio::test]
async fn streams_end_when_the_process_stops() {
    let (kit, _) = kit().await;
    let mut reader = Reader::open(&kit, "/tasklane/v1/events", SEES_ALL).await;
    let waiting = tokio::spawn(async move { reader.word().await });
    tokio::task::yield_now().await;
    kit.world.feed.close();
    assert_eq!(waiting.await.unwrap(), "over");
    assert_eq!(Reader::open(&kit, "/tasklane/v1/events", SEES_ALL).await.word().await, "over");
}

#[tokio::test]
async fn where_many_processes_write_there_are_no_streams() {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    let id = kit.world.task("hello").await.id;
    let shared = shared(&kit.world, HttpConfig::default());
    let service = kit.world.without_streams();
    let router = router(service, shared.authenticator, shared.config, shared.in_flight);
    let kit = Kit { router, ..kit };
    for path in ["/tasklane/v1/events".to_owned(), format!("/tasklane/v1/tasks/{id}/events")] {
        let refused = kit.ask(&format!("{} {path}", Method::GET), SEES_ALL, "").await;
        assert_eq!(
            (refused.status.as_u16(), refused.name()),
            (404, "ENDPOINT_EXCEPTION".to_owned()),
            "{}",
            refused.text
        );
    }
}
