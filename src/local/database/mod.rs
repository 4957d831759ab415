//! The embedded DynamoDB: dynoxide, an implementation of DynamoDB on SQLite, in this process.
//!
//! Two ways lead to it. The store hands over its requests as they are ([`Connection::direct`]); everything else, and every
//! simulation, calls it through the HTTP client of the AWS SDK, which cannot tell it from the real one. Requests are passed as
//! values; nothing crosses a socket. Either way, `desk` has the requests that the store makes all the time answered by `engine`,
//! and the others by dynoxide.

mod calls;
mod connector;
mod desk;
mod direct;
mod engine;
mod open;
mod serve;
mod wal;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Region, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tasklane_ports::{Clock, SystemClock};
use tasklane_store::Connection;

pub use self::{open::DatabaseError, watch::Watch};

use self::{
    connector::{Backend, Connector},
    desk::{Desk, RecentTransactions, Tokens},
    direct::Database,
    engine::{Engine, name_in_memory},
    open::{beside, check, describe, lock, unusable},
    wal::WriteAheadLog,
};

/// Opens the database in this file for this process alone, and creates the file if it does not exist.
///
/// Acknowledged writes are on the disk. Calls that wait at the same time are written to SQLite's write-ahead log one
/// after the other; then the log is synced once, and all of them are answered.
pub fn open(path: &Path) -> Result<Connection, DatabaseError> {
    Ok(connection(Arc::new(thread(path, None)?)))
}

/// The same, for a database whose writes are watched.
pub fn open_watched(path: &Path, watch: Watch) -> Result<Connection, DatabaseError> {
    Ok(connection(Arc::new(thread(path, Some(watch))?)))
}

/// A database in memory that lives as long as its connection.
pub fn memory() -> Connection {
    connection(Arc::new(inline(None, None)))
}

fn connection(backend: Arc<Backend>) -> Connection {
    let client = client_of(SharedHttpClient::new(Connector(Arc::clone(&backend))));
    Connection::direct(client, Arc::new(Database(backend)))
}

/// Starts the thread of the database in this file.
fn thread(path: &Path, watch: Option<Watch>) -> Result<Backend, DatabaseError> {
    let lock = lock(path)?;
    check(path)?;
    let text = path.to_str().ok_or_else(|| unusable(path, "its path is not UTF-8"))?;
    let database = dynoxide::Database::new(text).map_err(|error| unusable(path, &describe(&error)))?;
    let log = WriteAheadLog::of(&database, beside(path, "-wal")).map_err(|error| unusable(path, &describe(&error)))?;
    let engine = Engine::open(text).map_err(|error| unusable(path, &error.to_string()))?;
    let desk = Desk::new(engine, database, Tokens::Dropped);
    let (requests, inbox) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("tasklane-database".to_owned())
        .spawn(move || {
            // It closes the file, before another process may open it.
            serve::serve(desk, log, &inbox, watch.as_ref());
            drop(lock);
        })
        .map_err(|cause| DatabaseError::Io { path: path.to_owned(), cause })?;
    Ok(Backend::Thread { requests: Some(requests), thread: Some(thread) })
}

/// Connects the SDK to a database in memory, which lives as long as the connection and uses this clock, for a client with
/// settings of its own. Each call runs to its end on the caller's thread, so that a simulation on one thread always runs
/// the same way. Its writes may be watched.
pub fn memory_connector(clock: Option<Arc<dyn Clock>>, watch: Option<Watch>) -> SharedHttpClient {
    SharedHttpClient::new(Connector(Arc::new(inline(clock, watch))))
}

fn inline(clock: Option<Arc<dyn Clock>>, watch: Option<Watch>) -> Backend {
    let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
    let desk = desk_in_memory(clock).map(|desk| Box::new(Mutex::new(desk)));
    Backend::Inline(desk, watch)
}

fn desk_in_memory(clock: Arc<dyn Clock>) -> Result<Desk, String> {
    let name = name_in_memory();
    // It lives as long as a connection to it.
    let database = dynoxide::Database::new(&name).map_err(|error| error.to_string())?;
    let engine = Engine::open(&name).map_err(|error| error.to_string())?;
    Ok(Desk::new(engine, database, Tokens::Kept(RecentTransactions::new(clock))))
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
