//! Which service, and as whom.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::client::{BaseUrl, Client, Credential, Secret, StoredCredentials};

// No doc comment: clap would show it in the place of the subcommand's own.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectArgs {
    /// The service, e.g. http://localhost:4000 or example.com (then https://api.example.com is called)
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// The service's URL, taken as it is, e.g. that of an API Gateway's stage
    #[arg(long, value_name = "URL", conflicts_with = "host")]
    url: Option<String>,

    /// A file with API_HOST and credentials. Without it: the environment, ./.tasklane/credentials, ~/.tasklane/credentials, ~/.exh/credentials
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// A bearer token; API_ACCESS_TOKEN in the environment keeps it out of the process list
    #[arg(long, value_name = "TOKEN")]
    access_token: Option<String>,
}

/// What the search looks at beside the flags.
struct Surroundings<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    working_dir: &'a Path,
    home: Option<&'a Path>,
}

impl ConnectArgs {
    /// A client of the service that the flags, the environment or a file name.
    ///
    /// # Errors
    /// When there are no credentials, saying where they were looked for.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let home = std::env::home_dir();
        let surroundings = Surroundings {
            variable: &|name| std::env::var(name).ok(),
            working_dir: Path::new("."),
            home: home.as_deref(),
        };
        let (base, credential) = self.search(&surroundings)?;
        Ok(Client::new(base, credential)?)
    }

    /// Where we are called, for the lines that a new credential is stored in.
    ///
    /// The first place that holds a credential gives it. The host comes from the flag, then from the environment, then
    /// from that place; a file that was named on the command line comes before the environment.
    fn search(&self, around: &Surroundings<'_>) -> anyhow::Result<(BaseUrl, Credential)> {
        let environment = StoredCredentials::from_lookup(around.variable);
        let mut looked_at = Vec::new();
        let mut host = self.url.clone().or_else(|| self.host.clone());
        let mut token = self.access_token.clone().map(|token| Credential::Bearer(Secret::new(token)));

        for place in self.places(around) {
            let name = place.to_string();
            let stored = match &place {
                Place::Named(path) => Some(read(path).with_context(|| format!("{name} cannot be read"))?),
                Place::Environment => Some(environment.clone()),
                Place::Usual(path) => read_if_there(path).with_context(|| format!("{name} cannot be read"))?,
            };
            looked_at.push(name.clone());
            let Some(stored) = stored else { continue };
            if !matches!(place, Place::Usual(_)) {
                host = host.or_else(|| stored.host.clone());
            }
            let found = match token.take() {
                Some(token) => Some(token),
                None => stored.credential().with_context(|| format!("the credentials in {name} are incomplete"))?,
            };
            let Some(credential) = found else {
                if matches!(place, Place::Named(_)) {
                    bail!("{name} holds no credentials: expected API_ACCESS_TOKEN, or the four API_OAUTH_… values");
                }
                continue;
            };
            match host.clone().or(stored.host) {
                Some(host) => {
                    let base = match &self.url {
                        Some(url) => BaseUrl::from_url(url)?,
                        None => BaseUrl::from_host(&host)?,
                    };
                    return Ok((base, credential));
                }
                // A token from the command line may find its host further on.
                None if self.access_token.is_some() => token = Some(credential),
                None => bail!("the credentials in {name} name no API_HOST; name one with --host"),
            }
        }
        if token.is_some() {
            bail!("which service? Name it with --host, or in API_HOST");
        }
        bail!(
            "no credentials were found in {}. Start a service here with `tasklane dev`, or name a file with --credentials",
            looked_at.join(", ")
        )
    }

    fn places(&self, around: &Surroundings<'_>) -> Vec<Place> {
        let mut places = Vec::new();
        if let Some(path) = &self.credentials {
            places.push(Place::Named(path.clone()));
        }
        places.push(Place::Environment);
        places.push(Place::Usual(around.working_dir.join(".tasklane").join("credentials")));
        if let Some(home) = around.home {
            places.push(Place::Usual(home.join(".tasklane").join("credentials")));
            places.push(Place::Usual(home.join(".exh").join("credentials")));
        }
        places
    }
}

enum Place {
    /// A file that the command line names: it has to be there.
    Named(PathBuf),
    Environment,
    /// A file that may be there.
    Usual(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(path) | Self::Usual(path) => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("the environment (API_ACCESS_TOKEN, API_OAUTH_…)"),
        }
    }
}

