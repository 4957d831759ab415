//! Headers that affect the whole origin, which an API Function shares with the service and with all other Functions.

use http::{HeaderName, HeaderValue, header};

/// Headers that a browser applies to the whole origin, and headers that describe the server.
const OF_THE_ORIGIN: [&str; 13] = [
    "accept-ch",
    "alt-svc",
    "clear-site-data",
    "date",
    "expect-ct",
    "nel",
    "origin-agent-cluster",
    "proxy-authenticate",
    "public-key-pins",
    "report-to",
    "server",
    "service-worker-allowed",
    "strict-transport-security",
];

/// Authentication schemes for which a browser asks its user for a password on behalf of the origin. The service accepts
/// none of them.
const ASKED_BY_BROWSERS: [&str; 4] = ["basic", "digest", "negotiate", "ntlm"];

/// Whether this header is removed from an answer.
pub(super) fn is_for_the_whole_origin(name: &HeaderName, value: &HeaderValue) -> bool {
    if name == header::WWW_AUTHENTICATE {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        return value.split(',').any(|challenge| {
            let scheme = challenge.split_whitespace().next().unwrap_or_default();
            ASKED_BY_BROWSERS.contains(&scheme)
        });
    }
    OF_THE_ORIGIN.contains(&name.as_str())
}

/// A cookie without its `Domain`: browsers return it to this host only, and to no sibling host.
pub(super) fn without_domain(cookie: HeaderValue) -> HeaderValue {
    let is_domain = |attribute: &[u8]| {
        let name = attribute.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"domain")
    };
    let mut parts = cookie.as_bytes().split(|byte| *byte == b';');
    let pair = parts.next().unwrap_or_default();
    let attributes: Vec<_> = parts.collect();
    if !attributes.iter().any(|attribute| is_domain(attribute)) {
        return cookie;
    }
    let kept = attributes.into_iter().filter(|attribute| !is_domain(attribute));
    let whole = std::iter::once(pair).chain(kept).collect::<Vec<_>>().join(&b';');
    // A part of a valid header value is valid too.
    HeaderValue::from_bytes(&whole).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_loses_its_domain_and_nothing_else() {
        for (cookie, sent) in [
            ("a=1", "a=1"),
            ("a=1; Domain=example.com; Path=/", "a=1; Path=/"),
            ("a=domain=x; path=/; DOMAIN = .example.com;Secure", "a=domain=x; path=/;Secure"),
            ("a=1;domain", "a=1"),
            ("domain=1; HttpOnly", "domain=1; HttpOnly"),
        ] {
            assert_eq!(without_domain(HeaderValue::from_static(cookie)), sent, "{cookie}");
        }
    }

    #[test]
    fn a_function_may_ask_for_a_token_but_not_for_a_password() {
        let left_out = |value| is_for_the_whole_origin(&header::WWW_AUTHENTICATE, &HeaderValue::from_static(value));
        for value in ["Basic realm=\"x\"", "basic", "Bearer realm=\"x\", Basic realm=\"y\"", "NTLM"] {
            assert!(left_out(value), "{value}");
        }
        assert!(!left_out("Bearer realm=\"basic\""));
    }
}
