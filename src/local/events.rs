//! Events on one machine: a file of JSON lines, and a webhook for whoever wants them pushed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::broadcast;

use crate::ports::{Events, PortError, PortFuture, TaskFailedEvent};

/// How long a webhook may take to answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Appends each event to `<data folder>/events.jsonl`, shows it to whoever watches, and posts it to the webhook.
///
/// An event counts as published once it is on the disk and the webhook, if there is one, has answered 2xx. Until then
/// it is published again, with the same id.
pub struct LocalEvents {
    path: PathBuf,
    lines: Arc<Mutex<Lines>>,
    watchers: broadcast::Sender<TaskFailedEvent>,
    webhook: Option<Webhook>,
}

struct Webhook {
    url: reqwest::Url,
    client: reqwest::Client,
}

/// Why events cannot be published from here.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The file does not open.
    #[error("the events file {path} cannot be opened: {cause}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        cause: io::Error,
    },
    /// The webhook's URL is none.
    #[error("the webhook '{0}' is not an http or https URL")]
    WebhookUrl(String),
    /// The HTTP client does not start.
    #[error("the webhook's HTTP client cannot start: {0}")]
    WebhookClient(reqwest::Error),
}

impl LocalEvents {
    /// Publishes to `<data_dir>/events.jsonl`, and to `webhook`.
    pub fn open(data_dir: &Path, webhook: Option<&str>) -> Result<Self, EventsError> {
        let path = data_dir.join("events.jsonl");
        let lines = Lines::open(&path).map_err(|cause| EventsError::File { path: path.clone(), cause })?;
        let webhook = webhook.map(Webhook::new).transpose()?;
        Ok(Self { path, lines: Arc::new(Mutex::new(lines)), watchers: broadcast::channel(256).0, webhook })
    }

    /// Every event from now on. A watcher who falls behind misses some; the file has them all.
    pub fn watch(&self) -> broadcast::Receiver<TaskFailedEvent> {
        self.watchers.subscribe()
    }

    /// Where the events are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Events for LocalEvents {
    fn publish<'a>(&'a self, event: &'a TaskFailedEvent) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let line = serde_json::to_vec(event).map_err(|e| PortError::new("write an event", e))?;
            let lines = Arc::clone(&self.lines);
            let written =
                tokio::task::spawn_blocking(move || lines.lock().unwrap_or_else(PoisonError::into_inner).append(&line));
            written
                .await
                .map_err(|e| PortError::new("write an event", e))?
                .map_err(|e| PortError::new("write an event", e))?;
            // Nobody watching is no error.
            let _ = self.watchers.send(event.clone());
            match &self.webhook {
                Some(webhook) => webhook.post(event).await,
                None => Ok(()),
            }
        })
    }
}

/// A file of lines. A crash or a full disk may cut one short; the next one begins on a line of its own all the same.
struct Lines {
    file: File,
    /// Whether the last line may have no end.
    torn: bool,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options().create(true).append(true).read(true).open(path)?;
        let torn = match file.seek(SeekFrom::End(-1)) {
            Ok(_) => {
                let mut last = [0];
                file.read_exact(&mut last)?;
                last != *b"\n"
            }
            // It is empty.
            Err(_) => false,
        };
        Ok(Self { file, torn })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let before: &[u8] = if self.torn { b"\n" } else { b"" };
        self.torn = true;
        // One write for the whole line, so that none is mixed with another's.
        self.file.write_all(&[before, line, b"\n"].concat())?;
        self.torn = false;
        self.file.sync_data()
    }
}

impl Webhook {
    fn new(url: &str) -> Result<Self, EventsError> {
        let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = parsed.ok_or_else(|| EventsError::WebhookUrl(url.to_owned()))?;
        // Whoever comes first installs it; that it is there already is no error.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(WEBHOOK_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(EventsError::WebhookClient)?;
        Ok(Self { url, client })
    }

    async fn post(&self, event: &TaskFailedEvent) -> Result<(), PortError> {
        // The URL may carry a secret: errors are told without it.
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
    use crate::model::{FunctionName, ObjectId, TaskError, TaskErrorKind, Timestamp};

    fn event() -> TaskFailedEvent {
        TaskFailedEvent::new(
            ObjectId::new(Timestamp::EPOCH, 7),
            FunctionName::parse("hello").unwrap(),
            TaskError { kind: TaskErrorKind::Runtime, name: "Oops".into(), message: "no".into() },
        )
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
                }
            })
        );
        assert_eq!(watcher.try_recv().unwrap(), event());
    }

    #[tokio::test]
    async fn an_event_that_was_cut_short_does_not_take_the_next_one_along() {
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

    #[tokio::test]
    async fn a_webhook_that_refuses_leaves_the_event_unpublished() {
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
