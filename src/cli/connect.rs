//! Finds the service and the credential to use.

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

    /// A file with API_HOST and credentials [default: the environment, ./.tasklane/credentials, ~/.tasklane/credentials or ~/.exh/credentials]
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
}

impl ConnectArgs {
    /// A client of the service that the flags, the environment or a file name.
    ///
    /// # Errors
    /// When there are no credentials; the message lists the places that were searched.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let home = std::env::home_dir();
        let surroundings = Surroundings {
            variable: &|name| std::env::var(name).ok(),
            working_dir: Path::new("."),
            home: home.as_deref(),
            confirm: &output::confirm,
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
                Place::Named(path) => Some(read(path).with_context(|| format!("{name} cannot be read"))?),
                Place::Environment => Some(environment.clone()),
                Place::WorkingDir(_) if token.is_some() => None,
                Place::WorkingDir(path) | Place::Home(path) => {
                    read_if_there(path).with_context(|| format!("{name} cannot be read"))?
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
        places.push(Place::WorkingDir(around.working_dir.join(".tasklane").join("credentials")));
        if let Some(home) = around.home {
            places.push(Place::Home(home.join(".tasklane").join("credentials")));
            places.push(Place::Home(home.join(".exh").join("credentials")));
        }
        places
    }
}

enum Place {
    /// A file named on the command line, which must exist.
    Named(PathBuf),
    Environment,
    /// An optional file in the working directory, which a stranger may have made.
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
        "{place}, in the working directory, names the service {base}. It is not on this machine, and the author of \
         this directory chose it."
    );
    if (around.confirm)(&format!("{question} Connect?")) {
        return Ok(());
    }
    bail!("{question} If you trust it, use --host {}", plain(host))
}

