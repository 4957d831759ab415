//! Documents that are followed to the letter: what they tell readers to type works, and prints what they show.
//!
//! - A `console` block holds commands after `$`, each with what it prints. Messages on stderr may be left out. `…` is any text
//!   within a line; a line that is nothing else is any lines of stdout, at least one.
//! - `tasklane dev` starts the service, which goes on in a terminal of its own. The lines that are shown below it are among
//!   those that it prints there, in any order, because it syncs several Functions at once. A later `text` block holds further
//!   ones, in their order; the walk waits for them.
//! - A block after a line that ends with a file's name in backquotes and a colon is what a reader puts into that file.
//! - Everything else, `sh` blocks among it, is left out.
//!
//! The service has a free port. Documents call it by its usual address.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{
    command,
    dev::{Dev, Starting},
    project::repository,
    wait,
};

/// Where documents say that the service is.
const USUAL_ADDRESS: &str = "http://localhost:4000";
/// How README starts the program before it is installed.
const UNINSTALLED: &str = "cargo run -- ";
/// Commands that change the shell itself, so that they are repeated before each later one.
const OF_THE_SHELL: [&str; 2] = [". ", "export "];
/// What gives the program its name before it is installed.
const NAMING: &str = "alias tasklane=";

/// What a document tells its reader to do.
#[derive(Debug, PartialEq)]
enum Step {
    /// To type this, which prints that.
    Type { command: String, shown: Vec<String> },
    /// To put this into a file.
    Write { file: PathBuf, content: String },
    /// To see these lines where the service runs.
    See(Vec<String>),
}

/// In which order the service says what is shown.
#[derive(PartialEq)]
enum Order {
    AsShown,
    Any,
}

/// A reader of a document, with a home and a folder to work in.
pub struct Reader {
    home: TempDir,
    folder: PathBuf,
    shell: Vec<String>,
    service: Option<Service>,
}

/// The service that the reader has started.
struct Service {
    dev: Dev,
    /// For each line on its stderr, whether the document has shown it.
    seen: Vec<bool>,
}

impl Reader {
    /// With an empty folder, and this repository as `~/tasklane`.
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("tour");
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(repository(), home.path().join("tasklane")).unwrap();
        Self { home, folder, shell: Vec::new(), service: None }
    }

    /// The folder to work in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Does everything in this document of the repository. Panics where it does not do what it says.
    pub fn follow(mut self, document: &str) {
        let text = fs::read_to_string(repository().join(document)).unwrap_or_else(|e| panic!("{document}: {e}"));
        let steps = steps(&text);
        assert!(steps.iter().any(|step| matches!(step, Step::Type { .. })), "{document} shows no command");
        for step in steps {
            eprintln!("{document}: {step:?}");
            match step {
                Step::Type { command, shown } => self.types(&command, &shown),
                Step::Write { file, content } => self.writes(&file, &content),
                Step::See(lines) if self.service.is_some() => self.sees(&lines, Order::AsShown),
                Step::See(_) => {}
            }
        }
        if let Some(service) = self.service {
            service.dev.stop();
        }
    }

    fn types(&mut self, command: &str, shown: &[String]) {
        let command =
            command.strip_prefix(UNINSTALLED).map_or_else(|| command.to_owned(), |rest| format!("tasklane {rest}"));
        if let Some(arguments) = command.strip_prefix("tasklane dev ") {
            self.starts(arguments);
            let lines: Vec<_> =
                shown.iter().filter(|line| !matches!(line.as_str(), USUAL_ADDRESS | "…")).cloned().collect();
            return self.sees(&lines, Order::Any);
        }
        if command.starts_with(NAMING) {
            return;
        }
        let ended = self.in_a_shell(&command);
        let [stdout, stderr] =
            [&ended.stdout, &ended.stderr].map(|text| text.lines().map(str::trim_end).collect::<Vec<_>>());
        assert!(
            are_like(&stdout, &stderr, shown),
            "$ {command}\n--- shown\n{}\n--- stdout\n{}\n--- stderr\n{}",
            shown.join("\n"),
            ended.stdout,
            ended.stderr
        );
        if OF_THE_SHELL.iter().any(|start| command.starts_with(start)) {
            self.shell.push(command);
        }
    }

    fn starts(&mut self, arguments: &str) {
        assert!(self.service.is_none(), "the service runs already");
        let mut command = command::tasklane(self.home.path());
        command.current_dir(&self.folder).args(["dev", "--listen", "127.0.0.1:0"]);
        // The examples are in the repository; everything else is in the reader's folder.
        let of_repository = |word: &str| word.split('/').next() == Some("examples");
        command.args(
            arguments
                .split(' ')
                .map(|word| if of_repository(word) { repository().join(word).into_os_string() } else { word.into() }),
        );
        self.service = Some(Service { dev: Starting::spawn(&self.folder, command).ready(), seen: Vec::new() });
    }

    fn in_a_shell(&self, line: &str) -> command::Ended {
        let program = Path::new(env!("CARGO_BIN_EXE_tasklane"));
        let ours = program.parent().expect("it is in a folder").to_owned();
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(ours).chain(std::env::split_paths(&others))).unwrap();
        // The service has another address than documents say.
        let address = self.service.as_ref().map_or(USUAL_ADDRESS, |service| service.dev.base_url());
        let lines: Vec<_> = self.shell.iter().map(String::as_str).chain([line]).collect();
        let mut shell = Command::new("sh");
        shell.args(["-c", &lines.join("\n").replace(USUAL_ADDRESS, address)]).current_dir(&self.folder);
        // Without this machine's own credentials and settings, and without a terminal, which would have a width.
        shell.env_clear().env("HOME", self.home.path()).env("PATH", path);
        let mut ended = command::Ended::of(&mut shell);
        for text in [&mut ended.stdout, &mut ended.stderr] {
            *text = text.replace(address, USUAL_ADDRESS);
        }
        ended
    }

    fn writes(&self, file: &Path, content: &str) {
        let file = self.folder.join(file);
        fs::create_dir_all(file.parent().expect("it is in a folder")).unwrap();
        fs::write(file, content).unwrap();
    }

    fn sees(&mut self, lines: &[String], order: Order) {
        let Service { dev, seen } = self.service.as_mut().expect("the service was started");
        // Readers of README and of the examples are in the repository.
        let repository = format!("{}/", repository().display());
        let mut first = 0;
        for line in lines {
            let at = wait::until(&format!("the service says '{line}'"), || {
                let said = dev.stderr().replace(dev.base_url(), USUAL_ADDRESS).replace(&repository, "");
                let said: Vec<_> = said.lines().map(str::trim_end).collect();
                seen.resize(said.len(), false);
                (first..said.len()).find(|&at| !seen[at] && is_like(said[at], line))
            });
            seen[at] = true;
            if order == Order::AsShown {
                first = at + 1;
            }
        }
    }
}

