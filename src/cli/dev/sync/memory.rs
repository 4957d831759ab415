//! What was synced from which file, kept between two starts: a start with nothing changed need not read the code.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tasklane_client::replace_private_file;
use tasklane_model::{CodeSha256, FunctionName};
use tasklane_task_config::Fingerprint;

/// The package of a code folder in this state has this hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KnownCode {
    pub(super) fingerprint: Fingerprint,
    pub(super) code_sha256: CodeSha256,
}

/// The Functions by their files. A file that once described another Function has more than one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    #[serde(default)]
    files: BTreeMap<PathBuf, BTreeMap<FunctionName, Option<KnownCode>>>,
}

impl Memory {
    /// Reads the file. One that is missing or damaged is as good as empty: everything is compared again.
    pub(super) fn load(file: &Path) -> Self {
        let text = fs::read(file).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(super) fn save(&self, file: &Path) -> io::Result<()> {
        replace_private_file(file, &serde_json::to_vec_pretty(self)?)
    }

    pub(super) fn remember(&mut self, file: &Path, name: &FunctionName, code: Option<KnownCode>) {
        self.files.entry(file.to_owned()).or_default().insert(name.clone(), code);
    }

    pub(super) fn forget(&mut self, file: &Path, name: &FunctionName) {
        if let Some(names) = self.files.get_mut(file) {
            names.remove(name);
        }
        self.files.retain(|_, names| !names.is_empty());
    }

    /// The code of the file's Function. Its name does not matter.
    pub(super) fn code_of(&self, file: &Path) -> Option<KnownCode> {
        self.files.get(file)?.values().rev().flatten().next().cloned()
    }

    /// A Function of this file.
    pub(super) fn name_of(&self, file: &Path) -> Option<&FunctionName> {
        self.files.get(file)?.keys().next()
    }

    /// Every Function with its file.
    pub(super) fn names(&self) -> Vec<(PathBuf, FunctionName)> {
        let each =
            self.files.iter().flat_map(|(file, names)| names.keys().map(move |name| (file.clone(), name.clone())));
        each.collect()
    }
}
