//! Finds the service and the credential to use.

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use tasklane_client::{BaseUrl, Client, Credential, StoredCredentials};
use tasklane_model::Secret;

use super::{output, table::plain};

// No doc comment: clap would show it instead of the subcommand's own.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectArgs {
    /// The service, e.g. http://localhost:4000 or example.com (which means https://api.example.com)
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// The service's URL, used unchanged, e.g. that of an API Gateway stage
    #[arg(long, value_name = "URL", conflicts_with = "host")]
    url: Option<String>,

    /// A file with API_HOST and credentials [default: the environment, .tasklane/credentials here or in a folder above, ~/.tasklane/credentials or ~/.exh/credentials]
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// A bearer token; use API_ACCESS_TOKEN in the environment to keep it out of the process list
    #[arg(long, value_name = "TOKEN")]
    access_token: Option<String>,
}

/// The surroundings that are searched, besides the flags.
struct Surroundings<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    working_dir: &'a Path,
    home: Option<&'a Path>,
    /// Asks the person at the terminal; `false` if there is none.
    confirm: &'a dyn Fn(&str) -> bool,
    /// Tells the person at the terminal.
    note: &'a dyn Fn(&str),
}

impl ConnectArgs {
    /// A client of the service that the flags, the environment or a file name.
    ///
    /// # Errors
    /// When there are no credentials; the message lists the places that were searched.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        self.client_with(&output::confirm, &output::note)
    }

    /// The same without a word to the person at the terminal, who has not run a command yet. A service that only they could
    /// agree to is not found.
    pub(super) fn client_in_silence(&self) -> anyhow::Result<Client> {
        self.client_with(&|_| false, &|_| ())
    }

    fn client_with(&self, confirm: &dyn Fn(&str) -> bool, note: &dyn Fn(&str)) -> anyhow::Result<Client> {
        let home = std::env::home_dir();
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let surroundings = Surroundings {
            variable: &|name| std::env::var(name).ok(),
            working_dir: &here,
            home: home.as_deref(),
            confirm,
            note,
        };
        let (base, credential) = self.search(&surroundings)?;
        Ok(Client::new(base, credential)?)
    }

    /// Finds the service and the credential.
    ///
    /// The first place with a credential is used, and a credential is sent only to the host that it was found with. If the
    /// command line or the environment names a host, places with another host are skipped; only a file named on the
    /// command line may be combined with any host. A token from the command line is sent to the host of the command line,
    /// of such a file, of the environment or of the home folder, but never to one that the working directory names,
    /// because that may be somebody else's repository.
    fn search(&self, around: &Surroundings<'_>) -> anyhow::Result<(BaseUrl, Credential)> {
        let environment = StoredCredentials::from_lookup(around.variable);
        let flag = self.named_base()?;
        let variable = environment.host.as_deref().map(BaseUrl::from_host).transpose()?;
        let token = self.access_token.clone().map(|token| Credential::Bearer(Secret::new(token)));
        let (mut looked_at, mut passed_over) = (Vec::new(), Vec::new());

        for place in self.places(around) {
            let name = place.to_string();
            let stored = match &place {
                Place::Named(path) => Some(read(path, around.note).with_context(|| format!("{name} cannot be read"))?),
                Place::Environment => Some(environment.clone()),
                Place::WorkingDir(_) if token.is_some() => None,
                Place::WorkingDir(path) | Place::Home(path) => {
                    read_if_there(path, around.note).with_context(|| format!("{name} cannot be read"))?
                }
            };
            looked_at.push(name.clone());
            let Some(stored) = stored else { continue };
            let own = stored.host.as_deref().map(BaseUrl::from_host).transpose();
            let own = own.with_context(|| format!("API_HOST in {name}"))?;

            if let Some(token) = &token {
                match flag.clone().or(own) {
                    Some(base) => return Ok((base, token.clone())),
                    None => continue,
                }
            }
            let found = stored.credential().with_context(|| format!("the credentials in {name} are incomplete"))?;
            let Some(credential) = found else {
                if matches!(place, Place::Named(_)) {
                    bail!("{name} holds no credentials: expected API_ACCESS_TOKEN, or the four API_OAUTH_… values");
                }
                continue;
            };
            let is_named = matches!(place, Place::Named(_));
            // A file named on the command line comes before the environment.
            let wanted = flag.clone().or_else(|| variable.clone().filter(|_| !is_named || own.is_none()));
            match (wanted, own) {
                (None, None) => bail!("the credentials in {name} have no API_HOST; use --host"),
                (Some(base), Some(own)) if !is_named && !base.is_same(&own) => passed_over.push((name, own)),
                (Some(base), _) => return Ok((base, credential)),
                (None, Some(own)) => {
                    if matches!(place, Place::WorkingDir(_)) && !own.is_local() {
                        confirm_host(&own, &name, stored.host.as_deref().unwrap_or_default(), around)?;
                    }
                    return Ok((own, credential));
                }
            }
        }
        if token.is_some() {
            bail!("which service? Set --host or API_HOST");
        }
        if let Some((name, own)) = passed_over.first() {
            bail!(
                "the credentials in {name} are for {own}, and credentials are sent only to the host that they were found \
                 with. Set --access-token or API_ACCESS_TOKEN for this service, or name a file with --credentials"
            );
        }
        bail!(
            "no credentials found in {}. Start a service with `tasklane dev`, or name a file with --credentials",
            looked_at.join(", ")
        )
    }

    /// The service that the command line names.
    fn named_base(&self) -> anyhow::Result<Option<BaseUrl>> {
        Ok(match (&self.url, &self.host) {
            (Some(url), _) => Some(BaseUrl::from_url(url)?),
            (None, Some(host)) => Some(BaseUrl::from_host(host)?),
            (None, None) => None,
        })
    }

    fn places(&self, around: &Surroundings<'_>) -> Vec<Place> {
        let mut places = Vec::new();
        if let Some(path) = &self.credentials {
            places.push(Place::Named(path.clone()));
        }
        places.push(Place::Environment);
        places.push(Place::WorkingDir(nearest_file(around)));
        if let Some(home) = around.home {
            places.push(Place::Home(home.join(".tasklane").join("credentials")));
            places.push(Place::Home(home.join(".exh").join("credentials")));
        }
        places
    }
}

