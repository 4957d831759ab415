//! Opens a database file, for one process at a time and only if SQLite can read all of it.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use dynoxide::DynoxideError;
use rusqlite::{ErrorCode, OpenFlags};

/// How long to wait for the lock of a killed process: a child that it had just forked holds the lock until it executes
/// another program.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
pub(super) const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Another process has opened it.
    #[error(
        "the database {path} is in use by another process; stop that one first, or choose another data folder",
        path = .0.display()
    )]
    InUse(PathBuf),
    /// The file is not a database, or it is damaged.
    #[error("{path} cannot be used as a database: {why}. The file was left as it is", path = .path.display())]
    Unusable { path: PathBuf, why: String },
    #[error("could not open the database {path}: {cause}", path = .path.display())]
    Io { path: PathBuf, cause: io::Error },
}

/// Locks the database, and waits a moment if a killed process still holds the lock.
pub(super) fn lock(path: &Path) -> Result<File, DatabaseError> {
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

/// Rejects files that SQLite would take for a new database and overwrite, and damaged ones: SQLite notices a damaged
/// page only when it reads it, and may have written others by then.
pub(super) fn check(path: &Path) -> Result<(), DatabaseError> {
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
            Err(unusable(path, "it is empty or cut short; to start over, move it and the files next to it away"))
        }
        Err(cause) => Err(DatabaseError::Io { path: path.to_owned(), cause }),
    }
}

/// Reads every page, which takes about a second for a gigabyte. This connection cannot write anything, not even the
/// contents of the write-ahead log.
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

pub(super) fn describe(error: &DynoxideError) -> String {
    let text = error.to_string();
    if text.contains("malformed") { format!("it is damaged or cut short ({text})") } else { text }
}

pub(super) fn unusable(path: &Path, why: &str) -> DatabaseError {
    DatabaseError::Unusable { path: path.to_owned(), why: why.to_owned() }
}

/// A file in the same folder, named after the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
