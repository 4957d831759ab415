//! Events on one machine: a file of JSON lines, and optionally a webhook.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tasklane_ports::{Events, PortError, PortFuture, TaskEvent};
use tasklane_runtime::lock::Lock;
use tokio::sync::broadcast;

/// How long a webhook may take to answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// How large the events file grows before it is rotated, and how many old files are kept.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
const OLDER_FILES: u32 = 3;

/// Appends each event to `<data folder>/events.jsonl`, passes it to the watchers, and posts it to the webhook. Older
/// events are in `events.jsonl.1` to `.3`, the newest of them in `.1`.
///
/// An event counts as published when it is on the disk and the webhook, if there is one, has answered 2xx. Until then
/// it is published again with the same id.
pub struct LocalEvents {
    path: PathBuf,
    lines: Arc<Lock<Lines>>,
    watchers: broadcast::Sender<TaskEvent>,
    webhook: Option<Webhook>,
}

struct Webhook {
    url: reqwest::Url,
    client: reqwest::Client,
}

/// Why events cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The file cannot be opened.
    #[error("the events file {path} cannot be opened: {cause}", path = .path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error("the webhook '{0}' is not an http or https URL")]
    WebhookUrl(String),
    /// The HTTP client cannot be created.
    #[error("the webhook's HTTP client cannot start: {0}")]
    WebhookClient(reqwest::Error),
}

impl LocalEvents {
    /// Publishes to `<data_dir>/events.jsonl`, and to `webhook` if there is one.
    pub fn open(data_dir: &Path, webhook: Option<&str>) -> Result<Self, EventsError> {
        let path = data_dir.join("events.jsonl");
        let lines = Lines::open(&path).map_err(|cause| EventsError::File { path: path.clone(), cause })?;
        let webhook = webhook.map(Webhook::new).transpose()?;
        Ok(Self { path, lines: Arc::new(Lock::new(lines)), watchers: broadcast::channel(256).0, webhook })
    }

    /// Receives every event from now on. A watcher that falls behind misses some; the files have them.
    pub fn watch(&self) -> broadcast::Receiver<TaskEvent> {
        self.watchers.subscribe()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Events for LocalEvents {
    fn publish<'a>(&'a self, event: &'a TaskEvent) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let line = serde_json::to_vec(event).map_err(|e| PortError::new("write an event", e))?;
            let lines = Arc::clone(&self.lines);
            let written = tokio::task::spawn_blocking(move || lines.lock().append(&line));
            written
                .await
                .map_err(|e| PortError::new("write an event", e))?
                .map_err(|e| PortError::new("write an event", e))?;
            // Having no watchers is not an error.
            let _ = self.watchers.send(event.clone());
            match &self.webhook {
                Some(webhook) => webhook.post(event).await,
                None => Ok(()),
            }
        })
    }
}

/// A file of lines. A crash or a full disk may cut a line short; the next one still begins on a new line.
struct Lines {
    path: PathBuf,
    file: File,
    bytes: u64,
    most_bytes: u64,
    /// Whether the last line may be incomplete.
    torn: bool,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        // Errors that Functions throw may contain secrets.
        let mut file = File::options().create(true).append(true).read(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        let torn = match file.seek(SeekFrom::End(-1)) {
            Ok(_) => {
                let mut last = [0];
                file.read_exact(&mut last)?;
                last != *b"\n"
            }
            // It is empty.
            Err(_) => false,
        };
        Ok(Self { path: path.to_owned(), file, bytes, most_bytes: FILE_BYTES, torn })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + line.len() as u64 >= self.most_bytes {
            self.put_aside()?;
        }
        let before: &[u8] = if self.torn { b"\n" } else { b"" };
        let whole = [before, line, b"\n"].concat();
        self.torn = true;
        // One write for the whole line, so that lines never mix.
        self.file.write_all(&whole)?;
        self.torn = false;
        self.bytes += whole.len() as u64;
        self.file.sync_data()
    }
}

