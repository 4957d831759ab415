//! The folders that `dev` serves.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Args;
use crate::output;

/// The paths of the command line, which must exist, or else the working directory.
///
/// # Errors
/// When a path cannot be read.
pub(super) fn checked(args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    for path in &args.paths {
        std::fs::metadata(path).with_context(|| format!("{} cannot be served", path.display()))?;
    }
    if !args.paths.is_empty() {
        return Ok(args.paths.clone());
    }
    let here = std::env::current_dir().context("the working directory cannot be read")?;
    if is_too_large(&here) {
        output::note("no Functions are served: name their folders, because this is not a project's folder");
        return Ok(Vec::new());
    }
    output::note("serving the Functions below the working directory");
    Ok(vec![PathBuf::from(".")])
}

/// A home folder or the root, which may hold anything, and would be searched and watched whole.
fn is_too_large(folder: &Path) -> bool {
    folder.parent().is_none() || std::env::home_dir().is_some_and(|home| home == folder)
}
