//! Folders with Functions.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes a Function in JavaScript to `root/name`: its task-config.json, with `more` in it, and its index.js.
pub fn write_function(root: &Path, name: &str, source: &str, more: &Value) -> PathBuf {
    let folder = root.join(name);
    fs::create_dir_all(folder.join("code")).unwrap();
    write_source(root, name, source);
    let mut config = json!({
        "name": name, "path": "code", "entryPoint": "index.handler", "runtime": "nodejs20.x", "timeLimit": 30,
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
    fs::write(folder.join("task-config.json"), config.to_string()).unwrap();
    folder
}

/// Rewrites its index.js.
pub fn write_source(root: &Path, name: &str, source: &str) {
    fs::write(root.join(name).join("code/index.js"), source).unwrap();
}