impl Lines {
    /// Rotates: this file becomes `.1`, `.1` becomes `.2`, and so on; the oldest is deleted.
    fn put_aside(&mut self) -> io::Result<()> {
        let older = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..OLDER_FILES).rev() {
            match std::fs::rename(older(number), older(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        std::fs::rename(&self.path, older(1))?;
        let most_bytes = self.most_bytes;
        *self = Self { most_bytes, ..Self::open(&self.path)? };
        Ok(())
    }
}

impl Webhook {
    fn new(url: &str) -> Result<Self, EventsError> {
        let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = parsed.ok_or_else(|| EventsError::WebhookUrl(url.to_owned()))?;
        // Fails if a provider is installed already, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(WEBHOOK_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(EventsError::WebhookClient)?;
        Ok(Self { url, client })
    }

    async fn post(&self, event: &TaskEvent) -> Result<(), PortError> {
        // The URL may contain a secret, so errors omit it.
        let answer = self.client.post(self.url.clone()).json(event).send().await;
        let answer = answer.map_err(|e| PortError::new("post an event to the webhook", e.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(PortError::new("post an event to the webhook", format!("it answered {status}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasklane_model::{FunctionName, ObjectId, Task, TaskError, TaskErrorKind, TaskEventKind, Timestamp};

    fn event() -> TaskEvent {
        failure(TaskError { kind: TaskErrorKind::Runtime, name: "Oops".into(), message: "no".into() })
    }

    fn failure(error: TaskError) -> TaskEvent {
        let id = ObjectId::new(Timestamp::EPOCH, 7);
        let function = FunctionName::parse("hello").unwrap();
        let task = Task { error: Some(error), ..Task::new(id, function, Timestamp::EPOCH) };
        TaskEvent::new(TaskEventKind::TaskFailed, &task, Timestamp::EPOCH)
    }

    #[tokio::test]
    async fn an_event_is_on_the_disk_once_it_counts_as_published() {
        let dir = tempfile::tempdir().unwrap();
        let events = LocalEvents::open(dir.path(), None).unwrap();
        let mut watcher = events.watch();
        events.publish(&event()).await.unwrap();
        let text = std::fs::read_to_string(events.path()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(
            line,
            serde_json::json!({
                "id": "000000000000000000000007",
                "type": "task_failed",
                "content": {
                    "id": "000000000000000000000007",
                    "functionName": "hello",
                    "error": { "type": "runtime", "name": "Oops", "message": "no" }
                },
                "creation_timestamp": 0
            })
        );
        assert_eq!(watcher.try_recv().unwrap(), event());
    }

    #[tokio::test]
    async fn an_event_that_was_cut_short_does_not_spoil_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, "{\"id\":\"cut sh").unwrap();
        for _ in 0..2 {
            LocalEvents::open(dir.path(), None).unwrap().publish(&event()).await.unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap();
        let whole = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert_eq!(text.lines().filter(whole).count(), 2, "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn the_file_is_rotated_before_it_grows_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut lines = Lines { most_bytes: 100, ..Lines::open(&path).unwrap() };
        for number in 0..20 {
            lines.append(format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(20)).as_bytes()).unwrap();
        }
        let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["events.jsonl", "events.jsonl.1", "events.jsonl.2", "events.jsonl.3"]);
        let numbers = |file: &PathBuf| {
            let text = std::fs::read_to_string(file).unwrap();
            assert!(text.len() <= 100, "{text}");
            let number =
                |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["number"].as_u64().unwrap();
            text.lines().map(number).collect::<Vec<_>>()
        };
        let kept: Vec<_> = files.iter().rev().flat_map(numbers).collect();
        assert_eq!(kept.last(), Some(&19));
        assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1) && kept.len() >= 4, "{kept:?}");
    }

    #[tokio::test]
    async fn a_long_error_is_cut_in_the_file_and_for_the_webhook() {
        let dir = tempfile::tempdir().unwrap();
        let huge = "m".repeat(3_000_000);
        let event = failure(TaskError { kind: TaskErrorKind::Runtime, name: huge.clone(), message: huge });
        let events = LocalEvents::open(dir.path(), None).unwrap();
        events.publish(&event).await.unwrap();
        assert!(std::fs::metadata(events.path()).unwrap().len() < 40_000);
        assert!(serde_json::to_vec(&event).unwrap().len() < 40_000, "the webhook is sent this");
    }

    #[tokio::test]
    async fn an_event_that_the_webhook_refuses_stays_unpublished() {
        let dir = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/?token=s3cret", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(|| async { axum::http::StatusCode::SERVICE_UNAVAILABLE });
        tokio::spawn(async move { axum::serve(listener, app).await });
        let events = LocalEvents::open(dir.path(), Some(&url)).unwrap();
        let error = events.publish(&event()).await.unwrap_err().to_string();
        assert!(error.contains("503") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn only_http_urls_are_webhooks() {
        let dir = tempfile::tempdir().unwrap();
        for url in ["", "file:///etc/passwd", "localhost"] {
            assert!(matches!(LocalEvents::open(dir.path(), Some(url)), Err(EventsError::WebhookUrl(_))), "{url}");
        }
    }
}