fn read(path: &Path) -> std::io::Result<StoredCredentials> {
    let mut file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o022 != 0 {
        // Anyone who can change the file can have a credential sent to their own host.
        let why = format!("others can write to it (its mode is {:o}); run: chmod 600 {}", mode & 0o777, path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, why));
    }
    if mode & 0o044 != 0 {
        output::note(&format!("note: others can read {0}; run: chmod 600 {0}", path.display()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(StoredCredentials::parse(&text))
}

fn read_if_there(path: &Path) -> std::io::Result<Option<StoredCredentials>> {
    match read(path) {
        Ok(stored) => Ok(Some(stored)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Files under a working directory `w` and a home `h`, and variables; nobody is at the terminal.
    fn search(args: ConnectArgs, files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<String, String> {
        search_asking(args, files, variables, &|_| false)
    }

    fn search_asking(
        args: ConnectArgs,
        files: &[(&str, &str)],
        variables: &[(&str, &str)],
        confirm: &dyn Fn(&str) -> bool,
    ) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let lookup =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        let home = dir.path().join("h");
        let around = Surroundings { variable: &lookup, working_dir: &dir.path().join("w"), home: Some(&home), confirm };
        let args = ConnectArgs { credentials: args.credentials.map(|file| dir.path().join(file)), ..args };
        match args.search(&around) {
            Ok((base, Credential::Bearer(token))) => Ok(format!("{base} bearer {}", token.expose())),
            Ok((base, Credential::OAuth1(keys))) => Ok(format!("{base} oauth1 {}", keys.consumer_key)),
            Err(e) => Err(format!("{e:#}").replace(&format!("{}/", dir.path().display()), "")),
        }
    }

    const HERE: (&str, &str) = ("w/.tasklane/credentials", "API_HOST=localhost:1\nAPI_ACCESS_TOKEN=here");
    const MINE: (&str, &str) = ("h/.tasklane/credentials", "API_HOST=localhost:2\nAPI_ACCESS_TOKEN=mine");
    const EXH: (&str, &str) = (
        "h/.exh/credentials",
        "API_HOST=exh.example.com\nAPI_OAUTH_CONSUMER_KEY=exh\nAPI_OAUTH_CONSUMER_SECRET=a\nAPI_OAUTH_TOKEN=b\nAPI_OAUTH_TOKEN_SECRET=c",
    );
    const NAMED: (&str, &str) = ("named", "API_HOST=localhost:3\nAPI_ACCESS_TOKEN=named");
    const VARIABLES: &[(&str, &str)] = &[("API_HOST", "localhost:4"), ("API_ACCESS_TOKEN", "variable")];

    fn flags(host: Option<&str>, credentials: Option<&str>, access_token: Option<&str>) -> ConnectArgs {
        ConnectArgs {
            host: host.map(str::to_owned),
            url: None,
            credentials: credentials.map(PathBuf::from),
            access_token: access_token.map(str::to_owned),
        }
    }

    #[test]
    fn the_nearest_place_wins() {
        let none = || flags(None, None, None);
        let all = [HERE, MINE, EXH, NAMED];
        assert_eq!(search(flags(None, Some("named"), None), &all, VARIABLES), ok("http://localhost:3 bearer named"));
        assert_eq!(search(none(), &all, VARIABLES), ok("http://localhost:4 bearer variable"));
        assert_eq!(search(none(), &all, &[]), ok("http://localhost:1 bearer here"));
        assert_eq!(search(none(), &[MINE, EXH], &[]), ok("http://localhost:2 bearer mine"));
        assert_eq!(search(none(), &[EXH], &[]), ok("https://api.exh.example.com oauth1 exh"));
    }

    const STRANGER: (&str, &str) = ("w/.tasklane/credentials", "API_HOST=evil.example\nAPI_ACCESS_TOKEN=bait");

    fn ok(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    #[test]
    fn a_credential_is_sent_only_to_the_host_that_it_was_found_with() {
        let host = |host: &str| flags(Some(host), None, None);
        assert_eq!(search(host("127.0.0.1:1"), &[HERE, MINE], &[]), ok("http://127.0.0.1:1 bearer here"), "its own");
        assert_eq!(search(host("localhost:2"), &[HERE, MINE], VARIABLES), ok("http://localhost:2 bearer mine"));
        assert_eq!(
            search(host("exh.example.com"), &[HERE, MINE, EXH], &[]),
            ok("https://api.exh.example.com oauth1 exh")
        );
        insta::assert_snapshot!(search(host("localhost:9"), &[HERE, MINE], VARIABLES).unwrap_err(), @"the credentials in the environment (API_ACCESS_TOKEN, API_OAUTH_…) are for http://localhost:4, and credentials are sent only to the host that they were found with. Set --access-token or API_ACCESS_TOKEN for this service, or name a file with --credentials");
        // A host in the environment works like the flag.
        assert!(search(flags(None, None, None), &[HERE], &[("API_HOST", "localhost:8")]).is_err());
        assert_eq!(
            search(flags(None, None, None), &[HERE, MINE], &[("API_HOST", "localhost:2")]),
            ok("http://localhost:2 bearer mine")
        );
        // A credential without a host may be used with any.
        assert_eq!(
            search(host("localhost:9"), &[], &[("API_ACCESS_TOKEN", "loose")]),
            ok("http://localhost:9 bearer loose")
        );
        // Naming both is explicit.
        let both = flags(Some("localhost:9"), Some("named"), None);
        assert_eq!(search(both, &[NAMED], VARIABLES), ok("http://localhost:9 bearer named"));
    }

    #[test]
    fn a_token_of_the_command_line_is_not_sent_to_a_host_that_the_working_directory_names() {
        let token = |host| flags(host, None, Some("flag"));
        assert_eq!(search(token(Some("localhost:9")), &[HERE], VARIABLES), ok("http://localhost:9 bearer flag"));
        assert_eq!(search(token(None), &[HERE], VARIABLES), ok("http://localhost:4 bearer flag"));
        assert_eq!(search(token(None), &[HERE, MINE], &[]), ok("http://localhost:2 bearer flag"));
        for place in [HERE, STRANGER] {
            let refused = search_asking(token(None), &[place], &[], &|_| true);
            assert_eq!(refused, Err("which service? Set --host or API_HOST".to_owned()));
        }
    }

    #[test]
    fn a_host_that_only_the_working_directory_names_must_be_this_machine_or_be_confirmed() {
        insta::assert_snapshot!(search(flags(None, None, None), &[STRANGER, MINE], &[]).unwrap_err(), @"w/.tasklane/credentials, in the working directory, names the service https://api.evil.example. It is not on this machine, and the author of this directory chose it. If you trust it, use --host evil.example");
        for almost in ["localhost.evil.example", "http://127.0.0.1.evil.example", "https://evil.example/localhost"] {
            let text = format!("API_HOST={almost}\nAPI_ACCESS_TOKEN=bait");
            search(flags(None, None, None), &[("w/.tasklane/credentials", &text)], &[]).unwrap_err();
        }
        let asked = std::cell::RefCell::new(String::new());
        let yes = |question: &str| {
            asked.replace(question.to_owned());
            true
        };
        let confirmed = search_asking(flags(None, None, None), &[STRANGER], &[], &yes);
        assert_eq!(confirmed, ok("https://api.evil.example bearer bait"));
        assert!(
            asked.borrow().contains("https://api.evil.example") && asked.borrow().contains("w/.tasklane/credentials")
        );
        let named = flags(Some("evil.example"), None, None);
        assert_eq!(search(named, &[STRANGER], &[]), ok("https://api.evil.example bearer bait"), "named, so confirmed");
    }

    #[test]
    fn a_url_is_used_unchanged_with_credentials_that_are_meant_for_it() {
        let url = |url: &str, credentials: Option<&str>| ConnectArgs {
            url: Some(url.to_owned()),
            ..flags(None, credentials, None)
        };
        let stage = "https://abc.execute-api.eu-west-1.amazonaws.com/prod";
        assert_eq!(search(url(stage, Some("named")), &[NAMED], VARIABLES), Ok(format!("{stage} bearer named")));
        assert!(search(url(stage, None), &[HERE, EXH], &[]).unwrap_err().contains("only to the host"));
        assert!(search(url("example.com", None), &[HERE], &[]).unwrap_err().contains("expected a URL"), "no scheme");
    }

    #[test]
    fn a_file_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        fs::write(&path, MINE.1).unwrap();
        for (mode, is_read) in [(0o600, true), (0o400, true), (0o644, true), (0o664, false), (0o602, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path).map_err(|e| e.kind()).is_ok(), is_read, "{mode:o}");
        }
    }

    #[test]
    fn the_error_lists_the_places_that_were_searched() {
        insta::assert_snapshot!(search(flags(None, None, None), &[], &[]).unwrap_err(), @"no credentials found in the environment (API_ACCESS_TOKEN, API_OAUTH_…), w/.tasklane/credentials, h/.tasklane/credentials, h/.exh/credentials. Start a service with `tasklane dev`, or name a file with --credentials");
        insta::assert_snapshot!(search(flags(None, Some("nowhere"), None), &[HERE], &[]).unwrap_err(), @"nowhere cannot be read: No such file or directory (os error 2)");
        insta::assert_snapshot!(search(flags(None, Some("named"), None), &[HERE, ("named", "API_HOST=x")], &[]).unwrap_err(), @"named holds no credentials: expected API_ACCESS_TOKEN, or the four API_OAUTH_… values");
        insta::assert_snapshot!(search(flags(None, None, None), &[HERE], &[("API_OAUTH_TOKEN", "s3cret")]).unwrap_err(), @"the credentials in the environment (API_ACCESS_TOKEN, API_OAUTH_…) are incomplete: API_OAUTH_CONSUMER_KEY, API_OAUTH_CONSUMER_SECRET, API_OAUTH_TOKEN_SECRET are missing");
        insta::assert_snapshot!(search(flags(None, None, None), &[], &[("API_ACCESS_TOKEN", "s3cret")]).unwrap_err(), @"the credentials in the environment (API_ACCESS_TOKEN, API_OAUTH_…) have no API_HOST; use --host");
        insta::assert_snapshot!(search(flags(None, None, Some("s3cret")), &[], &[]).unwrap_err(), @"which service? Set --host or API_HOST");
    }
}
