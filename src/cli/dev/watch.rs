//! Watches the synced paths for changes.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::output;

/// How long the paths must be unchanged before they are read, because editors and builds write in several steps.
const REST: Duration = Duration::from_millis(250);

/// The longest wait for that, so that a program that writes constantly does not hide other changes.
const LONGEST: Duration = Duration::from_secs(5);

/// Watches folders.
pub struct Watch {
    changes: mpsc::UnboundedReceiver<()>,
    // Watching ends when this is dropped.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Watches the paths, except what the service itself writes to `data_dir`. If that is not possible, prints a warning and
    /// reports no changes.
    pub fn start(paths: &[PathBuf], data_dir: &Path) -> Self {
        let data_dir = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
        let (sender, changes) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_change(&event, &data_dir)) {
                // The receiver is gone when the service stops.
                let _ = sender.send(());
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            for path in paths {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                watcher.watch(&path, RecursiveMode::Recursive)?;
            }
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => Self { changes, _watcher: Some(watcher) },
            Err(error) => {
                output::note(&format!("warning: not watching for changes: {error}"));
                Self { changes, _watcher: None }
            }
        }
    }

    /// Resolves once something has changed and then stayed unchanged for a moment; never if nothing can be watched.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let deadline = tokio::time::Instant::now() + LONGEST;
        while let Ok(Some(())) = tokio::time::timeout(REST, self.changes.recv()).await {
            if tokio::time::Instant::now() >= deadline {
                break;
            }
        }
    }
}

/// Reading a file is not a change, and syncing reads all files.
fn is_change(event: &notify::Event, data_dir: &Path) -> bool {
    let is_git = |path: &Path| path.components().any(|part| part.as_os_str() == ".git");
    !event.kind.is_access() && event.paths.iter().any(|path| !path.starts_with(data_dir) && !is_git(path))
}
