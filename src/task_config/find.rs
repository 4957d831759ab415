//! Finds `task-config.json` files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::Value;
use walkdir::{DirEntry, WalkDir};

use super::{ConfigError, FILE_NAME, Problem, REPO_FILE_NAME};

/// Folders with dependencies and build output, which are not searched; nor are hidden folders.
const NEVER_SEARCHED: [&str; 2] = ["node_modules", "target"];

/// Every `task-config.json` under the paths at any depth, sorted by path. A path may also be such a file itself, with any
/// name. `node_modules`, `target` and hidden folders are skipped unless a path names one.
///
/// # Errors
/// When a path cannot be read. Finding nothing is not an error.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
    let mut found = BTreeSet::new();
    for path in paths {
        if is_dir(path)? {
            let walk = WalkDir::new(path).into_iter().filter_entry(|entry| entry.depth() == 0 || is_searched(entry));
            for entry in walk {
                let entry =
                    entry.map_err(|e| ConfigError::new(path.display().to_string(), Problem::Unreadable(e.into())))?;
                if entry.file_name() == FILE_NAME && !entry.path().is_dir() {
                    found.insert(entry.into_path());
                }
            }
        } else {
            found.insert(path.clone());
        }
    }
    Ok(found.into_iter().collect())
}

/// The files for `sync --path`: the file itself, or the folder's own `task-config.json`, or those of the folders directly
/// below it (contract §10). A `repo-config.json` in the folder names other folders instead, below which they are; without
/// one, that is `tasks`, as for the official CLI.
///
/// # Errors
/// When the path cannot be read or leads to no `task-config.json`.
pub fn find_for_sync(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    if !is_dir(path)? {
        return Ok(vec![path.to_owned()]);
    }
    let own = path.join(FILE_NAME);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let found = match repo_folders(path)? {
        Some(folders) => folders.iter().map(|folder| directly_below(folder)).collect::<Result<Vec<_>, _>>()?.concat(),
        None => match directly_below(path)? {
            found if found.is_empty() && path.join(DEFAULT_FOLDER).is_dir() => {
                directly_below(&path.join(DEFAULT_FOLDER))?
            }
            found => found,
        },
    };
    if found.is_empty() {
        return Err(ConfigError::new(path.display().to_string(), Problem::NothingFound));
    }
    Ok(found)
}

/// Where the official CLI looks for Functions if nothing says where they are.
const DEFAULT_FOLDER: &str = "tasks";

/// The folders that the `repo-config.json` in this folder lists as `tasks`, if there is one. The other lists in it belong to
/// other services. Nothing is skipped: `sync --prune` deletes what it does not find.
fn repo_folders(path: &Path) -> Result<Option<Vec<PathBuf>>, ConfigError> {
    let file = path.join(REPO_FILE_NAME);
    let place = file.display().to_string();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ConfigError::new(place, Problem::Unreadable(error))),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let config: Value =
        serde_json::from_str(text).map_err(|error| ConfigError::new(&place, Problem::NotJson(error)))?;
    let wrong = |rule: String| ConfigError::new(&place, Problem::Value { property: "tasks".to_owned(), rule });
    let names = match config.get("tasks") {
        None => return Ok(Some(Vec::new())),
        Some(names) => names.as_array().and_then(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>()),
    };
    let names = names.ok_or_else(|| wrong("must be a list of folders".to_owned()))?;
    // The official CLI takes an absolute path as one below the file, too.
    let folder = |name: &str| match path.join(name.trim_start_matches('/')) {
        folder if folder.is_dir() => Ok(folder),
        _ => Err(wrong(format!("names '{name}', which is not a folder"))),
    };
    names.into_iter().map(folder).collect::<Result<_, _>>().map(Some)
}

/// The files of the folders directly below this one, by name.
fn directly_below(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut found = Vec::new();
    for entry in WalkDir::new(path).min_depth(1).max_depth(1).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|e| ConfigError::new(path.display().to_string(), Problem::Unreadable(e.into())))?;
        let config = entry.path().join(FILE_NAME);
        if entry.file_type().is_dir() && is_searched(&entry) && config.is_file() {
            found.push(config);
        }
    }
    Ok(found)
}

/// The path itself if it is a folder, or else the folder of the file.
pub fn folder_of(path: &Path) -> &Path {
    if path.is_dir() {
        return path;
    }
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn is_dir(path: &Path) -> Result<bool, ConfigError> {
    std::fs::metadata(path)
        .map(|metadata| metadata.is_dir())
        .map_err(|e| ConfigError::new(path.display().to_string(), Problem::Unreadable(e)))
}

fn is_searched(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    !(entry.file_type().is_dir() && (name.starts_with('.') || NEVER_SEARCHED.contains(&name.as_ref())))
}
