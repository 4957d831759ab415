//! How much room log lines may take.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::statvfs::statvfs;

use super::DEFAULT_RETENTION;

/// What the store may take of the disk, unless that is small.
const STORE_BYTES: u64 = 1024 * 1024 * 1024;
/// What is left free on the disk for the rest of the service, unless that is small.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;
/// The most that either takes of a small disk.
const SHARE: u64 = 4;

/// How long lines are kept, and how much room they may take.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// How long a line is kept.
    pub retention: Duration,
    /// The most bytes of the store. When it grows beyond, the oldest lines go.
    pub store_bytes: u64,
    /// Below so many free bytes on its disk no line is written down. Runs go on.
    pub reserve_bytes: u64,
}

impl LogLimits {
    /// Two weeks and 1 GB, of which a small disk leaves less, and 256 MB for others.
    pub fn for_disk_of(folder: &Path) -> Self {
        let whole = statvfs(folder).map(|disk| disk.blocks().saturating_mul(disk.fragment_size()));
        let share = whole.map_or(u64::MAX, |bytes| bytes / SHARE);
        Self {
            retention: DEFAULT_RETENTION,
            store_bytes: STORE_BYTES.min(share),
            reserve_bytes: RESERVE_BYTES.min(share),
        }
    }
}

/// Whether there is room on the disk for lines.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    reserve: u64,
    asked: Option<Instant>,
    /// What was written since it was last asked.
    written: u64,
    is_short: bool,
}

/// So often, and after so many bytes, the disk is asked again.
const ASK_EVERY: Duration = Duration::from_secs(1);
pub(super) const ASK_AFTER: u64 = 1024 * 1024;

/// What asking the disk showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// As before: there is room, or there is none.
    Same,
    /// There is none any more.
    BecameShort,
    /// There is some again.
    HasRoom,
}

impl Room {
    pub(super) fn on_disk_of(folder: &Path, reserve: u64) -> Self {
        Self { folder: folder.to_owned(), reserve, asked: None, written: 0, is_short: false }
    }

    /// Whether lines are to be dropped, as far as is known.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    /// Looks at the disk, if it is time to, before so many bytes are written.
    pub(super) fn look(&mut self, bytes: u64) -> Finding {
        self.written += bytes;
        if self.written < ASK_AFTER && self.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return Finding::Same;
        }
        // Where the disk does not say, writing does.
        let free = statvfs(&self.folder).map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
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
    fn a_disk_is_asked_again_after_many_bytes() {
        let mut room = Room::on_disk_of(Path::new("/"), 0);
        assert_eq!((room.look(1), room.is_short()), (Finding::Same, false));
        room.reserve = u64::MAX;
        // The last finding holds until much was written.
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
