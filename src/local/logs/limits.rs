//! Limits on the disk space of log lines.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::statvfs::statvfs;

use super::DEFAULT_RETENTION;

/// How much disk space the store may take, unless the disk is small.
const STORE_BYTES: u64 = 1024 * 1024 * 1024;
/// How much disk space is left free for the rest of the service, unless the disk is small.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;
/// On a small disk each of these is limited to this fraction.
const SHARE: u64 = 4;

/// How long lines are kept, and how much space they may take.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// How long a line is kept.
    pub retention: Duration,
    /// The most bytes in the store. Beyond that, the oldest lines are deleted.
    pub store_bytes: u64,
    /// If fewer bytes are free on the disk, lines are dropped. Runs go on.
    pub reserve_bytes: u64,
}

impl LogLimits {
    /// Two weeks, 1 GB for the store and 256 MB left free, the last two less on a small disk.
    pub fn for_disk_of(folder: &Path) -> Self {
        // The types of these numbers differ between systems.
        #[allow(clippy::useless_conversion)]
        let whole = statvfs(folder).map(|disk| u64::from(disk.blocks()).saturating_mul(disk.fragment_size()));
        let share = whole.map_or(u64::MAX, |bytes| bytes / SHARE);
        Self {
            retention: DEFAULT_RETENTION,
            store_bytes: STORE_BYTES.min(share),
            reserve_bytes: RESERVE_BYTES.min(share),
        }
    }
}

/// Whether the disk has room for lines.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    reserve: u64,
    asked: Option<Instant>,
    /// Bytes written since the last check.
    written: u64,
    is_short: bool,
}

/// The disk is checked again after this time, or after this many bytes.
const ASK_EVERY: Duration = Duration::from_secs(1);
pub(super) const ASK_AFTER: u64 = 1024 * 1024;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Unchanged.
    Same,
    /// There is no room any more.
    BecameShort,
    /// There is room again.
    HasRoom,
}

impl Room {
    pub(super) fn on_disk_of(folder: &Path, reserve: u64) -> Self {
        Self { folder: folder.to_owned(), reserve, asked: None, written: 0, is_short: false }
    }

    /// Whether lines must be dropped, according to the last check.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    /// Checks the disk if it is time to, before this many bytes are written.
    pub(super) fn look(&mut self, bytes: u64) -> Finding {
        self.written += bytes;
        if self.written < ASK_AFTER && self.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return Finding::Same;
        }
        // If the disk cannot be checked, the write itself will fail.
        #[allow(clippy::useless_conversion)]
        let free =
            statvfs(&self.folder).map(|disk| u64::from(disk.blocks_available()).saturating_mul(disk.fragment_size()));
        self.learn(free.unwrap_or(u64::MAX))
    }

    fn learn(&mut self, free: u64) -> Finding {
        self.asked = Some(Instant::now());
        self.written = 0;
        let was_short = std::mem::replace(&mut self.is_short, free < self.reserve);
        match (was_short, self.is_short) {
            (false, true) => Finding::BecameShort,
            (true, false) => Finding::HasRoom,
            (false, false) | (true, true) => Finding::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_checked_again_after_many_bytes() {
        let mut room = Room::on_disk_of(Path::new("/"), 0);
        assert_eq!((room.look(1), room.is_short()), (Finding::Same, false));
        room.reserve = u64::MAX;
        // The last result stands until many bytes were written.
        assert_eq!(room.look(ASK_AFTER), Finding::BecameShort);
        assert!(room.is_short());
        assert_eq!(room.learn(u64::MAX), Finding::HasRoom);
        assert!(!room.is_short());
    }

    #[test]
    fn a_small_disk_is_shared() {
        let limits = LogLimits::for_disk_of(Path::new("/"));
        assert!((1..=STORE_BYTES).contains(&limits.store_bytes), "{limits:?}");
        assert!((1..=RESERVE_BYTES).contains(&limits.reserve_bytes), "{limits:?}");
    }
}
