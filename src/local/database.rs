//! The embedded DynamoDB: dynoxide, DynamoDB on SQLite, called inside this process.
//!
//! It is reached through the HTTP client of the AWS SDK, so that the store cannot tell it from the real one; but
//! requests are handed over as values, and nothing crosses a socket.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        BehaviorVersion, HttpClient, Region, RuntimeComponents, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use dynoxide::{
    DynoxideError, actions::transact_write_items::TransactWriteItemsRequest, storage_backend::Clock as DynoxideClock,
};
use rusqlite::{ErrorCode, OpenFlags};
use tokio::sync::oneshot;

use crate::ports::Clock;

/// How often records past their time to live are removed. Readers hide them from the first moment anyway.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// How long to wait for the lock of a process that was killed: a child that it was just starting holds it until it
/// has become another program.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a database does not open.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Another process has it.
    #[error(
        "the database {path} is in use by another process; stop that one first, or choose another data folder",
        path = .0.display()
    )]
    InUse(PathBuf),
    /// The file is something else, or less than it was.
    #[error("{path} cannot be used as a database: {why}. The file was left as it is", path = .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file system refused.
    #[error("could not open the database {path}: {cause}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
}

/// Opens the database in this file, creating it when there is none, for this process alone.
///
/// What was acknowledged is on the disk: calls that wait at the same time are written to SQLite's write-ahead log one
/// after the other, the log is synced once, and then all of them are answered.
pub fn open(path: &Path) -> Result<Client, DatabaseError> {
    Ok(client_of(connector(path)?))
}

/// A database that lives as long as its client.
pub fn memory() -> Client {
    client_of(memory_connector(None))
}

/// A database that lives as long as its client and reads this clock. Each call runs to its end where it is awaited,
/// on no other thread, so that a simulation on one thread is the same each time.
pub fn memory_with_clock(clock: Arc<dyn Clock>) -> Client {
    client_of(memory_connector(Some(clock)))
}

/// The SDK's way to the database in this file: for a client with settings of its own.
pub fn connector(path: &Path) -> Result<SharedHttpClient, DatabaseError> {
    let lock = lock(path)?;
    check(path)?;
    let text = path.to_str().ok_or_else(|| unusable(path, "its path is not UTF-8"))?;
    let database = dynoxide::Database::new(text).map_err(|error| unusable(path, &describe(&error)))?;
    let log = WriteAheadLog::of(&database, path).map_err(|error| unusable(path, &describe(&error)))?;
    let (requests, inbox) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("tasklane-database".to_owned())
        .spawn(move || {
            serve(&database, log, &inbox);
            // Only once SQLite has closed the file may another process have it.
            drop(database);
            drop(lock);
        })
        .map_err(|cause| DatabaseError::Io { path: path.to_owned(), cause })?;
    Ok(SharedHttpClient::new(Connector(Arc::new(Engine::Thread { requests: Some(requests), thread: Some(thread) }))))
}

/// The SDK's way to a database that lives as long as it: for a client with settings of its own.
pub fn memory_connector(clock: Option<Arc<dyn Clock>>) -> SharedHttpClient {
    let database = match clock {
        None => dynoxide::Database::memory(),
        Some(clock) => dynoxide::Database::memory_with_clock(Arc::new(ClockOf(clock))),
    };
    SharedHttpClient::new(Connector(Arc::new(Engine::Inline(database.map_err(|error| error.to_string())))))
}

/// The settings of a client that reaches the embedded database: no credentials, and no second try, because a failure
/// in the same process is not a passing one.
pub fn client_config(connector: SharedHttpClient) -> aws_sdk_dynamodb::config::Builder {
    aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .endpoint_url("http://embedded.invalid")
        .allow_no_auth()
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(connector)
}

fn client_of(connector: SharedHttpClient) -> Client {
    Client::from_conf(client_config(connector).build())
}

// --- Opening --------------------------------------------------------------------------------------------------------

fn lock(path: &Path) -> Result<File, DatabaseError> {
    let io_error = |cause| DatabaseError::Io { path: path.to_owned(), cause };
    let file =
        File::options().create(true).write(true).truncate(false).open(beside(path, ".lock")).map_err(io_error)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(DatabaseError::InUse(path.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(io_error(cause)),
        }
    }
}

