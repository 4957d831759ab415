//! The table of lines, and all SQL on it.

use std::path::Path;

use rusqlite::{Connection, params};
use tasklane_model::{FunctionName, ObjectId, Timestamp};
use tasklane_ports::{LogLine, LogPage};

use tasklane_lambda_local::LoggedLine;

/// Opens the database and creates the table if it does not exist.
pub(super) fn open(file: &Path) -> rusqlite::Result<Connection> {
    // Functions may log secrets.
    let _ = std::os::unix::fs::OpenOptionsExt::mode(std::fs::OpenOptions::new().create(true).append(true), 0o600)
        .open(file);
    let db = Connection::open(file)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    // Readers never wait for the writer, and a commit needs no fsync: a power cut may lose the last lines, a crash of
    // the process does not.
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA journal_size_limit = 16777216;
         CREATE TABLE IF NOT EXISTS lines (
             id INTEGER PRIMARY KEY,
             correlation BLOB NOT NULL,
             request_id TEXT NOT NULL,
             function TEXT NOT NULL,
             time INTEGER NOT NULL,
             message TEXT NOT NULL
         );
         CREATE INDEX IF NOT EXISTS lines_by_run ON lines (correlation, request_id);
         CREATE INDEX IF NOT EXISTS lines_by_function ON lines (function, time);
         CREATE INDEX IF NOT EXISTS lines_by_time ON lines (time);",
    )?;
    Ok(db)
}

/// Inserts all of the lines or none.
pub(super) fn insert(db: &mut Connection, lines: &[LoggedLine]) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO lines (correlation, request_id, function, time, message) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for LoggedLine { function, correlation, request_id, timestamp, message } in lines {
            let time = timestamp.as_millis();
            insert.execute(params![correlation.as_bytes(), &**request_id, function.as_str(), time, message])?;
        }
    }
    transaction.commit()
}

/// Deletes lines older than `before`.
pub(super) fn prune(db: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    db.execute("DELETE FROM lines WHERE time < ?1", [before.as_millis()])
}

/// Deletes the oldest lines until the rest takes slightly less than `most` bytes. The file keeps its size; new lines
/// reuse the space.
pub(super) fn shrink(db: &mut Connection, most: u64) -> rusqlite::Result<()> {
    let taken = taken_bytes(db)?;
    if taken <= most {
        return Ok(());
    }
    // A sixteenth more than necessary, so that the oldest lines are not searched for after every few new ones.
    let mut excess = taken - most + most / 16;
    let last = {
        let mut oldest = db.prepare_cached("SELECT id, octet_length(message) FROM lines ORDER BY id")?;
        let mut rows = oldest.query([])?;
        let mut last: Option<i64> = None;
        while excess > 0
            && let Some(row) = rows.next()?
        {
            last = Some(row.get(0)?);
            excess = excess.saturating_sub(row.get::<_, u64>(1)? + LINE_OVERHEAD);
        }
        last
    };
    db.execute("DELETE FROM lines WHERE id <= ?1", [last]).map(|_| ())
}

/// What a line takes besides its text: its other columns and its entries in three indexes.
const LINE_OVERHEAD: u64 = 250;

/// How many bytes of the file are in use.
fn taken_bytes(db: &Connection) -> rusqlite::Result<u64> {
    let value = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    Ok((value("page_count")?.saturating_sub(value("freelist_count")?)).saturating_mul(value("page_size")?))
}

pub(super) fn of_run(
    db: &Connection,
    correlation: ObjectId,
    request_id: Option<&str>,
    from: Timestamp,
    to: Timestamp,
    page: LogPage,
) -> rusqlite::Result<Vec<LogLine>> {
    let mut select = db.prepare_cached(
        "SELECT time, message FROM lines
         WHERE correlation = ?1 AND (?2 IS NULL OR request_id = ?2) AND time BETWEEN ?3 AND ?4
         ORDER BY id LIMIT ?5 OFFSET ?6",
    )?;
    let (limit, offset) = bounds(page);
    let rows = select.query_map(
        params![correlation.as_bytes(), request_id, from.as_millis(), to.as_millis(), limit, offset],
        line,
    )?;
    rows.collect()
}

pub(super) fn of_function(
    db: &Connection,
    function: &FunctionName,
    from: Timestamp,
    to: Timestamp,
    page: LogPage,
) -> rusqlite::Result<Vec<LogLine>> {
    let mut select = db.prepare_cached(
        "SELECT time, message FROM lines WHERE function = ?1 AND time BETWEEN ?2 AND ?3
         ORDER BY time, id LIMIT ?4 OFFSET ?5",
    )?;
    let (limit, offset) = bounds(page);
    let rows = select.query_map(params![function.as_str(), from.as_millis(), to.as_millis(), limit, offset], line)?;
    rows.collect()
}

fn bounds(page: LogPage) -> (i64, i64) {
    (i64::try_from(page.limit).unwrap_or(i64::MAX), i64::try_from(page.offset).unwrap_or(i64::MAX))
}

fn line(row: &rusqlite::Row<'_>) -> rusqlite::Result<LogLine> {
    Ok(LogLine { timestamp: Timestamp::saturating_from_millis(row.get(0)?), message: row.get(1)? })
}
