//! For which hosts the service answers.
//!
//! A web page can have its visitor's browser ask this machine under a name of the page's own (DNS rebinding), and a request
//! that was signed for one host can be sent on to another. Both end where only names that are the service's are taken.

use std::net::IpAddr;

use http::{header, request::Parts};

use super::{config::PublicUrl, serve::LocalAddress};
use crate::model::{Error, ErrorKind, Result};

/// The names by which a service is reached.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// Besides the names and addresses of this machine. `None`: whatever asks knows better, as API Gateway does.
    names: Option<Vec<String>>,
    /// Whether requests that are not signed are for these hosts only, too.
    for_all: bool,
}

impl Hosts {
    /// Those of a server that only this machine reaches: nothing else is taken.
    pub fn of_this_machine() -> Self {
        Self { names: Some(Vec::new()), for_all: true }
    }

    /// Those of a server that others reach by names which it cannot know: what is signed is signed for one that it does know.
    pub fn of_a_network() -> Self {
        Self { names: Some(Vec::new()), for_all: false }
    }

    /// And these.
    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = String>) -> Self {
        if let Some(names) = &mut self.names {
            names.extend(more.into_iter().map(|name| name_of(&name)));
        }
        self
    }

    /// And the one of this URL.
    #[must_use]
    pub fn and_of(self, public_url: Option<&PublicUrl>) -> Self {
        self.and(public_url.map(|url| url.authority().to_owned()))
    }

    /// Refuses a request for another host (421).
    pub fn check(&self, request: &Parts) -> Result<()> {
        if !self.for_all || self.know(request) {
            return Ok(());
        }
        let message = "The request is for a host that this server does not answer for. It answers for localhost and this \
                       machine's own address; start it with --allow-host NAME or --public-url URL for others.";
        Err(Error::new(ErrorKind::MisdirectedRequest, message))
    }

    /// Refuses a signature for another host (109).
    pub fn check_signed(&self, request: &Parts) -> Result<()> {
        if self.know(request) {
            return Ok(());
        }
        let message = "The OAuth signature is for a host that this server does not know as its own: start it with \
                       --public-url, as clients write it, or with --allow-host.";
        Err(Error::new(ErrorKind::OauthSignature, message))
    }

    fn know(&self, request: &Parts) -> bool {
        let Some(names) = &self.names else { return true };
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = request.uri.authority().map(|authority| authority.as_str()).or(host);
        // HTTP/1.0 has none, and no browser speaks it.
        let Some(host) = host.map(name_of) else { return true };
        if host == "localhost" || host.ends_with(".localhost") || names.contains(&host) {
            return true;
        }
        let local = request.extensions.get::<LocalAddress>().map(|local| local.0.to_canonical());
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| address.to_canonical());
        address.is_ok_and(|address| address.is_loopback() || Some(address) == local)
    }
}

/// What stands before the port, in lower case.
fn name_of(authority: &str) -> String {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str) -> Parts {
        let mut parts = http::Request::get("/").header("host", host).body(()).unwrap().into_parts().0;
        parts.extensions.insert(LocalAddress("192.0.2.7".parse().unwrap()));
        parts
    }

    #[test]
    fn a_server_of_this_machine_is_reached_by_the_names_of_this_machine() {
        let url: PublicUrl = "https://api.example.com:8443".parse().unwrap();
        let hosts = Hosts::of_this_machine().and_of(Some(&url)).and(["Tasklane".to_owned()]);
        for host in [
            "localhost",
            "LOCALHOST:4000",
            "a.localhost:1",
            "localhost.",
            "127.0.0.1:4000",
            "127.8.8.8",
            "[::1]:4000",
            "[::1]",
            "192.0.2.7:80",
            "api.example.com",
            "api.example.com:8443",
            "tasklane:4000",
        ] {
            assert!(hosts.check(&asked(host)).is_ok() && hosts.check_signed(&asked(host)).is_ok(), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.8",
            "example.com",
            "",
            "[::2]",
        ] {
            let refused = hosts.check(&asked(host)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::MisdirectedRequest, "{host}");
        }
    }

    #[test]
    fn a_server_of_a_network_takes_signatures_for_hosts_that_it_knows_only() {
        let hosts = Hosts::of_a_network();
        assert!(hosts.check(&asked("tasklane:4000")).is_ok());
        assert_eq!(hosts.check_signed(&asked("tasklane:4000")).unwrap_err().kind(), ErrorKind::OauthSignature);
        assert!(hosts.check_signed(&asked("192.0.2.7:4000")).is_ok());
        assert!(Hosts::default().check_signed(&asked("anything")).is_ok());
    }
}
