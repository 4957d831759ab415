//! The Functions that are measured: the same files for all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

/// Answers an HTTP call, and works as a plain Function, too.
pub const HELLO_NODE: &str = "exports.handler = async () => ({
  statusCode: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ hello: 'world' }),
});
";

/// The same, in Python.
pub const HELLO_PYTHON: &str = "import json


def handler(event, context):
    return {
        'statusCode': 200,
        'headers': {'content-type': 'application/json'},
        'body': json.dumps({'hello': 'world'}),
    }
";

/// A language to measure.
#[derive(Clone, Copy, PartialEq)]
pub enum Language {
    Node,
    Python,
}

impl Language {
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Python => "python",
        }
    }

    pub fn runtime(self) -> &'static str {
        match self {
            Self::Node => "nodejs20.x",
            Self::Python => "python3.11",
        }
    }

    /// Writes the Function's code into `folder`.
    pub fn write(self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        match self {
            Self::Node => fs::write(folder.join("index.js"), HELLO_NODE)?,
            Self::Python => fs::write(folder.join("index.py"), HELLO_PYTHON)?,
        }
        Ok(())
    }
}

/// Writes a Function in node with this code.
pub fn write_code(folder: &Path, name: &str, code: &str) -> anyhow::Result<()> {
    let folder = write(folder, name, Language::Node)?;
    Ok(fs::write(folder.join("src/index.js"), code)?)
}

/// Writes a Function that `tasklane dev` syncs and that everybody may call.
pub fn write(folder: &Path, name: &str, language: Language) -> anyhow::Result<PathBuf> {
    let folder = folder.join(name);
    language.write(&folder.join("src"))?;
    let config = json!({
        "name": name,
        "path": "src",
        "entryPoint": "index.handler",
        "runtime": language.runtime(),
        "memoryLimit": 256,
        "executionPermission": "public",
    });
    fs::write(folder.join("task-config.json"), serde_json::to_vec_pretty(&config)?)?;
    Ok(folder)
}
