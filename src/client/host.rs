//! From `API_HOST` to the base URL.

use std::{fmt, net::IpAddr};

use reqwest::Url;

/// The URL of the service: everything before `/tasks/v1`.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a string is not a valid host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{host}' is not a host of the service: {reason}")]
pub struct InvalidHost {
    host: String,
    reason: String,
}

impl BaseUrl {
    /// Reads a host as the official SDK does (contract §7): a host that contains `localhost` is used unchanged, any other
    /// becomes `https://api.<host>`, whatever its scheme. Also used unchanged are addresses of this machine, such as
    /// `http://127.0.0.1:4000`, and API Gateway's own names for stacks without a domain.
    ///
    /// # Errors
    /// When the result is not a URL.
    pub fn from_host(host: &str) -> Result<Self, InvalidHost> {
        let invalid = |reason: String| InvalidHost { host: host.to_owned(), reason };
        let trimmed = host.trim().trim_end_matches('/');
        let bare = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://")).unwrap_or(trimmed);
        if bare.is_empty() {
            return Err(invalid("it is empty".to_owned()));
        }
        if bare.contains('@') {
            return Err(invalid("it contains a user or password, which would be ignored".to_owned()));
        }
        let text = if bare.contains("localhost") || is_loopback(bare) {
            if bare.len() == trimmed.len() { format!("http://{bare}") } else { trimmed.to_owned() }
        } else if is_gateway(bare) {
            format!("https://{bare}")
        } else {
            let bare = bare.strip_prefix("api.").unwrap_or(bare);
            format!("https://api.{}", bare.strip_prefix("apx.").unwrap_or(bare))
        };
        let url = Url::parse(&text).map_err(|e| invalid(e.to_string()))?;
        match (url.scheme(), url.query(), url.fragment()) {
            ("http" | "https", None, None) => Ok(Self(url)),
            _ => Err(invalid("expected a name such as example.com, or a URL such as http://localhost:4000".to_owned())),
        }
    }

    /// Takes a URL unchanged, such as that of an API Gateway stage.
    ///
    /// # Errors
    /// When it is not an http or https URL.
    pub fn from_url(url: &str) -> Result<Self, InvalidHost> {
        let invalid = || InvalidHost {
            host: url.to_owned(),
            reason: "expected a URL such as https://example.com/prod".to_owned(),
        };
        let parsed = Url::parse(url.trim()).map_err(|_| invalid())?;
        match (parsed.scheme(), parsed.has_host(), parsed.query(), parsed.fragment()) {
            ("http" | "https", true, None, None) if parsed.username().is_empty() && parsed.password().is_none() => {
                Ok(Self(parsed))
            }
            _ => Err(invalid()),
        }
    }

    /// The URL of a path and query below the base.
    pub(super) fn join(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url.set_query(query.filter(|query| !query.is_empty()));
        url
    }

    /// Whether the service is on this machine, so that no proxy is used.
    pub fn is_local(&self) -> bool {
        self.name_below_localhost().is_some()
            || self.0.host_str().is_some_and(|host| host == "localhost" || is_loopback(host))
    }

    /// Whether both are the same service, whatever name is used for this machine.
    pub fn is_same(&self, other: &Self) -> bool {
        let address = |base: &Self| {
            let host = if base.is_local() && base.name_below_localhost().is_none() { None } else { base.0.host_str() };
            (
                base.0.scheme().to_owned(),
                host.map(str::to_owned),
                base.0.port_or_known_default(),
                base.0.path().trim_end_matches('/').to_owned(),
            )
        };
        address(self) == address(other)
    }

    /// The host name, if it is below `localhost`, as an emulator's gateway has.
    pub(super) fn name_below_localhost(&self) -> Option<&str> {
        self.0.host_str().filter(|host| host.ends_with(".localhost"))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `<id>.execute-api.<region>.amazonaws.com[.cn][/path]`: such a name cannot have an `api.` in front.
fn is_gateway(host: &str) -> bool {
    let host = host.split('/').next().unwrap_or(host);
    let ours = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"));
    ours.is_some_and(|name| name.split('.').nth(1) == Some("execute-api"))
}

/// `host[:port][/path]`, with brackets around an IPv6 address.
fn is_loopback(host: &str) -> bool {
    let host = host.split('/').next().unwrap_or(host);
    let address = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_like_in_the_official_sdk() {
        for (host, base) in [
            ("http://localhost:4000", "http://localhost:4000"),
            ("https://localhost:4000/", "https://localhost:4000"),
            ("localhost:4000", "http://localhost:4000"),
            ("http://localhost:4000/stage", "http://localhost:4000/stage"),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("http://[::1]:4000", "http://[::1]:4000"),
            ("example.com", "https://api.example.com"),
            ("http://example.com:8080/", "https://api.example.com:8080"),
            ("https://api.example.com", "https://api.example.com"),
            ("apx.example.com", "https://api.example.com"),
            ("https://a1.execute-api.eu-west-1.amazonaws.com", "https://a1.execute-api.eu-west-1.amazonaws.com"),
            ("a1.execute-api.cn-north-1.amazonaws.com.cn/v1", "https://a1.execute-api.cn-north-1.amazonaws.com.cn/v1"),
            ("execute-api.example.com", "https://api.execute-api.example.com"),
        ] {
            assert_eq!(BaseUrl::from_host(host).map(|base| base.to_string()), Ok(base.to_owned()), "{host}");
        }
        for host in
            ["", "/", "exa mple.com", "http://user:s3cret@localhost", "example.com?x", "localhost#x", "10.0.0.1"]
        {
            assert!(BaseUrl::from_host(host).is_err(), "{host}");
        }
    }

    #[test]
    fn all_names_of_this_machine_mean_the_same_service() {
        let same =
            |one: &str, other: &str| BaseUrl::from_host(one).unwrap().is_same(&BaseUrl::from_host(other).unwrap());
        assert!(same("localhost:4000", "http://127.0.0.1:4000/") && same("[::1]:4000", "localhost:4000"));
        assert!(same("example.com", "https://api.example.com:443"));
        assert!(!same("localhost:4000", "localhost:4001") && !same("localhost:4000", "https://localhost:4000"));
        assert!(!same("a.localhost:4000", "localhost:4000") && !same("localhost.example.com", "localhost"));
    }

    #[test]
    fn a_url_is_used_unchanged() {
        let base = |url: &str| BaseUrl::from_url(url).map(|base| base.to_string());
        for url in ["https://abc.execute-api.eu-west-1.amazonaws.com/prod", "http://10.0.0.1:4000"] {
            assert_eq!(base(url), Ok(url.to_owned()));
        }
        for url in ["", "example.com", "ftp://example.com", "https://a:b@example.com", "https://example.com?x"] {
            assert!(base(url).is_err(), "{url}");
        }
    }

    #[test]
    fn paths_follow_the_base() {
        let join = |host: &str, query| BaseUrl::from_host(host).unwrap().join("/tasks/v1/", query).to_string();
        assert_eq!(join("localhost:1", None), "http://localhost:1/tasks/v1/");
        assert_eq!(join("localhost:1", Some("")), "http://localhost:1/tasks/v1/");
        assert_eq!(join("localhost:1/stage", Some("eq(a,b c)")), "http://localhost:1/stage/tasks/v1/?eq(a,b%20c)");
    }
}