/// The credentials of a service of this project: in the working directory or in the nearest folder above it that has some,
/// but not in the home folder, which is a place of its own, or above it.
fn nearest_file(around: &Surroundings<'_>) -> PathBuf {
    let in_folder = |folder: &Path| folder.join(".tasklane").join("credentials");
    let is_of_project = |folder: &&Path| around.home.is_none_or(|home| !home.starts_with(folder));
    let above = around.working_dir.ancestors().skip(1).take_while(is_of_project).map(in_folder);
    let here = in_folder(around.working_dir);
    std::iter::once(here.clone()).chain(above).find(|file| file.exists()).unwrap_or(here)
}

enum Place {
    /// A file named on the command line, which must exist.
    Named(PathBuf),
    Environment,
    /// An optional file in the working directory or above it, which a stranger may have made.
    WorkingDir(PathBuf),
    /// An optional file in the home folder.
    Home(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(path) | Self::WorkingDir(path) | Self::Home(path) => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("the environment (API_ACCESS_TOKEN, API_OAUTH_…)"),
        }
    }
}

/// A host that only the working directory names is contacted only if the person at the terminal agrees.
fn confirm_host(base: &BaseUrl, place: &str, host: &str, around: &Surroundings<'_>) -> anyhow::Result<()> {
    let question = format!(
        "{place} names the service {base}. It is not on this machine, and the author of \
         this directory chose it."
    );
    if (around.confirm)(&format!("{question} Connect?")) {
        return Ok(());
    }
    bail!("{question} If you trust it, use --host {}", plain(host))
}

fn read(path: &Path, note: &dyn Fn(&str)) -> std::io::Result<StoredCredentials> {
    let mut file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o022 != 0 {
        // Anyone who can change the file can have a credential sent to their own host.
        let why = format!("others can write to it (its mode is {:o}); run: chmod 600 {}", mode & 0o777, path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, why));
    }
    if mode & 0o044 != 0 {
        note(&format!("note: others can read {0}; run: chmod 600 {0}", path.display()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(StoredCredentials::parse(&text))
}

fn read_if_there(path: &Path, note: &dyn Fn(&str)) -> std::io::Result<Option<StoredCredentials>> {
    match read(path, note) {
        Ok(stored) => Ok(Some(stored)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