/// Refuses what SQLite would take for a new database and overwrite, and what it would only trip over later: a damaged
/// page is found when it is read, and by then others have been written.
fn check(path: &Path) -> Result<(), DatabaseError> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let log = beside(path, "-wal");
    let log_holds_something = log.metadata().is_ok_and(|log| log.len() > 0);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && !log_holds_something => return Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let log = log.display();
            return Err(unusable(path, &format!("it is gone, but its write-ahead log {log} is there")));
        }
        Err(cause) => return Err(DatabaseError::Io { path: path.to_owned(), cause }),
    };
    let mut start = [0; MAGIC.len()];
    match file.read_exact(&mut start) {
        Ok(()) if start == MAGIC => check_pages(path),
        Ok(()) => Err(unusable(path, "it is not a SQLite database")),
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            Err(unusable(path, "it is empty or cut short; to start anew, move it and what lies beside it away"))
        }
        Err(cause) => Err(DatabaseError::Io { path: path.to_owned(), cause }),
    }
}

/// Reads every page, about a second for a gigabyte. This connection can write nothing, not even what is in the
/// write-ahead log.
fn check_pages(path: &Path) -> Result<(), DatabaseError> {
    let damaged = |why: &dyn fmt::Display| unusable(path, &format!("it is damaged or cut short ({why})"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found = rusqlite::Connection::open_with_flags(path, flags)
        .and_then(|file| file.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)));
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(damaged(&found)),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Err(damaged(&error)),
            _ => Err(unusable(path, &format!("it cannot be read ({error}); is there room on its disk?"))),
        },
    }
}

fn describe(error: &DynoxideError) -> String {
    let text = error.to_string();
    if text.contains("malformed") { format!("it is damaged or cut short ({text})") } else { text }
}

