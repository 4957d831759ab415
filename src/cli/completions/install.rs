//! `tasklane completions --install`: has each new shell load the completions. The shell asks the installed program for its
//! script each time, so that both always have the same version.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap_complete::Shell;

use super::super::output;

/// The lines between these two are ours.
const BEGIN: &str = "# >>> tasklane completions >>>";
const END: &str = "# <<< tasklane completions <<<";

pub(super) fn run(shell: Option<Shell>) -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let shell = match shell {
        Some(shell) => shell,
        None => of_path(&variable("SHELL").unwrap_or_default())?,
    };
    let home = std::env::home_dir().context("there is no home folder: HOME is not set")?;
    let place = Place::of(shell, &home, &variable)?;
    let file = place.file().display().to_string();
    output::note(&match place.write()? {
        Written::New => format!("{file}: each new {shell} completes `tasklane` now"),
        Written::Already => format!("{file}: the completions were installed already"),
    });
    Ok(())
}

/// The shell whose program has this path.
fn of_path(path: &str) -> anyhow::Result<Shell> {
    match Shell::from_shell_path(path) {
        Some(shell) => Ok(shell),
        None => bail!("which shell? SHELL is '{path}'; name one: tasklane completions bash --install"),
    }
}

/// Where a shell finds the completions.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// A file that everything else is in, too: ours are the lines between two marks.
    Part { file: PathBuf, lines: String },
    /// A file of our own.
    Whole { file: PathBuf, text: String },
}

#[derive(Debug, PartialEq, Eq)]
enum Written {
    New,
    Already,
}

impl Place {
    fn of(shell: Shell, home: &Path, variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let folder = |name: &str, default: PathBuf| variable(name).map_or(default, PathBuf::from);
        Ok(match shell {
            Shell::Bash => Self::Part { file: home.join(".bashrc"), lines: load("bash", "") },
            Shell::Zsh => Self::Part {
                file: folder("ZDOTDIR", home.to_owned()).join(".zshrc"),
                lines: load("zsh", "    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }\n"),
            },
            Shell::Fish => Self::Whole {
                file: folder("XDG_CONFIG_HOME", home.join(".config")).join("fish/completions/tasklane.fish"),
                text: "command -q tasklane; and tasklane completions fish | source\n".to_owned(),
            },
            other => bail!(
                "--install knows bash, zsh and fish; have {other} run what `tasklane completions {other}` prints when it starts"
            ),
        })
    }

    fn file(&self) -> &Path {
        match self {
            Self::Part { file, .. } | Self::Whole { file, .. } => file,
        }
    }

    fn write(&self) -> anyhow::Result<Written> {
        let file = self.file();
        let before = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", file.display())),
        };
        let after = match self {
            Self::Part { lines, .. } => with_part(&before, lines),
            Self::Whole { text, .. } => text.clone(),
        };
        if before == after {
            return Ok(Written::Already);
        }
        let failed = || format!("cannot write {}", file.display());
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        // Written in its place: it may be a link into a repository of such files.
        fs::write(file, after).with_context(failed)?;
        Ok(Written::New)
    }
}

/// Lines for bash or zsh. They do nothing where the program is gone.
fn load(shell: &str, first: &str) -> String {
    format!(
        "{BEGIN}\nif command -v tasklane >/dev/null; then\n{first}    eval \"$(tasklane completions {shell})\"\nfi\n{END}\n"
    )
}

/// The text with our lines: in the place of older ones, or at the end.
fn with_part(text: &str, lines: &str) -> String {
    let older = text.find(BEGIN).and_then(|from| {
        let end = from + text[from..].find(END)? + END.len();
        Some((from, end + usize::from(text[end..].starts_with('\n'))))
    });
    match older {
        Some((from, end)) => format!("{}{lines}{}", &text[..from], &text[end..]),
        None if text.is_empty() => lines.to_owned(),
        None => format!("{text}{}\n{lines}", if text.ends_with('\n') { "" } else { "\n" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_the_file_stays_and_older_lines_are_replaced() {
        let lines = load("bash", "");
        assert_eq!(with_part("", &lines), lines);
        for text in ["alias l=ls", "alias l=ls\n"] {
            let once = with_part(text, &lines);
            assert_eq!(once, format!("alias l=ls\n\n{lines}"));
            assert_eq!(with_part(&once, &lines), once, "twice is once");
        }
        let older = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(with_part(&older, &lines), format!("a\n{lines}b\n"));
        // A mark without its end is not ours to remove.
        assert!(with_part(&format!("{BEGIN}\nrest\n"), &lines).starts_with(&format!("{BEGIN}\nrest\n\n{BEGIN}")));
    }

    #[test]
    fn each_shell_has_its_file_and_a_second_time_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let file = |shell, variable: &dyn Fn(&str) -> Option<String>| {
            let place = Place::of(shell, home.path(), variable).unwrap();
            assert_eq!((place.write().unwrap(), place.write().unwrap()), (Written::New, Written::Already));
            place.file().strip_prefix(home.path()).unwrap().display().to_string()
        };
        assert_eq!(file(Shell::Bash, &|_| None), ".bashrc");
        assert_eq!(file(Shell::Zsh, &|_| None), ".zshrc");
        assert_eq!(file(Shell::Fish, &|_| None), ".config/fish/completions/tasklane.fish");
        let elsewhere = home.path().join("z").display().to_string();
        assert_eq!(file(Shell::Zsh, &|name| (name == "ZDOTDIR").then(|| elsewhere.clone())), "z/.zshrc");
        let refused = Place::of(Shell::Elvish, home.path(), &|_| None).unwrap_err().to_string();
        assert!(refused.contains("tasklane completions elvish"), "{refused}");
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("dotfiles"), "x=1\n").unwrap();
        std::os::unix::fs::symlink("dotfiles", home.path().join(".bashrc")).unwrap();
        Place::of(Shell::Bash, home.path(), &|_| None).unwrap().write().unwrap();
        assert!(fs::read_link(home.path().join(".bashrc")).is_ok());
        assert!(fs::read_to_string(home.path().join("dotfiles")).unwrap().starts_with("x=1\n\n# >>>"));
    }

    #[test]
    fn the_shell_is_known_from_the_environment() {
        assert_eq!(of_path("/usr/bin/zsh").unwrap(), Shell::Zsh);
        assert!(of_path("/bin/dash").unwrap_err().to_string().contains("SHELL is '/bin/dash'"));
    }
}
