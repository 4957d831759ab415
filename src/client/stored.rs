//! Credentials files: `NAME=value` lines, the same names as in the environment.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use tasklane_model::Secret;

use super::{Credential, OAuth1Keys};

/// The content of a credentials file or of the environment. The official SDK and CLI read the same lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCredentials {
    /// `API_HOST`.
    pub host: Option<String>,
    /// `API_OAUTH_CONSUMER_KEY`.
    pub consumer_key: Option<String>,
    /// `API_OAUTH_CONSUMER_SECRET`.
    pub consumer_secret: Option<Secret>,
    /// `API_OAUTH_TOKEN`.
    pub token: Option<String>,
    /// `API_OAUTH_TOKEN_SECRET`.
    pub token_secret: Option<Secret>,
    /// `API_ACCESS_TOKEN`.
    pub access_token: Option<Secret>,
}

/// Some of OAuth's values are missing, but not all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {} missing", missing.join(", "), if missing.len() == 1 { "is" } else { "are" })]
pub struct IncompleteCredentials {
    /// The names of the missing values.
    pub missing: Vec<&'static str>,
}

const HOST: &str = "API_HOST";
const CONSUMER_KEY: &str = "API_OAUTH_CONSUMER_KEY";
const CONSUMER_SECRET: &str = "API_OAUTH_CONSUMER_SECRET";
const TOKEN: &str = "API_OAUTH_TOKEN";
const TOKEN_SECRET: &str = "API_OAUTH_TOKEN_SECRET";
const ACCESS_TOKEN: &str = "API_ACCESS_TOKEN";

/// Replaces a file by this content in one step, readable by its owner only.
///
/// # Errors
/// Those of the file system; then the file is as it was.
pub fn replace_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // A file that a killed process left there may have other permissions.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

impl StoredCredentials {
    /// Reads the content of a file. Blank lines, `#` comments and unknown names are ignored.
    pub fn parse(text: &str) -> Self {
        let pairs: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        // The last line with a name wins, as in the official SDK.
        Self::from_lookup(|wanted| {
            pairs.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        })
    }

