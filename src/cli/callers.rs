//! How callers are identified, and the address that they use: the flags of every command that serves.

use std::net::IpAddr;

use tasklane_auth::oidc::{InvalidOidcConfig, IssuerUrl, OidcConfig};
use tasklane_http::{CorsOrigins, Hosts, HttpConfig, PublicUrl};

/// Flags to be flattened into a command's arguments.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Callers")]
pub struct CallerArgs {
    /// The scheme and host that clients use to reach the service behind a proxy; OAuth 1.0a signs them
    #[arg(long, value_name = "URL")]
    pub public_url: Option<PublicUrl>,

    /// Another host name that clients use, besides localhost, this machine's own address and the host of
    /// --public-url; may be given more than once
    #[arg(long = "allow-host", value_name = "NAME")]
    pub allowed_hosts: Vec<String>,

    /// The origin of a web page that may read responses, instead of pages on this machine; * for any; may be given more than once
    #[arg(long = "cors-origin", value_name = "ORIGIN", value_parser = origin)]
    pub cors_origins: Vec<String>,

    /// Accept the JWTs of this OIDC issuer: its URL, exactly as in its tokens
    #[arg(long, value_name = "URL", requires = "oidc_audiences")]
    pub oidc_issuer: Option<IssuerUrl>,

    /// Required audience of the token (aud, or client_id where there is no aud); may be given more than once
    #[arg(long = "oidc-audience", value_name = "NAME", requires = "oidc_issuer")]
    pub oidc_audiences: Vec<String>,

    /// The claim that lists the permissions, with dots for nested objects
    #[arg(long, value_name = "CLAIM", default_value = "permissions", requires = "oidc_issuer")]
    pub oidc_permissions_claim: String,

    /// The prefix of each permission in that claim; names without it are ignored
    #[arg(long, value_name = "TEXT", default_value = "", requires = "oidc_issuer")]
    pub oidc_permissions_prefix: String,
}

impl CallerArgs {
    /// The HTTP settings of a server that listens there; `otherwise` are the pages that may read responses if no origin is
    /// given.
    pub fn http_config(&self, listen: IpAddr, otherwise: CorsOrigins) -> HttpConfig {
        let cors = match self.cors_origins.iter().map(String::as_str).collect() {
            CorsOrigins::None => otherwise,
            given => given,
        };
        let hosts = if listen.is_loopback() { Hosts::of_this_machine() } else { Hosts::of_a_network() };
        let hosts = hosts.and_of(self.public_url.as_ref()).and(self.allowed_hosts.iter().cloned());
        HttpConfig { public_url: self.public_url.clone(), hosts, cors, ..HttpConfig::default() }
    }

    /// The issuer whose JWTs are accepted.
    pub fn oidc(&self) -> Result<Option<OidcConfig>, InvalidOidcConfig> {
        let Some(issuer) = &self.oidc_issuer else { return Ok(None) };
        let config = OidcConfig::new(issuer.clone(), &self.oidc_audiences)?
            .with_permissions_claim(&self.oidc_permissions_claim)
            .with_permissions_prefix(&self.oidc_permissions_prefix);
        Ok(Some(config))
    }
}

/// Browsers send an origin without anything after the host, and it is compared exactly.
fn origin(text: &str) -> Result<String, String> {
    let is_one = text == "*" || text.parse::<PublicUrl>().is_ok() && !text.ends_with('/');
    if is_one {
        Ok(text.to_owned())
    } else {
        Err("expected an origin such as https://console.example.com, or *".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        callers: CallerArgs,
    }

    fn read(line: &str) -> Result<CallerArgs, clap::Error> {
        Command::try_parse_from(line.split(' ').filter(|word| !word.is_empty())).map(|command| command.callers)
    }

    #[test]
    fn without_flags_there_is_no_issuer_and_the_default_pages_may_read() {
        let args = read("serve").unwrap();
        assert_eq!(args.oidc().unwrap(), None);
        let config = args.http_config(IpAddr::from([127, 0, 0, 1]), CorsOrigins::Localhost);
        assert_eq!((config.public_url, config.cors), (None, CorsOrigins::Localhost));
    }

    #[test]
    fn flags_reach_the_settings() {
        let args = read(
            "serve --public-url https://api.example.com --cors-origin https://a.example --cors-origin http://b.example:1 \
             --oidc-issuer https://issuer.example/ --oidc-audience x --oidc-audience y --oidc-permissions-claim scope \
             --oidc-permissions-prefix tasklane/",
        );
        let args = args.unwrap();
        let config = args.http_config(IpAddr::from([127, 0, 0, 1]), CorsOrigins::Localhost);
        assert_eq!(config.public_url, Some("https://api.example.com".parse().unwrap()));
        assert_eq!(config.cors, CorsOrigins::Listed(vec!["https://a.example".into(), "http://b.example:1".into()]));
        let oidc = args.oidc().unwrap().unwrap();
        assert_eq!((oidc.issuer().as_str(), oidc.audiences().len()), ("https://issuer.example/", 2));
        assert_eq!((oidc.permissions_claim(), oidc.permissions_prefix()), ("scope", "tasklane/"));
        assert_eq!(
            read("serve --cors-origin *").unwrap().http_config(IpAddr::from([127, 0, 0, 1]), CorsOrigins::None).cors,
            CorsOrigins::Any
        );
    }

    #[test]
    fn invalid_flags_are_refused() {
        for line in [
            "serve --oidc-issuer https://issuer.example",
            "serve --oidc-audience x",
            "serve --oidc-permissions-claim scope",
            "serve --oidc-issuer http://issuer.example --oidc-audience x",
            "serve --public-url api.example.com",
            "serve --cors-origin https://a.example/",
            "serve --cors-origin a.example",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
