//! `task-config.json` as its authors write it.

use std::path::Path;

use super::Draft;

/// What every variable whose name begins with `S` holds. No error may quote it.
const VARIABLE: &str = "tr0ub4dor";

/// Reads the bytes as a `task-config.json` in a folder that has a folder `.`.
///
/// What is taken keeps to its rules; what is refused names a problem at least, and no value that came out of a
/// variable, but where the code should have been found.
pub fn task_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lookup = |name: &str| name.starts_with('S').then(|| VARIABLE.to_owned());
    let draft = Draft::parse("task-config.json", Path::new(""), text, &lookup);
    let shown = format!("{draft:?}");
    match draft.and_then(Draft::finish) {
        Ok(config) => {
            assert!(config.code_dir.is_dir(), "{config:?}");
            assert!((1..=64).contains(&config.name.as_str().len()), "{config:?}");
            assert!(config.description.as_ref().is_none_or(|text| text.chars().count() <= 256), "{config:?}");
            assert!(config.time_limit.is_none_or(|limit| (3..=300).contains(&limit.get())), "{config:?}");
            let bytes = config.environment.iter().flat_map(|all| all.iter()).map(|(k, v)| k.len() + v.len());
            assert!(bytes.sum::<usize>() <= 4096, "{config:?}");
            let hidden = !shown.contains(VARIABLE) || text.contains(VARIABLE);
            assert!(hidden, "a draft shows what came out of a variable: {shown}");
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            let path = text.contains("path") || text.contains('\\');
            let said = error.to_string();
            assert!(path || text.contains(VARIABLE) || !said.contains(VARIABLE), "a variable's value is told: {said}");
        }
    }
}