/// The steps of a document, in order.
fn steps(document: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = "";
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            if !line.trim().is_empty() {
                before = line.trim_end();
            }
            continue;
        };
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").map(str::trim_end).collect();
        match (language, file_in(before)) {
            ("console", _) => steps.extend(commands(&block)),
            (_, Some(file)) => steps.push(Step::Write { file: file.into(), content: block.join("\n") + "\n" }),
            ("text", None) => steps.push(Step::See(block.into_iter().map(str::to_owned).collect())),
            (_, None) => {}
        }
        before = "";
    }
    steps
}

/// The file that a line before a block names.
fn file_in(line: &str) -> Option<&str> {
    line.strip_suffix("`:")?.rsplit('`').next()
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut steps = Vec::<(String, Vec<String>)>::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), Vec::new())),
            (None, Some((_, shown))) => shown.push((*line).to_owned()),
            (None, None) => panic!("'{line}' comes before a command"),
        }
    }
    steps.into_iter().map(|(command, shown)| Step::Type { command, shown }).collect()
}

/// Whether what was printed is what is shown: every line of stdout, and messages among them. A line of `…` alone is any
/// lines of stdout, at least one.
fn are_like(stdout: &[&str], stderr: &[&str], shown: &[String]) -> bool {
    let Some((like, shown)) = shown.split_first() else { return stdout.is_empty() };
    if like == "…" {
        return (1..=stdout.len()).any(|lines| are_like(&stdout[lines..], stderr, shown));
    }
    let is_next = stdout.split_first().is_some_and(|(line, rest)| is_like(line, like) && are_like(rest, stderr, shown));
    let message = stderr.iter().position(|line| is_like(line, like));
    is_next || message.is_some_and(|at| are_like(stdout, &stderr[at + 1..], shown))
}

/// Whether a line is this one, where `…` is any text.
fn is_like(line: &str, like: &str) -> bool {
    let mut parts = like.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn three_dots_are_any_text_within_a_line() {
    for (line, like, fits) in [
        ("1 of 2 in a", "1 of … in …", true),
        ("1 of 2 in a", "… in a", true),
        ("1 of 2 in a", "1 of 2 in a", true),
        ("1 of 2 in a", "1 of 2", false),
        ("1 of 2 in a", "2 of … in …", false),
        ("1 of 2 in a", "… in b", false),
        ("", "…", true),
    ] {
        assert_eq!(is_like(line, like), fits, "{line} / {like}");
    }
}

#[test]
fn what_is_shown_is_all_of_stdout_and_some_of_stderr() {
    for (stdout, stderr, shown, fits) in [
        (&["a", "b", "c"][..], &["x", "y"][..], &["a", "b", "c"][..], true),
        (&["a", "b", "c"], &["x", "y"], &["a", "…"], true),
        (&["a", "b", "c"], &["x", "y"], &["…", "c"], true),
        (&["a", "b", "c"], &["x", "y"], &["x", "a", "…", "c"], true),
        (&["a", "b", "c"], &["x", "y"], &["a", "b", "y", "c"], true),
        (&["a", "b", "c"], &["x", "y"], &["a", "y", "b", "x", "c"], false),
        (&["a", "b", "c"], &["x", "y"], &["a", "b", "c", "…"], false),
        (&["a", "b", "c"], &["x", "y"], &["a", "b"], false),
        (&["a", "b", "c"], &["x", "y"], &["…", "b"], false),
        (&["a", "b", "c"], &["x", "y"], &["a", "b", "c", "z"], false),
        (&[], &["x", "y"], &["y"], true),
        (&[], &["x"], &["…"], false),
        (&[], &[], &[], true),
    ] {
        let shown: Vec<_> = shown.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(are_like(stdout, stderr, &shown), fits, "{stdout:?} {stderr:?} / {shown:?}");
    }
}

#[test]
fn a_document_has_commands_files_and_what_the_service_says() {
    let document = "Type:\n\n```console\n$ a\n1\n\n2\n$ b\n```\n\nPut this into `x/y.js`:\n\n```js\nz();\n```\n\nIt says\n\n\
                    ```text\ndone\n```\n\nNothing to do:\n\n```sh\nc\n```\n\n```json\n{}\n```\n";
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        steps(document),
        [
            Step::Type { command: "a".to_owned(), shown: owned(&["1", "", "2"]) },
            Step::Type { command: "b".to_owned(), shown: Vec::new() },
            Step::Write { file: "x/y.js".into(), content: "z();\n".to_owned() },
            Step::See(owned(&["done"])),
        ]
    );
}
