//! `task-config.json` files from strangers.

use std::path::Path;

use super::Draft;

/// The value of every variable whose name begins with `S`. No error may quote it.
const VARIABLE: &str = "tr0ub4dor";

/// Reads the bytes as a `task-config.json` in a folder that has a folder `.`.
///
/// An accepted file keeps the rules. An error names at least one problem, and no value from a variable except the path of
/// the code.
pub fn task_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lookup = |name: &str| name.starts_with('S').then(|| VARIABLE.to_owned());
    let draft = Draft::parse("task-config.json", Path::new(""), text, &lookup);
    let shown = format!("{draft:?}");
    match draft.and_then(Draft::finish) {
        Ok(config) => {
            assert!(config.program.place().exists(), "{config:?}");
            assert!((1..=64).contains(&config.name.as_str().len()), "{config:?}");
            assert!(config.options.description.as_ref().is_none_or(|text| text.chars().count() <= 256), "{config:?}");
            assert!(config.options.time_limit.is_none_or(|limit| (3..=300).contains(&limit.get())), "{config:?}");
            let bytes = config.options.environment.iter().flat_map(|all| all.iter()).map(|(k, v)| k.len() + v.len());
            assert!(bytes.sum::<usize>() <= 4096, "{config:?}");
            let hidden = !shown.contains(VARIABLE) || text.contains(VARIABLE);
            assert!(hidden, "a draft shows the value of a variable: {shown}");
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            let path = text.contains("path") || text.contains('\\');
            let said = error.to_string();
            assert!(
                path || text.contains(VARIABLE) || !said.contains(VARIABLE),
                "an error quotes the value of a variable: {said}"
            );
        }
    }
}