fn read(path: &Path) -> std::io::Result<StoredCredentials> {
    std::fs::read_to_string(path).map(|text| StoredCredentials::parse(&text))
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

    /// Files under a working directory `w` and a home `h`, and variables.
    fn search(args: ConnectArgs, files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let lookup =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        let home = dir.path().join("h");
        let around = Surroundings { variable: &lookup, working_dir: &dir.path().join("w"), home: Some(&home) };
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
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(search(flags(None, Some("named"), None), &all, VARIABLES), ok("http://localhost:3 bearer named"));
        assert_eq!(search(none(), &all, VARIABLES), ok("http://localhost:4 bearer variable"));
        assert_eq!(search(none(), &all, &[]), ok("http://localhost:1 bearer here"));
        assert_eq!(search(none(), &[MINE, EXH], &[]), ok("http://localhost:2 bearer mine"));
        assert_eq!(search(none(), &[EXH], &[]), ok("https://api.exh.example.com oauth1 exh"));
    }

    #[test]
    fn a_host_or_a_token_may_be_given_apart() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(search(flags(Some("localhost:9"), None, None), &[HERE], &[]), ok("http://localhost:9 bearer here"));
        assert_eq!(
            search(flags(None, None, None), &[HERE], &[("API_HOST", "localhost:8")]),
            ok("http://localhost:8 bearer here")
        );
        assert_eq!(search(flags(None, None, Some("flag")), &[HERE], &[]), ok("http://localhost:1 bearer flag"));
        assert_eq!(search(flags(None, None, Some("flag")), &[], VARIABLES), ok("http://localhost:4 bearer flag"));
        assert_eq!(
            search(flags(Some("localhost:9"), None, Some("flag")), &[], &[]),
            ok("http://localhost:9 bearer flag")
        );
    }

    #[test]
    fn a_url_is_taken_as_it_is_with_the_credentials_that_are_found() {
        let url = |url: &str| ConnectArgs { url: Some(url.to_owned()), ..ConnectArgs::default() };
        let stage = "https://abc.execute-api.eu-west-1.amazonaws.com/prod";
        assert_eq!(search(url(stage), &[EXH], &[]), Ok(format!("{stage} oauth1 exh")));
        assert_eq!(search(url(stage), &[HERE], VARIABLES), Ok(format!("{stage} bearer variable")));
        assert!(search(url("example.com"), &[HERE], &[]).unwrap_err().contains("expected a URL"), "no scheme");
    }

    #[test]
    fn what_is_missing_is_said_with_the_places_that_were_looked_at() {
        insta::assert_snapshot!(search(flags(None, None, None), &[], &[]).unwrap_err(), @"no credentials were found in the environment (API_ACCESS_TOKEN, API_OAUTH_…), w/.tasklane/credentials, h/.tasklane/credentials, h/.exh/credentials. Start a service here with `tasklane dev`, or name a file with --credentials");
        insta::assert_snapshot!(search(flags(None, Some("nowhere"), None), &[HERE], &[]).unwrap_err(), @"nowhere cannot be read: No such file or directory (os error 2)");
        insta::assert_snapshot!(search(flags(None, Some("named"), None), &[HERE, ("named", "API_HOST=x")], &[]).unwrap_err(), @"named holds no credentials: expected API_ACCESS_TOKEN, or the four API_OAUTH_… values");
        insta::assert_snapshot!(search(flags(None, None, None), &[HERE], &[("API_OAUTH_TOKEN", "s3cret")]).unwrap_err(), @"the credentials in the environment (API_ACCESS_TOKEN, API_OAUTH_…) are incomplete: API_OAUTH_CONSUMER_KEY, API_OAUTH_CONSUMER_SECRET, API_OAUTH_TOKEN_SECRET are missing");
        insta::assert_snapshot!(search(flags(None, None, None), &[], &[("API_ACCESS_TOKEN", "s3cret")]).unwrap_err(), @"the credentials in the environment (API_ACCESS_TOKEN, API_OAUTH_…) name no API_HOST; name one with --host");
        insta::assert_snapshot!(search(flags(None, None, Some("s3cret")), &[], &[]).unwrap_err(), @"which service? Name it with --host, or in API_HOST");
    }
}
