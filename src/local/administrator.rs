//! The administrator of one machine: a credential with every permission, in a file that clients find.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{
    auth::{self, CredentialSource, SecretBox},
    model::{Identity, Permissions, UserId},
    ports::{PortError, Ports},
    store::{Store, StoreError},
};

/// Who the administrator is.
const USER: &str = "administrator";

/// Why there is no administrator.
#[derive(Debug, thiserror::Error)]
pub enum AdministratorError {
    /// The file cannot be read or written.
    #[error("the credentials file {path}: {cause}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        cause: io::Error,
    },
    /// The credential cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The credential cannot be made or looked up.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Makes sure that `path` holds the credentials of an administrator at `host`, and that the store knows them. What is
/// there is kept while it still counts, so that clients which took it along stay logged in.
pub async fn ensure(
    path: &Path,
    host: &str,
    store: &Store,
    ports: &Ports,
    secrets: &dyn SecretBox,
) -> Result<(), AdministratorError> {
    let failed = |cause| AdministratorError::File { path: path.to_owned(), cause };
    let mut lines = match fs::read_to_string(path) {
        Ok(text) => read(&text),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Err(cause) => return Err(failed(cause)),
    };
    if !still_counts(&lines, store, ports).await? {
        let identity = Identity {
            user_id: UserId::parse(USER).map_err(|cause| PortError::new("name the administrator", cause))?,
            application_id: None,
            permissions: Permissions::all(),
        };
        let (new, stored) = auth::issue(identity, None, ports.clock.now(), &ports.ids, secrets).await?;
        store.credentials.put(&stored).await?;
        lines = BTreeMap::from([
            ("API_OAUTH_CONSUMER_KEY".to_owned(), new.consumer_key.clone()),
            ("API_OAUTH_CONSUMER_SECRET".to_owned(), new.consumer_secret.expose().to_owned()),
            ("API_OAUTH_TOKEN".to_owned(), new.token.clone()),
            ("API_OAUTH_TOKEN_SECRET".to_owned(), new.token_secret.expose().to_owned()),
            ("API_ACCESS_TOKEN".to_owned(), new.access_token.expose().to_owned()),
        ]);
    }
    lines.insert("API_HOST".to_owned(), host.to_owned());
    write(path, &lines).map_err(failed)
}

/// Whether the file's access token is an administrator's, with every permission that this version knows.
async fn still_counts(
    lines: &BTreeMap<String, String>,
    store: &Store,
    ports: &Ports,
) -> Result<bool, AdministratorError> {
    let complete = ORDER.iter().all(|name| *name == "API_HOST" || lines.contains_key(*name));
    let Some(hash) = lines.get("API_ACCESS_TOKEN").and_then(|token| auth::access_token_hash(token)) else {
        return Ok(false);
    };
    let found = store.credentials.by_access_token_hash(&hash).await?;
    Ok(complete
        && found.is_some_and(|stored| {
            stored.identity.permissions == Permissions::all() && !stored.has_expired(ports.clock.now())
        }))
}

/// The lines of the file, in their order.
const ORDER: [&str; 6] = [
    "API_HOST",
    "API_OAUTH_CONSUMER_KEY",
    "API_OAUTH_CONSUMER_SECRET",
    "API_OAUTH_TOKEN",
    "API_OAUTH_TOKEN_SECRET",
    "API_ACCESS_TOKEN",
];

fn read(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()))
        .collect()
}

/// Replaces the file in one step, readable by its owner only.
fn write(path: &Path, lines: &BTreeMap<String, String>) -> io::Result<()> {
    let text: String =
        ORDER.iter().filter_map(|name| lines.get(*name).map(|value| format!("{name}={value}\n"))).collect();
    let new = path.with_extension("new");
    // Whatever a killed process left there may have other permissions.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
