//! Watches the synced paths for changes.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::output;

/// How long the paths must be unchanged before they are read, because editors and builds write in several steps.
const REST: Duration = Duration::from_millis(100);

/// The longest wait for that, so that a program that writes constantly does not hide other changes.
const LONGEST: Duration = Duration::from_secs(5);

/// How many paths are told apart. A build may write any number of files.
const MOST: usize = 10_000;

/// What has changed.
#[derive(Debug, Default)]
pub struct Changes {
    paths: BTreeSet<PathBuf>,
    /// Too much to tell, or events were lost.
    is_everything: bool,
}

impl Changes {
    /// Anything may have changed.
    pub fn everything() -> Self {
        Self { is_everything: true, ..Self::default() }
    }

    /// Exactly these paths have changed.
    #[cfg(test)]
    pub fn of(paths: &[&Path]) -> Self {
        Self { paths: paths.iter().map(|path| (*path).to_owned()).collect(), is_everything: false }
    }

    /// Whether something in the folder may have changed. A change of a folder above it counts.
    pub fn concern(&self, folder: &Path) -> bool {
        self.is_everything || self.paths.iter().any(|path| path.starts_with(folder) || folder.starts_with(path))
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.is_everything
    }

    fn add(&mut self, other: Self) {
        self.is_everything |= other.is_everything;
        self.paths.extend(other.paths);
        if self.is_everything || self.paths.len() > MOST {
            *self = Self::everything();
        }
    }
}

/// Watches folders.
pub struct Watch {
    events: mpsc::UnboundedReceiver<Changes>,
    /// What changed since the last answer of [`Watch::changed`].
    pending: Changes,
    // Watching ends when this is dropped.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Watches the paths, except what the service itself writes to `data_dir`. If that is not possible, prints a warning and
    /// reports no changes. Blocks: it reads every folder.
    pub fn start(paths: &[PathBuf], data_dir: &Path) -> Self {
        let data_dir = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let changes = match event {
                Ok(event) => changes_of(event, &data_dir),
                Err(_) => Changes::everything(),
            };
            if !changes.is_empty() {
                // The receiver is gone when the service stops.
                let _ = sender.send(changes);
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            for path in paths {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                watcher.watch(&path, RecursiveMode::Recursive)?;
            }
            Ok(watcher)
        });
        let watcher =
            watching.inspect_err(|error| output::note(&format!("warning: not watching for changes: {error}"))).ok();
        Self { events, pending: Changes::default(), _watcher: watcher }
    }

    /// Resolves once something has changed and then stayed unchanged for a moment; never if nothing can be watched. No change
    /// is lost if the future is dropped.
    pub async fn changed(&mut self) -> Changes {
        if self.pending.is_empty() {
            match self.events.recv().await {
                Some(changes) => self.pending.add(changes),
                None => std::future::pending().await,
            }
        }
        let deadline = tokio::time::Instant::now() + LONGEST;
        while let Ok(Some(changes)) = tokio::time::timeout(REST, self.events.recv()).await {
            self.pending.add(changes);
            if tokio::time::Instant::now() >= deadline {
                break;
            }
        }
        std::mem::take(&mut self.pending)
    }
}

/// Reading a file is not a change, and syncing reads all files.
fn changes_of(event: notify::Event, data_dir: &Path) -> Changes {
    let is_git = |path: &Path| path.components().any(|part| part.as_os_str() == ".git");
    if event.need_rescan() {
        return Changes::everything();
    }
    if event.kind.is_access() {
        return Changes::default();
    }
    let paths = event.paths.into_iter().filter(|path| !path.starts_with(data_dir) && !is_git(path)).collect();
    Changes { paths, is_everything: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: &[&str]) -> Changes {
        Changes { paths: paths.iter().map(PathBuf::from).collect(), is_everything: false }
    }

    #[test]
    fn a_change_concerns_the_folder_that_holds_it() {
        let changes = of(&["/f/a/src/index.js"]);
        assert!(changes.concern(Path::new("/f/a")) && changes.concern(Path::new("/f/a/src/index.js")));
        assert!(!changes.concern(Path::new("/f/b")) && !changes.concern(Path::new("/f/a/other")));
        assert!(of(&["/f"]).concern(Path::new("/f/b")), "a folder above was renamed");
        assert!(Changes::everything().concern(Path::new("/f/b")) && !Changes::default().concern(Path::new("/f/b")));
    }

    #[test]
    fn very_many_changes_are_everything() {
        let mut changes = of(&["/f/a"]);
        changes.add(of(&["/f/b"]));
        assert!(!changes.concern(Path::new("/g")));
        changes.add(Changes {
            paths: (0..=MOST).map(|n| PathBuf::from(format!("/f/{n}"))).collect(),
            is_everything: false,
        });
        assert!(changes.concern(Path::new("/g")) && changes.paths.is_empty());
    }
}
