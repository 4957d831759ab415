//! SQLite's write-ahead log, synced once for all waiting calls.

use std::{fs::File, path::PathBuf};

/// SQLite's write-ahead log, which we sync instead of SQLite doing it at each commit.
///
/// With `synchronous=NORMAL` SQLite syncs its log before it moves pages from the log to the database, and the database
/// before it reuses the log, but not at a commit. Frames of the log are valid in order, so one sync makes all commits
/// before it durable. `synchronous=FULL` would sync once per commit; this syncs once for all waiting calls.
/// <https://www.sqlite.org/wal.html>
pub(super) struct WriteAheadLog {
    path: PathBuf,
    file: Option<File>,
    broken: Option<String>,
}

impl WriteAheadLog {
    pub(super) fn of(database: &dynoxide::Database, path: PathBuf) -> dynoxide::Result<Self> {
        // This sets `synchronous=NORMAL`, and SQLite's defaults for everything else.
        database.disable_bulk_loading()?;
        Ok(Self { path, file: None, broken: None })
    }

    /// Makes all commits so far durable.
    pub(super) fn sync(&mut self) -> Result<(), String> {
        let synced = match &self.file {
            Some(file) => file.sync_data(),
            // The file exists once something was written, and as long as the database is open.
            None => File::open(&self.path).and_then(|file| self.file.insert(file).sync_data()),
        };
        synced.map_err(|error| {
            let why = format!("{} could not be synced to the disk: {error}", self.path.display());
            tracing::error!("{why}; no more reads or writes until the service is restarted");
            self.broken.insert(why).clone()
        })
    }

    /// Why the database can no longer be trusted: after a failed sync the kernel may have dropped written data.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}