    /// Looks up each name; an empty value is treated as absent.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name| lookup(name).filter(|value| !value.is_empty());
        let secret = |name| text(name).map(Secret::new);
        Self {
            host: text(HOST),
            consumer_key: text(CONSUMER_KEY),
            consumer_secret: secret(CONSUMER_SECRET),
            token: text(TOKEN),
            token_secret: secret(TOKEN_SECRET),
            access_token: secret(ACCESS_TOKEN),
        }
    }

    /// Replaces a file by these credentials in one step, readable by its owner only.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        replace_private_file(path, self.to_lines().as_bytes())
    }

    /// Whether every value of a credential is there: an access token and all of OAuth's.
    pub fn is_complete(&self) -> bool {
        let Self { host: _, consumer_key, consumer_secret, token, token_secret, access_token } = self;
        let secrets = [consumer_secret, token_secret, access_token];
        consumer_key.is_some() && token.is_some() && secrets.iter().all(|secret| secret.is_some())
    }

    /// The content of the file, including secrets: for a file that only its owner can read, or for the person who just
    /// created them.
    pub fn to_lines(&self) -> String {
        let mut lines = String::new();
        let mut line = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                // Writing to a `String` cannot fail.
                let _ = fmt::Write::write_fmt(&mut lines, format_args!("{name}={value}\n"));
            }
        };
        line(HOST, self.host.as_deref());
        line(CONSUMER_KEY, self.consumer_key.as_deref());
        line(CONSUMER_SECRET, self.consumer_secret.as_ref().map(Secret::expose));
        line(TOKEN, self.token.as_deref());
        line(TOKEN_SECRET, self.token_secret.as_ref().map(Secret::expose));
        line(ACCESS_TOKEN, self.access_token.as_ref().map(Secret::expose));
        lines
    }

    /// The credential, if there is one. The access token comes before OAuth.
    ///
    /// # Errors
    /// When only a part of a credential is present.
    pub fn credential(&self) -> Result<Option<Credential>, IncompleteCredentials> {
        if let Some(token) = &self.access_token {
            return Ok(Some(Credential::Bearer(token.clone())));
        }
        let token = match (&self.token, &self.token_secret) {
            (Some(token), Some(secret)) => Some((token.clone(), secret.clone())),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(self.incomplete()),
        };
        match (&self.consumer_key, &self.consumer_secret) {
            (Some(key), Some(secret)) => Ok(Some(Credential::OAuth1(OAuth1Keys {
                consumer_key: key.clone(),
                consumer_secret: secret.clone(),
                token,
            }))),
            (None, None) if token.is_none() => Ok(None),
            _ => Err(self.incomplete()),
        }
    }

    fn incomplete(&self) -> IncompleteCredentials {
        let missing = [
            (CONSUMER_KEY, self.consumer_key.is_none()),
            (CONSUMER_SECRET, self.consumer_secret.is_none()),
            (TOKEN, self.token.is_none()),
            (TOKEN_SECRET, self.token_secret.is_none()),
        ];
        IncompleteCredentials { missing: missing.into_iter().filter(|(_, gone)| *gone).map(|(name, _)| name).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "API_HOST=http://localhost:4000\nAPI_OAUTH_CONSUMER_KEY=ck\nAPI_OAUTH_CONSUMER_SECRET=cs\n\
                        API_OAUTH_TOKEN=t\nAPI_OAUTH_TOKEN_SECRET=ts\nAPI_ACCESS_TOKEN=at\n";

    #[test]
    fn a_written_file_can_be_read_back() {
        let stored = StoredCredentials::parse(FILE);
        assert_eq!(stored.to_lines(), FILE);
        assert_eq!(StoredCredentials::parse(&stored.to_lines()), stored);
        let untidy = FILE.replace('\n', "\r\n").replace("API_HOST=", "# mine\r\n\r\nOTHER=x\r\n API_HOST = ");
        assert_eq!(StoredCredentials::parse(&untidy), stored);
    }

    #[test]
    fn only_the_owner_can_read_a_saved_file_even_if_it_replaces_another() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        for left in ["credentials", "credentials.new"] {
            fs::write(folder.path().join(left), "left").unwrap();
            fs::set_permissions(folder.path().join(left), fs::Permissions::from_mode(0o644)).unwrap();
        }
        StoredCredentials::parse(FILE).save(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn credentials_are_complete_even_without_a_host() {
        for line in FILE.lines() {
            let rest = StoredCredentials::parse(&FILE.replace(line, ""));
            assert_eq!(rest.is_complete(), line.starts_with("API_HOST"), "{line}");
        }
    }

    #[test]
    fn the_access_token_comes_before_oauth() {
        let mut stored = StoredCredentials::parse(FILE);
        assert_eq!(stored.credential(), Ok(Some(Credential::Bearer(Secret::new("at")))));
        stored.access_token = None;
        let Ok(Some(Credential::OAuth1(keys))) = stored.credential() else { panic!("no OAuth") };
        assert_eq!((keys.consumer_key.as_str(), keys.token.unwrap().0.as_str()), ("ck", "t"));
        assert_eq!(StoredCredentials::parse("API_HOST=x").credential(), Ok(None));
    }

    #[test]
    fn an_incomplete_credential_differs_from_none() {
        let missing = |text: &str| StoredCredentials::parse(text).credential().unwrap_err().to_string();
        assert_eq!(
            missing("API_OAUTH_CONSUMER_KEY=a\nAPI_OAUTH_TOKEN=b\nAPI_OAUTH_TOKEN_SECRET=c"),
            "API_OAUTH_CONSUMER_SECRET is missing"
        );
        assert_eq!(
            missing("API_OAUTH_TOKEN=b\nAPI_OAUTH_TOKEN_SECRET="),
            "API_OAUTH_CONSUMER_KEY, API_OAUTH_CONSUMER_SECRET, API_OAUTH_TOKEN_SECRET are missing"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let stored = StoredCredentials::parse(FILE);
        for shown in [format!("{stored:?}"), format!("{:?}", stored.credential())] {
            assert!(!shown.contains("\"cs\"") && !shown.contains("\"ts\"") && !shown.contains("\"at\""), "{shown}");
        }
    }
}
