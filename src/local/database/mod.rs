//! The embedded DynamoDB: dynoxide, an implementation of DynamoDB on SQLite, in this process.
//!
//! The store calls it through the HTTP client of the AWS SDK, so it cannot tell it from the real one. Requests are
//! passed as values; nothing crosses a socket.

mod calls;
mod connector;
mod open;
mod wal;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Region, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::storage_backend::Clock as DynoxideClock;
use tasklane_ports::Clock;

pub use self::{open::DatabaseError, watch::Watch};

use self::{
    connector::{Backend, Connector},
    open::{beside, check, describe, lock, unusable},
    wal::WriteAheadLog,
};

/// Opens the database in this file for this process alone, and creates the file if it does not exist.
///
/// Acknowledged writes are on the disk. Calls that wait at the same time are written to SQLite's write-ahead log one
/// after the other; then the log is synced once, and all of them are answered.
pub fn open(path: &Path) -> Result<Client, DatabaseError> {
    Ok(client_of(connector(path, None)?))
}

/// The same, for a database whose writes are watched.
pub fn open_watched(path: &Path, watch: Watch) -> Result<Client, DatabaseError> {
    Ok(client_of(connector(path, Some(watch))?))
}

/// A database in memory that lives as long as its client.
pub fn memory() -> Client {
    client_of(memory_connector(None, None))
}

/// Connects the SDK to the database in this file.
fn connector(path: &Path, watch: Option<Watch>) -> Result<SharedHttpClient, DatabaseError> {
    let lock = lock(path)?;
    check(path)?;
    let text = path.to_str().ok_or_else(|| unusable(path, "its path is not UTF-8"))?;
    let database = dynoxide::Database::new(text).map_err(|error| unusable(path, &describe(&error)))?;
    let log = WriteAheadLog::of(&database, beside(path, "-wal")).map_err(|error| unusable(path, &describe(&error)))?;
    let (requests, inbox) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("tasklane-database".to_owned())
        .spawn(move || {
            calls::serve(&database, log, &inbox, watch.as_ref());
            // SQLite must close the file before another process may open it.
            drop(database);
            drop(lock);
        })
        .map_err(|cause| DatabaseError::Io { path: path.to_owned(), cause })?;
    Ok(SharedHttpClient::new(Connector(Arc::new(Backend::Thread { requests: Some(requests), thread: Some(thread) }))))
}

/// Connects the SDK to a database in memory, which lives as long as the connection and uses this clock, for a client with
/// settings of its own. Each call runs to its end on the caller's thread, so that a simulation on one thread always runs
/// the same way. Its writes may be watched.
pub fn memory_connector(clock: Option<Arc<dyn Clock>>, watch: Option<Watch>) -> SharedHttpClient {
    let database = match clock {
        None => dynoxide::Database::memory(),
        Some(clock) => dynoxide::Database::memory_with_clock(Arc::new(ClockOf(clock))),
    };
    let database = database.map_err(|error| error.to_string());
    SharedHttpClient::new(Connector(Arc::new(Backend::Inline(database, watch))))
}

/// The settings of a client for the embedded database: no credentials, and no retries, because a failure within one
/// process is not transient.
pub fn client_config(connector: SharedHttpClient) -> aws_sdk_dynamodb::config::Builder {
    aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("local"))
        .endpoint_url("http://embedded.invalid")
        .allow_no_auth()
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(connector)
}

/// A client of the embedded database behind this connection.
pub fn client_of(connector: SharedHttpClient) -> Client {
    Client::from_conf(client_config(connector).build())
}

/// Our clock, for dynoxide.
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
