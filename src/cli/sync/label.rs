//! What `sync` calls the versions that it makes.

use std::path::Path;

use tasklane_model::VersionLabel;
use tokio::process::Command;

/// Reads a label from the command line.
pub(super) fn parse(text: &str) -> Result<VersionLabel, String> {
    VersionLabel::parse(text).map_err(|error| error.to_string())
}

/// The git commit of a folder, with `-dirty` if something in the folder is not committed. `None` outside a repository, or
/// without git.
pub(super) async fn of_commit(folder: &Path) -> Option<VersionLabel> {
    let commit = git(folder, &["rev-parse", "--short=12", "HEAD"]).await?;
    let is_dirty = !git(folder, &["status", "--porcelain", "--", "."]).await?.is_empty();
    VersionLabel::parse(if is_dirty { format!("{commit}-dirty") } else { commit }).ok()
}

async fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
