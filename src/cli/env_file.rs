//! Variables from a file, for the `$NAME` values of a `task-config.json`.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, bail};

/// Flags to be flattened into a command's arguments.
// No doc comment: clap would show it instead of the subcommand's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct EnvFile {
    /// A file with NAME=VALUE lines, for the $NAME values of task-config.json; the environment comes first. Read again at
    /// each sync
    #[arg(long = "env-file", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The variables of the environment and of the file.
#[derive(Default)]
pub struct EnvVariables(BTreeMap<String, String>);

impl EnvVariables {
    /// The variable's value, from the environment or else from the file.
    pub fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty()).or_else(|| self.0.get(name).cloned())
    }
}

impl EnvFile {
    /// Reads the file, if one was named.
    ///
    /// # Errors
    /// When it cannot be read, or a line is not `NAME=VALUE`. The line is not shown, because it may hold a secret.
    pub fn read(&self) -> anyhow::Result<EnvVariables> {
        let Some(file) = &self.file else { return Ok(EnvVariables::default()) };
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        match parse(&text) {
            Ok(variables) => Ok(EnvVariables(variables)),
            Err(line) => bail!("{}: line {line} is not NAME=VALUE", file.display()),
        }
    }
}

/// The variables of a file in the format that `docker --env-file`, dotenv and node share: a variable a line, `#` comments,
/// an optional `export`, quotes around values. The error is the number of the first other line.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut variables = BTreeMap::new();
    for (at, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(at + 1)?;
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(at + 1);
        }
        variables.insert(name.to_owned(), unquoted(value.trim()));
    }
    Ok(variables)
}

/// The value without its quotes; `\n` is a line end between double quotes. Without quotes, ` #` begins a comment.
fn unquoted(value: &str) -> String {
    let within = |quote: char| value.strip_prefix(quote)?.split_once(quote).map(|(inner, _)| inner);
    if let Some(inner) = within('"') {
        return inner.replace("\\n", "\n");
    }
    if let Some(inner) = within('\'') {
        return inner.to_owned();
    }
    value.split_once(" #").map_or(value, |(value, _)| value.trim_end()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_variable_a_line() {
        let text = "# x\n\nA=1\nexport B = two words # why\nC=\"a # b\\nc\" # d\nD='$x\\n'\nE=\nF=a=b#c\n";
        let expected = [("A", "1"), ("B", "two words"), ("C", "a # b\nc"), ("D", "$x\\n"), ("E", ""), ("F", "a=b#c")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parse(text), Ok(expected.into()));
        assert_eq!(parse("A=1\nnonsense\n"), Err(2));
        assert_eq!(parse("A B=1"), Err(1));
    }

    #[test]
    fn an_error_names_the_line_and_does_not_show_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A=1\ns3cret").unwrap();
        let error = EnvFile { file: Some(file.path().to_owned()) }.read().err().unwrap().to_string();
        assert!(error.ends_with("line 2 is not NAME=VALUE") && !error.contains("s3cret"), "{error}");
        assert_eq!(EnvFile::default().read().unwrap().get("TASKLANE_NO_SUCH_VARIABLE"), None);
    }
}
