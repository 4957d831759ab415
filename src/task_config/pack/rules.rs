//! Which files of a code folder stay on this machine.

use std::{fs, io, path::Path};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::{PackError, unreadable};

/// Never packed, whatever an ignore file says: version control, this tool's own data (including credentials), files of
/// the macOS Finder, and the ignore file itself.
pub const NEVER_PACKED: [&str; 4] = [".git", ".tasklane", ".DS_Store", IGNORE_FILE];

/// The file in a code folder whose patterns, in the syntax of `.gitignore`, are left out of the package.
pub const IGNORE_FILE: &str = ".tasklaneignore";

/// Left out unless the ignore file takes them in again (`!.env.production`): settings and credentials of the developer,
/// private keys, virtual environments. Certificates, which packages do need, are not among them.
pub const LEFT_OUT: [&str; 17] = [
    ".env",
    ".env.*",
    ".envrc",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".netrc",
    ".venv",
    "id_rsa",
    "id_ecdsa",
    "id_ed25519",
    "*.key",
    "*.p12",
    "*.pfx",
    "*private*.pem",
    "*[-_]key.pem",
    "key.pem",
];

/// The largest ignore file.
const LONGEST: u64 = 64 * 1024;

/// The rules of one code folder.
pub(super) struct Rules(Gitignore);

/// What becomes of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Packed,
    /// The ignore file names it, or it is in [`NEVER_PACKED`]: nobody expects it in the package.
    Ignored,
    /// It is in [`LEFT_OUT`]: the user should learn about it.
    LeftOut,
}

impl Rules {
    /// Reads the ignore file of this folder, if it has one.
    pub(super) fn of(dir: &Path) -> Result<Self, PackError> {
        let mut rules = GitignoreBuilder::new("");
        for pattern in LEFT_OUT {
            add(&mut rules, None, pattern)?;
        }
        let file = dir.join(IGNORE_FILE);
        let text = match fs::metadata(&file) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => String::new(),
            Ok(found) if found.len() > LONGEST => {
                let cause = io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 KB");
                return Err(PackError::Unreadable { path: file, cause });
            }
            Ok(_) => fs::read_to_string(&file).map_err(unreadable(&file))?,
            Err(cause) => return Err(PackError::Unreadable { path: file, cause }),
        };
        for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
            add(&mut rules, Some(&file), line)?;
        }
        rules.build().map(Self).map_err(|error| PackError::IgnoreFile { file, why: error.to_string() })
    }

    /// What becomes of the file or folder at this path below the code folder. The folders above it are packed.
    pub(super) fn verdict(&self, relative: &Path, is_dir: bool) -> Verdict {
        if relative.file_name().is_some_and(|name| NEVER_PACKED.iter().any(|never| name == *never)) {
            return Verdict::Ignored;
        }
        match self.0.matched(relative, is_dir) {
            Match::None | Match::Whitelist(_) => Verdict::Packed,
            Match::Ignore(glob) if glob.from().is_some() => Verdict::Ignored,
            Match::Ignore(_) => Verdict::LeftOut,
        }
    }
}

fn add(rules: &mut GitignoreBuilder, file: Option<&Path>, pattern: &str) -> Result<(), PackError> {
    match rules.add_line(file.map(Path::to_owned), pattern) {
        Ok(_) => Ok(()),
        Err(error) => {
            let file = file.unwrap_or(Path::new(IGNORE_FILE)).to_owned();
            Err(PackError::IgnoreFile { file, why: error.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_and_certificates_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let rules = Rules::of(dir.path()).unwrap();
        for name in
            [".env", "lib/.env.local", ".npmrc", "certs/server.key", "my-private-1.pem", "tls-key.pem", "id_rsa"]
        {
            assert_eq!(rules.verdict(Path::new(name), false), Verdict::LeftOut, "{name}");
        }
        for name in ["index.js", "certifi/cacert.pem", "environment.js", "keyboard.js", "monkey.js", "keys/public.pem"]
        {
            assert_eq!(rules.verdict(Path::new(name), false), Verdict::Packed, "{name}");
        }
        assert_eq!(rules.verdict(Path::new(".venv"), true), Verdict::LeftOut);
        assert_eq!(rules.verdict(Path::new(".git"), true), Verdict::Ignored);
    }

    #[test]
    fn an_ignore_file_adds_patterns_and_takes_files_in_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(IGNORE_FILE), "# tests\n*.test.js\n/docs/\n!.env.production\n!.git\n").unwrap();
        let rules = Rules::of(dir.path()).unwrap();
        for (name, is_dir, verdict) in [
            ("a.test.js", false, Verdict::Ignored),
            ("lib/b.test.js", false, Verdict::Ignored),
            ("docs", true, Verdict::Ignored),
            ("lib/docs", true, Verdict::Packed),
            (".env.production", false, Verdict::Packed),
            (".env", false, Verdict::LeftOut),
            (".git", true, Verdict::Ignored),
            (IGNORE_FILE, false, Verdict::Ignored),
        ] {
            assert_eq!(rules.verdict(Path::new(name), is_dir), verdict, "{name}");
        }
        fs::write(dir.path().join(IGNORE_FILE), "a{b\n").unwrap();
        let error = Rules::of(dir.path()).err().unwrap().to_string();
        assert!(error.contains(IGNORE_FILE) && error.contains("a{b"), "{error}");
    }
}
