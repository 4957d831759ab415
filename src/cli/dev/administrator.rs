//! The administrator's credentials, in a file that the other commands find.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use tasklane_client::StoredCredentials;
use tasklane_local::{administrator, machine::Machine};
use tasklane_model::Secret;

use crate::issued;

/// Ensures that the file contains valid credentials of an administrator at `host`. Existing ones are kept while they
/// are valid.
pub(super) async fn ensure(path: &Path, host: &str, machine: &Machine) -> anyhow::Result<()> {
    let failed = || format!("the credentials file {}", path.display());
    let mut credentials = match fs::read_to_string(path) {
        Ok(text) => StoredCredentials::parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => StoredCredentials::default(),
        Err(error) => return Err(error).with_context(failed),
    };
    let token = credentials.access_token.as_ref().filter(|_| credentials.is_complete()).map(Secret::expose);
    if let Some(new) = administrator::ensure(token, &machine.store, &machine.ports, &*machine.secrets).await? {
        credentials = issued::stored(host, &new);
    }
    credentials.host = Some(host.to_owned());
    credentials.save(path).with_context(failed)
}
