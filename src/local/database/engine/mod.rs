//! The requests that the store makes all the time, answered from dynoxide's tables without dynoxide.
//!
//! A Task's life is a dozen small requests, and dynoxide's generality was most of their cost: it reads each expression and each
//! index definition again for each request, and writes each index again for each change. This engine keeps what it has read,
//! and writes what has changed. It knows only what the store uses. Whatever else a request has, it leaves to dynoxide, before it
//! has changed anything; so an error in a request is always worded by dynoxide. Both work on the same tables of the same file,
//! and the tests in `both_engines` compare their answers and what they write.

mod expression;
mod item;
mod reads;
mod shape;
mod transaction;
pub(super) mod wire;
mod writes;

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_sdk_dynamodb::types::CancellationReason;
use rusqlite::Connection;

use expression::NotOurs;
use item::Attributes;
use shape::Table;

/// How many statements SQLite keeps ready, and how many expressions the engine.
const KEPT_STATEMENTS: usize = 256;
const KEPT_EXPRESSIONS: usize = 1024;

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// It has something that this engine does not know. Nothing has happened; dynoxide answers it.
    NotOurs,
    /// Its condition was not met. The item, if there is one and the request wants it.
    Refused(Option<Attributes>),
    /// The conditions of these parts of a transaction were not met.
    Canceled(Vec<CancellationReason>),
    /// The database failed.
    Failed(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(format!("the embedded database failed: {error}"))
    }
}

impl From<NotOurs> for Fault {
    fn from(_: NotOurs) -> Self {
        Self::NotOurs
    }
}

/// A request that this engine answers.
pub(super) trait Operation: Clone + Send + 'static {
    type Answer: Send + 'static;

    /// Whether it writes something if it succeeds.
    const WRITES: bool;

    fn run(self, engine: &mut Engine) -> Result<Self::Answer, Fault>;

    /// The tables and sort keys of the rows that it writes.
    fn rows(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// The engine, on a connection of its own to dynoxide's database.
pub(super) struct Engine {
    connection: Connection,
    /// What is known of each table; `None` if it is none of this engine's.
    tables: HashMap<String, Option<Arc<Table>>>,
    conditions: Kept<expression::Condition>,
    updates: Kept<expression::Update>,
    keys: Kept<expression::KeyCondition>,
    is_in_batch: bool,
}

impl Engine {
    /// Opens the database that dynoxide has opened by this name.
    pub(super) fn open(name: &str) -> rusqlite::Result<Self> {
        let connection = Connection::open(name)?;
        // As dynoxide's own connection: `wal.rs` says why this is enough.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
        Ok(Self {
            connection,
            tables: HashMap::new(),
            conditions: Kept::default(),
            updates: Kept::default(),
            keys: Kept::default(),
            is_in_batch: false,
        })
    }

    /// Forgets the tables, because dynoxide may have changed one.
    pub(super) fn forget_tables(&mut self) {
        self.tables.clear();
    }

    /// Begins to collect writes, which become visible to dynoxide and to a crash all at once.
    pub(super) fn begin_batch(&mut self) -> Result<(), Fault> {
        if !self.is_in_batch {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            self.is_in_batch = true;
        }
        Ok(())
    }

    /// Writes what was collected to the log. If it fails, nothing of it has happened.
    pub(super) fn end_batch(&mut self) -> Result<(), Fault> {
        if !self.is_in_batch {
            return Ok(());
        }
        self.is_in_batch = false;
        let ended = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = ended {
            self.connection.execute_batch("ROLLBACK").unwrap_or_default();
            return Err(error.into());
        }
        Ok(())
    }

    /// Takes back what was collected.
    pub(super) fn abandon_batch(&mut self) {
        if std::mem::take(&mut self.is_in_batch) && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK").unwrap_or_default();
        }
    }

    /// Whether SQLite has taken back what was collected, as it does after some errors.
    pub(super) fn has_lost_batch(&self) -> bool {
        self.is_in_batch && self.connection.is_autocommit()
    }

    fn table(&mut self, name: Option<&str>) -> Result<Arc<Table>, Fault> {
        let name = name.ok_or(Fault::NotOurs)?;
        if let Some(table) = self.tables.get(name) {
            return table.clone().ok_or(Fault::NotOurs);
        }
        let table = Table::read(&self.connection, name)?.map(Arc::new);
        self.tables.insert(name.to_owned(), table.clone());
        table.ok_or(Fault::NotOurs)
    }
}

/// Expressions that were read before. The store has a few dozen different ones.
struct Kept<E>(HashMap<String, Arc<E>>);

impl<E> Default for Kept<E> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<E: FromStr<Err = NotOurs>> Kept<E> {
    fn get(&mut self, text: &str) -> Result<Arc<E>, NotOurs> {
        if let Some(read) = self.0.get(text) {
            return Ok(Arc::clone(read));
        }
        let read = Arc::new(text.parse::<E>()?);
        if self.0.len() >= KEPT_EXPRESSIONS {
            self.0.clear();
        }
        self.0.insert(text.to_owned(), Arc::clone(&read));
        Ok(read)
    }

    /// The same for an expression that a request may lack.
    fn get_some(&mut self, text: Option<&str>) -> Result<Option<Arc<E>>, NotOurs> {
        text.map(|text| self.get(text)).transpose()
    }
}

/// A name by which several connections of this process open the same new database in memory.
pub(super) fn name_in_memory() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("file:tasklane-{}?mode=memory&cache=shared", NEXT.fetch_add(1, Ordering::Relaxed))
}
