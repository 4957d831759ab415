//! The hosts that the service answers for.
//!
//! A web page can make its visitor's browser reach this machine under one of the page's own names (DNS rebinding), and
//! somebody can forward a request that was signed for one host to another. Answering only for the service's own names
//! stops both.

use std::net::IpAddr;

use http::{header, request::Parts};
use tasklane_model::{Error, ErrorKind, Result};

use super::{connection::LocalAddress, public_url::PublicUrl};

/// The names by which clients reach the service.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// Names besides this machine's own names and addresses. `None`: every name, because API Gateway has checked it.
    names: Option<Vec<String>>,
    /// Whether unsigned requests must be for one of these hosts, too.
    for_all: bool,
}

impl Hosts {
    /// For a server that only this machine can reach: every request must be for one of its names.
    pub fn of_this_machine() -> Self {
        Self { names: Some(Vec::new()), for_all: true }
    }

    /// For a server that others reach by names that it cannot know: only signed requests must be for a known name.
    pub fn of_a_network() -> Self {
        Self { names: Some(Vec::new()), for_all: false }
    }

    /// Adds these names.
    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = String>) -> Self {
        if let Some(names) = &mut self.names {
            names.extend(more.into_iter().map(|name| name_of(&name)));
        }
        self
    }

    /// Adds the host of this URL.
    #[must_use]
    pub fn and_of(self, public_url: Option<&PublicUrl>) -> Self {
        self.and(public_url.map(|url| url.authority().to_owned()))
    }

    /// Refuses a request for another host (421).
    pub fn check(&self, request: &Parts) -> Result<()> {
        if !self.for_all || self.knows(request) {
            return Ok(());
        }
        let message = "This server does not answer for the requested host. It answers for localhost and this machine's own \
                       address; to add others, start it with --allow-host NAME or --public-url URL.";
        Err(Error::new(ErrorKind::MisdirectedRequest, message))
    }

    /// Refuses a signature for another host (109).
    pub fn check_signed(&self, request: &Parts) -> Result<()> {
        if self.knows(request) {
            return Ok(());
        }
        let message = "The OAuth signature is for a host that this server does not know. Start it with --public-url and the \
                       URL that clients use, or with --allow-host.";
        Err(Error::new(ErrorKind::OauthSignature, message))
    }

    fn knows(&self, request: &Parts) -> bool {
        let Some(names) = &self.names else { return true };
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = request.uri.authority().map(|authority| authority.as_str()).or(host);
        // An HTTP/1.0 request may have no host; no browser sends HTTP/1.0.
        let Some(host) = host.map(name_of) else { return true };
        if host == "localhost" || host.ends_with(".localhost") || names.contains(&host) {
            return true;
        }
        let local = request.extensions.get::<LocalAddress>().map(|local| local.0.to_canonical());
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| address.to_canonical());
        address.is_ok_and(|address| address.is_loopback() || Some(address) == local)
    }
}

/// The part before the port, in lower case.
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
    fn a_local_server_answers_for_the_names_of_this_machine() {
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
    fn a_server_on_a_network_accepts_signatures_only_for_known_hosts() {
        let hosts = Hosts::of_a_network();
        assert!(hosts.check(&asked("tasklane:4000")).is_ok());
        assert_eq!(hosts.check_signed(&asked("tasklane:4000")).unwrap_err().kind(), ErrorKind::OauthSignature);
        assert!(hosts.check_signed(&asked("192.0.2.7:4000")).is_ok());
        assert!(Hosts::default().check_signed(&asked("anything")).is_ok());
    }
}
