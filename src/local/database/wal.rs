//! SQLite's write-ahead log, synced once for all calls that wait.

use std::{fs::File, path::PathBuf};

/// SQLite's write-ahead log, synced by us instead of by each commit.
///
/// With `synchronous=NORMAL` SQLite syncs its log before it moves pages from there to the database, and the database
/// before it reuses the log, but not at a commit. Frames of the log are valid in their order, so one sync makes
/// every commit before it durable: `synchronous=FULL` syncs once per commit, this once for all calls that wait.
/// <https://www.sqlite.org/wal.html>
pub(super) struct WriteAheadLog {
    path: PathBuf,
    file: Option<File>,
    broken: Option<String>,
}

impl WriteAheadLog {
    /// The log in the file `path`.
    pub(super) fn of(database: &dynoxide::Database, path: PathBuf) -> dynoxide::Result<Self> {
        // What this sets is `synchronous=NORMAL`, and SQLite's defaults for the rest.
        database.disable_bulk_loading()?;
        Ok(Self { path, file: None, broken: None })
    }

    /// Makes every commit so far durable.
    pub(super) fn sync(&mut self) -> Result<(), String> {
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
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}