fn unusable(path: &Path, why: &str) -> DatabaseError {
    DatabaseError::Unusable { path: path.to_owned(), why: why.to_owned() }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

// --- Calling --------------------------------------------------------------------------------------------------------

/// How calls reach the database.
enum Engine {
    /// Where they are awaited: memory answers in microseconds.
    Inline(Result<dynoxide::Database, String>),
    /// On a thread of their own: a write waits for the disk, and an async thread must not.
    Thread { requests: Option<mpsc::Sender<Request>>, thread: Option<JoinHandle<()>> },
}

struct Request {
    operation: String,
    body: Vec<u8>,
    answer: oneshot::Sender<Answer>,
}

struct Answer {
    status: u16,
    body: String,
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Self::Thread { requests, thread } = self {
            requests.take();
            // Whoever opens the file next finds it closed. A panic in the thread was reported when it happened.
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

/// The most calls that share one sync: the first of them must not wait for ever.
const SHARE: usize = 128;

fn serve(database: &dynoxide::Database, mut log: WriteAheadLog, inbox: &mpsc::Receiver<Request>) {
    let mut swept = std::time::Instant::now();
    loop {
        let mut waiting = match inbox.recv_timeout(SWEEP_EVERY) {
            Ok(request) => Some(request),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        // Whoever is answered before the sync has neither written anything nor read what is not yet on the disk.
        let mut unsynced = Vec::new();
        while let Some(Request { operation, body, answer: whom }) = waiting.take() {
            let answer = match log.broken() {
                None => answer(database, &operation, &body, Tokens::Dropped),
                Some(why) => failure(why),
            };
            if unsynced.is_empty() && !writes(&operation) {
                // A caller who went away does not need the answer.
                let _ = whom.send(answer);
            } else {
                unsynced.push((whom, answer));
            }
            if unsynced.len() < SHARE {
                waiting = inbox.try_recv().ok();
            }
        }
        let synced = if unsynced.is_empty() { Ok(()) } else { log.sync() };
        for (whom, answer) in unsynced {
            let _ = whom.send(match &synced {
                Ok(()) => answer,
                Err(why) => failure(why),
            });
        }
        if swept.elapsed() >= SWEEP_EVERY {
            swept = std::time::Instant::now();
            if let Err(error) = database.sweep_ttl() {
                tracing::warn!(error = %error, "could not remove expired records from the database");
            }
        }
    }
}

fn writes(operation: &str) -> bool {
    !matches!(
        operation,
        "BatchGetItem" | "DescribeTable" | "DescribeTimeToLive" | "GetItem" | "Query" | "Scan" | "TransactGetItems"
    )
}

fn failure(why: &str) -> Answer {
    let error = DynoxideError::InternalServerError(why.to_owned());
    Answer { status: error.status_code(), body: error.to_json() }
}

/// SQLite's write-ahead log, synced by us instead of by each commit.
///
/// With `synchronous=NORMAL` SQLite syncs its log before it moves pages from there to the database, and the database
/// before it uses the log anew, but not at a commit. Frames of the log count in their order, so one sync makes every
/// commit before it last: what `synchronous=FULL` does once a commit is done here once for all that wait.
/// <https://www.sqlite.org/wal.html>
struct WriteAheadLog {
    path: PathBuf,
    file: Option<File>,
    broken: Option<String>,
}

impl WriteAheadLog {
    fn of(database: &dynoxide::Database, path: &Path) -> dynoxide::Result<Self> {
        // What this sets is `synchronous=NORMAL`, and SQLite's defaults for the rest.
        database.disable_bulk_loading()?;
        Ok(Self { path: beside(path, "-wal"), file: None, broken: None })
    }

    /// Makes every commit so far last.
    fn sync(&mut self) -> Result<(), String> {
        let synced = match &self.file {
            Some(file) => file.sync_data(),
            // It is there once something was written, and as long as the database is open.
            None => File::open(&self.path).and_then(|file| self.file.insert(file).sync_data()),
        };
        synced.map_err(|error| {
            let why = format!("{} could not be synced to the disk: {error}", self.path.display());
            tracing::error!("{why}; nothing more is read or written until the service is started again");
            self.broken.insert(why).clone()
        })
    }

    /// Why nothing can be relied on any more: after a failed sync the kernel may have dropped what was written.
    fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}

#[derive(Clone)]
struct Connector(Arc<Engine>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector(embedded DynamoDB)")
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request
            .headers()
            .get("x-amz-target")
            .and_then(|target| target.rsplit('.').next())
            .unwrap_or_default()
            .to_owned();
        let Some(body) = request.body().bytes() else {
            return HttpConnectorFuture::ready(Err(ConnectorError::user("a streamed request".into())));
        };
        match &*self.0 {
            Engine::Inline(Ok(database)) => {
                let answer = answer(database, &operation, body, Tokens::Kept);
                HttpConnectorFuture::ready(respond(answer))
            }
            Engine::Inline(Err(why)) => {
                HttpConnectorFuture::ready(Err(ConnectorError::other(why.clone().into(), None)))
            }
            Engine::Thread { requests, .. } => {
                let (answer, answered) = oneshot::channel();
                let request = Request { operation, body: body.to_vec(), answer };
                let sent = requests.as_ref().map(|requests| requests.send(request));
                let engine = self.clone();
                HttpConnectorFuture::new(async move {
                    // The thread lives as long as the engine.
                    let _engine = engine;
                    match (sent, answered.await) {
                        (Some(Ok(())), Ok(answer)) => respond(answer),
                        _ => Err(ConnectorError::other("the database has stopped".into(), None)),
                    }
                })
            }
        }
    }
}

fn respond(answer: Answer) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}

/// What becomes of the tokens of transactions, by which one that is sent again is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tokens {
    /// Kept for ten minutes with what was answered, as DynamoDB does.
    Kept,
    /// Not looked at. On one machine nothing is sent again: the client does not retry, and an answer cannot be lost. The
    /// database keeps tokens in memory and looks through all of them in each transaction.
    Dropped,
}

fn answer(database: &dynoxide::Database, operation: &str, body: &[u8], tokens: Tokens) -> Answer {
    let done = catch_unwind(AssertUnwindSafe(|| dispatch(database, operation, body, tokens)))
        .unwrap_or_else(|_| Err(DynoxideError::InternalServerError("the embedded database panicked".to_owned())));
    match done {
        Ok(body) => Answer { status: 200, body },
        Err(error) => Answer { status: error.status_code(), body: error.to_json() },
    }
}

/// The operations that the store uses, and a look at a whole table.
fn dispatch(database: &dynoxide::Database, operation: &str, body: &[u8], tokens: Tokens) -> dynoxide::Result<String> {
    match operation {
        "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
        "CreateTable" => call(body, |request| database.create_table(request)),
        "DeleteItem" => call(body, |request| database.delete_item(request)),
        "DescribeTable" => call(body, |request| database.describe_table(request)),
        "DescribeTimeToLive" => call(body, |request| database.describe_time_to_live(request)),
        "GetItem" => call(body, |request| database.get_item(request)),
        "PutItem" => call(body, |request| database.put_item(request)),
        "Query" => call(body, |request| database.query(request)),
        "Scan" => call(body, |request| database.scan(request)),
        "TransactWriteItems" => call(body, |mut request: TransactWriteItemsRequest| {
            request.client_request_token = request.client_request_token.filter(|_| tokens == Tokens::Kept);
            database.transact_write_items(request)
        }),
        "UpdateItem" => call(body, |request| database.update_item(request)),
        "UpdateTimeToLive" => call(body, |request| database.update_time_to_live(request)),
        other => Err(DynoxideError::ValidationException(format!("the embedded database is not asked for {other}"))),
    }
}

fn call<Q, A>(body: &[u8], run: impl FnOnce(Q) -> dynoxide::Result<A>) -> dynoxide::Result<String>
where
    Q: serde::de::DeserializeOwned,
    A: serde::Serialize,
{
    let request =
        serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    serde_json::to_string(&run(request)?).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// Our clock as dynoxide reads it.
struct ClockOf(Arc<dyn Clock>);

impl DynoxideClock for ClockOf {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().as_secs()).unwrap_or(0)
    }

    #[allow(clippy::cast_precision_loss)] // milliseconds until the year 9999 fit a double exactly
    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_millis() as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use aws_sdk_dynamodb::types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, Put, ScalarAttributeType,
        TransactWriteItem,
    };

    use super::*;

    async fn create_table(client: &Client) {
        client
            .create_table()
            .table_name("things")
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build().unwrap())
            .attribute_definitions(
                AttributeDefinition::builder()
                    .attribute_name("pk")
                    .attribute_type(ScalarAttributeType::S)
                    .build()
                    .unwrap(),
            )
            .send()
            .await
            .unwrap();
    }

    async fn put(client: &Client, pk: &str) {
        client.put_item().table_name("things").item("pk", AttributeValue::S(pk.into())).send().await.unwrap();
    }

    async fn has(client: &Client, pk: &str) -> bool {
        let answer = client.get_item().table_name("things").key("pk", AttributeValue::S(pk.into())).send().await;
        answer.unwrap().item.is_some()
    }

    /// A database with something in it, closed again.
    async fn filled(path: &Path) {
        let client = open(path).unwrap();
        create_table(&client).await;
        for n in 0..50 {
            put(&client, &n.to_string()).await;
        }
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasklane.db");
        filled(&path).await;
        let client = open(&path).unwrap();
        assert!(has(&client, "49").await);
        assert!(!has(&client, "50").await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writes_that_wait_together_are_all_made_and_seen_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasklane.db");
        let client = open(&path).unwrap();
        create_table(&client).await;
        let writes: Vec<_> = (0..300)
            .map(|n: u32| {
                let client = client.clone();
                tokio::spawn(async move {
                    put(&client, &n.to_string()).await;
                    assert!(has(&client, &n.to_string()).await);
                })
            })
            .collect();
        for write in writes {
            write.await.unwrap();
        }
        assert!(beside(&path, "-wal").metadata().unwrap().len() > 0, "there is a log to be synced");
    }

    #[tokio::test]
    async fn a_file_keeps_no_tokens_of_transactions_and_memory_does_as_dynamodb() {
        let folder = tempfile::tempdir().unwrap();
        let file = open(&folder.path().join("tasklane.db")).unwrap();
        for (client, is_known) in [(file, false), (memory(), true)] {
            create_table(&client).await;
            let put = Put::builder().table_name("things").item("pk", AttributeValue::S("1".into()));
            let put = put.condition_expression("attribute_not_exists(pk)").build().unwrap();
            let transaction = || {
                let item = TransactWriteItem::builder().put(put.clone()).build();
                client.transact_write_items().transact_items(item).client_request_token("token").send()
            };
            transaction().await.unwrap();
            assert_eq!(transaction().await.is_ok(), is_known);
        }
    }

    #[test]
    fn nothing_is_acknowledged_once_a_sync_has_failed() {
        let folder = tempfile::tempdir().unwrap();
        let database = dynoxide::Database::new(folder.path().join("tasklane.db").to_str().unwrap()).unwrap();
        let mut log = WriteAheadLog::of(&database, &folder.path().join("elsewhere.db")).unwrap();
        assert!(log.broken().is_none());
        assert!(log.sync().unwrap_err().contains("elsewhere.db-wal"));
        assert!(log.broken().is_some());
        let (requests, inbox) = mpsc::channel();
        let (answer, answered) = oneshot::channel();
        requests.send(Request { operation: "GetItem".to_owned(), body: b"{}".to_vec(), answer }).unwrap();
        drop(requests);
        serve(&database, log, &inbox);
        assert_eq!(answered.blocking_recv().unwrap().status, 500);
    }

    #[tokio::test]
    async fn one_process_at_a_time_has_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasklane.db");
        let client = open(&path).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, DatabaseError::InUse(_)), "{error}");
        assert!(error.to_string().contains("another process"), "{error}");
        drop(client);
        open(&path).unwrap();
    }

    #[tokio::test]
    async fn a_lock_that_outlives_its_process_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasklane.db");
        let left_behind = lock(&path).unwrap();
        let opening = thread::spawn(move || open(&path).map(drop));
        // It is held for a moment, not for ever; whoever tries once only finds it held.
        thread::sleep(LOCK_PAUSE * 5);
        assert!(!opening.is_finished());
        drop(left_behind);
        opening.join().unwrap().unwrap();
    }

    #[tokio::test]
    async fn memories_share_nothing() {
        let (a, b) = (memory(), memory());
        create_table(&a).await;
        create_table(&b).await;
        put(&a, "x").await;
        assert!(has(&a, "x").await);
        assert!(!has(&b, "x").await);
    }

    #[tokio::test]
    async fn files_that_are_no_database_are_refused_and_left_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasklane.db");
        for content in [&b""[..], b"SQLite", b"a text that somebody put here, longer than a header"] {
            fs::write(&path, content).unwrap();
            let error = open(&path).unwrap_err();
            assert!(matches!(error, DatabaseError::Unusable { .. }), "{error}");
            assert!(error.to_string().contains("tasklane.db"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[tokio::test]
    async fn a_database_cut_short_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasklane.db");
        filled(&path).await;
        let whole = fs::read(&path).unwrap();
        for keep in [whole.len() / 2, 4096, 100] {
            let cut = &whole[..keep];
            fs::write(&path, cut).unwrap();
            let error = open(&path).unwrap_err();
            assert!(matches!(error, DatabaseError::Unusable { .. }), "{keep} bytes: {error}");
            assert_eq!(fs::read(&path).unwrap(), cut, "{keep} bytes");
        }
        // Put right again, it opens again.
        fs::write(&path, &whole).unwrap();
        assert!(has(&open(&path).unwrap(), "49").await);
    }

    #[tokio::test]
    async fn a_database_that_was_written_over_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasklane.db");
        filled(&path).await;
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole.len() % 4096, 0);
        // Every page that holds something, the one with the magic but for the magic itself.
        for page in 0..whole.len() / 4096 {
            let mut damaged = whole.clone();
            let start = page * 4096 + if page == 0 { 100 } else { 0 };
            if damaged[start..start + 100].iter().all(|byte| *byte == 0) {
                continue;
            }
            damaged[start..(page + 1) * 4096].fill(0xa5);
            fs::write(&path, &damaged).unwrap();
            let error = open(&path).err().unwrap_or_else(|| panic!("page {page} was written over, and it opens"));
            assert!(matches!(error, DatabaseError::Unusable { .. }), "page {page}: {error}");
            assert!(fs::read(&path).unwrap() == damaged, "page {page} was changed further");
        }
    }

    #[tokio::test]
    async fn a_log_whose_database_is_gone_is_not_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasklane.db");
        let log = folder.path().join("tasklane.db-wal");
        File::create(&log).unwrap().write_all(b"what was written last").unwrap();
        let error = open(&path).unwrap_err();
        assert!(error.to_string().contains("-wal"), "{error}");
        assert!(log.exists() && !path.exists());
    }

    #[tokio::test]
    async fn a_file_in_a_folder_that_is_not_there_is_an_error_of_the_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(&folder.path().join("nowhere/tasklane.db")).unwrap_err();
        assert!(matches!(error, DatabaseError::Io { .. }), "{error}");
    }
}
