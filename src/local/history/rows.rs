//! The table of minutes, and all SQL on it.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OptionalExtension as _, params};
use tasklane_model::{FunctionName, RunStats, StatsRange, Timestamp};

use super::{Counts, Key, lateness::Classes};

/// The most rows: what a Function did in a minute is one. About 60 MB.
const MOST_ROWS: i64 = 1_000_000;

/// Opens the file and creates the table if it does not exist.
pub(super) fn open(file: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(file)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA journal_size_limit = 4194304;
         CREATE TABLE IF NOT EXISTS runs (
             minute INTEGER NOT NULL,
             function TEXT NOT NULL,
             started INTEGER NOT NULL,
             completed INTEGER NOT NULL,
             failed INTEGER NOT NULL,
             retried INTEGER NOT NULL,
             late BLOB NOT NULL,
             PRIMARY KEY (minute, function)
         ) WITHOUT ROWID;",
    )?;
    Ok(db)
}

/// Adds these counts to what is there.
pub(super) fn add(db: &mut Connection, news: &BTreeMap<Key, Counts>) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    {
        let mut find = transaction.prepare_cached("SELECT late FROM runs WHERE minute = ?1 AND function = ?2")?;
        let mut put = transaction.prepare_cached(
            "INSERT INTO runs (minute, function, started, completed, failed, retried, late)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET started = started + excluded.started, completed = completed + excluded.completed,
                 failed = failed + excluded.failed, retried = retried + excluded.retried, late = excluded.late",
        )?;
        for (key, counts) in news {
            let (minute, name) = (key.minute, key.function.as_str());
            let before: Option<Vec<u8>> = find.query_row(params![minute, name], |row| row.get(0)).optional()?;
            let mut late = before.as_deref().map(Classes::from_bytes).unwrap_or_default();
            late.merge(&counts.late);
            let Counts { started, completed, failed, retried, .. } = counts;
            put.execute(params![minute, name, started, completed, failed, retried, late.to_bytes()])?;
        }
    }
    transaction.commit()
}

/// Deletes what happened before this minute, and then the oldest minutes while there are too many rows.
pub(super) fn prune(db: &Connection, before: i64) -> rusqlite::Result<()> {
    db.execute("DELETE FROM runs WHERE minute < ?1", [before])?;
    let last: Option<i64> = db
        .query_row(
            "SELECT minute FROM runs ORDER BY minute DESC, function DESC LIMIT 1 OFFSET ?1",
            [MOST_ROWS],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(last) = last {
        db.execute("DELETE FROM runs WHERE minute <= ?1", [last])?;
    }
    Ok(())
}

/// What happened in this range, by step and Function; at most `most` records and one.
pub(super) fn read(db: &Connection, range: StatsRange, most: usize) -> rusqlite::Result<Vec<RunStats>> {
    let mut select = db.prepare_cached(
        "SELECT minute, function, started, completed, failed, retried, late FROM runs
         WHERE minute >= ?1 AND minute < ?2 ORDER BY minute",
    )?;
    let minute_of = |time: Timestamp| time.as_secs() / 60;
    // The minute in which the range ends belongs to it, unless it ends where the minute begins.
    let end = range.to.as_millis().div_euclid(60_000) + i64::from(range.to.as_millis() % 60_000 > 0);
    let mut rows = select.query(params![minute_of(range.from), end])?;
    let step = i64::try_from(range.step.as_secs() / 60).unwrap_or(i64::MAX).max(1);
    let mut found: Vec<RunStats> = Vec::new();
    let mut current: BTreeMap<String, Counts> = BTreeMap::new();
    let mut at: Option<i64> = None;
    while let Some(row) = rows.next()? {
        let minute: i64 = row.get(0)?;
        let begins = minute_of(range.from) + (minute - minute_of(range.from)) / step * step;
        if at != Some(begins) {
            found.extend(at.into_iter().flat_map(|at| step_of(at, std::mem::take(&mut current))));
            at = Some(begins);
            if found.len() > most {
                break;
            }
        }
        let name = if range.per_function { row.get(1)? } else { String::new() };
        let late: Vec<u8> = row.get(6)?;
        let counts = Counts {
            started: row.get(2)?,
            completed: row.get(3)?,
            failed: row.get(4)?,
            retried: row.get(5)?,
            late: Classes::from_bytes(&late),
        };
        current.entry(name).or_default().merge(&counts);
    }
    found.extend(at.into_iter().flat_map(|at| step_of(at, std::mem::take(&mut current))));
    found.truncate(most.saturating_add(1));
    Ok(found)
}

fn step_of(minute: i64, counts: BTreeMap<String, Counts>) -> impl Iterator<Item = RunStats> {
    counts.into_iter().map(move |(name, counts)| RunStats {
        timestamp: Timestamp::saturating_from_millis(minute.saturating_mul(60_000)),
        function_name: FunctionName::parse(name).ok(),
        started: counts.started,
        completed: counts.completed,
        failed: counts.failed,
        retried: counts.retried,
        lateness: counts.late.summary(),
    })
}
