//! The issuer whose tokens are accepted, and the tokens that are.

use std::{fmt, str::FromStr};

use http::Uri;

/// The issuer that a deployment trusts, and how its tokens are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    issuer: IssuerUrl,
    audiences: Vec<String>,
    permissions_claim: String,
    permissions_prefix: String,
}

const PERMISSIONS_CLAIM: &str = "permissions";

/// Why an [`OidcConfig`] is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOidcConfig {
    #[error(
        "expected the issuer's URL as its tokens spell it: https:// (http:// only for localhost), without query and \
         fragment"
    )]
    Issuer,
    #[error("name at least one audience; without one, tokens for other services would be accepted")]
    NoAudience,
}

impl OidcConfig {
    /// Accepts tokens of this issuer for any of these audiences. Empty audiences are ignored.
    pub fn new<S: Into<String>>(
        issuer: IssuerUrl,
        audiences: impl IntoIterator<Item = S>,
    ) -> Result<Self, InvalidOidcConfig> {
        let audiences: Vec<String> = audiences.into_iter().map(Into::into).filter(|name| !name.is_empty()).collect();
        if audiences.is_empty() {
            return Err(InvalidOidcConfig::NoAudience);
        }
        let (permissions_claim, permissions_prefix) = (PERMISSIONS_CLAIM.to_owned(), String::new());
        Ok(Self { issuer, audiences, permissions_claim, permissions_prefix })
    }

    /// Reads permissions from this claim instead of `permissions`. Dots lead into objects.
    #[must_use]
    pub fn with_permissions_claim(mut self, name: impl Into<String>) -> Self {
        self.permissions_claim = name.into();
        self
    }

    /// Reads only names with this prefix as permissions, and removes it: `tasklane/` if the issuer puts the name of a
    /// resource server before each scope.
    #[must_use]
    pub fn with_permissions_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.permissions_prefix = prefix.into();
        self
    }

    pub fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// A token must be for one of these audiences.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    pub fn permissions_claim(&self) -> &str {
        &self.permissions_claim
    }

    /// The prefix of each permission in that claim.
    pub fn permissions_prefix(&self) -> &str {
        &self.permissions_prefix
    }
}

/// An issuer's URL exactly as in its tokens' `iss`. It is not normalized: issuers are compared character by character
/// (OIDC Core §3.1.3.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerUrl(String);

impl IssuerUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of the issuer's metadata (OIDC Discovery §4).
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.0.trim_end_matches('/'))
    }

    /// Whether the issuer's keys may be fetched from `url`: over TLS, or from this machine if the issuer is here, too.
    pub fn may_keep_keys_at(&self, url: &str) -> bool {
        let Ok(uri) = url.parse::<Uri>() else { return false };
        has_bare_host(&uri) && (is_https(&uri) || self.0.starts_with("http:") && is_http_on_loopback(&uri))
    }
}

impl FromStr for IssuerUrl {
    type Err = InvalidOidcConfig;

    fn from_str(text: &str) -> Result<Self, InvalidOidcConfig> {
        let uri = text.parse::<Uri>().map_err(|_| InvalidOidcConfig::Issuer)?;
        let fits = has_bare_host(&uri) && (is_https(&uri) || is_http_on_loopback(&uri));
        if fits && !text.contains(['?', '#']) { Ok(Self(text.to_owned())) } else { Err(InvalidOidcConfig::Issuer) }
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

fn is_http_on_loopback(uri: &Uri) -> bool {
    uri.scheme_str() == Some("http")
        && uri.host().is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host))
}

/// Without a user name and password, which would appear in logs.
fn has_bare_host(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| !authority.as_str().contains('@') && !authority.host().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_url_over_tls_or_on_this_machine() {
        for good in [
            "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab1",
            "https://t.eu.auth0.com/",
            "http://127.0.0.1:9/x",
        ] {
            assert_eq!(good.parse::<IssuerUrl>().unwrap().as_str(), good);
        }
        for wrong in [
            "",
            "issuer.example",
            "http://issuer.example",
            "http://localhost.example",
            "ftp://localhost",
            "https://",
            "https://user:pass@issuer.example",
            "https://issuer.example?x",
            "https://issuer.example#x",
            "https://issuer.example /",
        ] {
            assert_eq!(wrong.parse::<IssuerUrl>(), Err(InvalidOidcConfig::Issuer), "{wrong}");
        }
    }

    #[test]
    fn the_metadata_url_is_below_the_issuer() {
        let url = |text: &str| text.parse::<IssuerUrl>().unwrap().discovery_url();
        assert_eq!(url("https://a.example"), "https://a.example/.well-known/openid-configuration");
        assert_eq!(url("https://a.example/t/"), "https://a.example/t/.well-known/openid-configuration");
    }

    #[test]
    fn keys_are_fetched_over_tls_unless_the_issuer_is_on_this_machine() {
        let public: IssuerUrl = "https://accounts.example".parse().unwrap();
        let local: IssuerUrl = "http://localhost:9000".parse().unwrap();
        for (url, by_public, by_local) in [
            ("https://keys.example/v3/certs?p=x", true, true),
            ("http://accounts.example/certs", false, false),
            ("http://localhost:9000/certs", false, true),
            ("http://169.254.169.254/latest/meta-data", false, false),
            ("file:///etc/passwd", false, false),
            ("https://a@keys.example", false, false),
            ("/certs", false, false),
        ] {
            assert_eq!((public.may_keep_keys_at(url), local.may_keep_keys_at(url)), (by_public, by_local), "{url}");
        }
    }

    #[test]
    fn an_audience_is_required() {
        let issuer: IssuerUrl = "https://a.example".parse().unwrap();
        for audiences in [vec![], vec![""]] {
            assert_eq!(OidcConfig::new(issuer.clone(), audiences), Err(InvalidOidcConfig::NoAudience));
        }
    }
}
