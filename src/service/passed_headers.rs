//! Decides which headers of a request an API Function receives.

use http::{HeaderMap, HeaderName, header};

/// A prefix that only the service may set: a client's headers with it are dropped, in any spelling.
const REQUESTING: &str = "x-exh-requesting-";

/// Names that this service, a proxy in front of it or the connection sets. A trailing hyphen makes it a prefix.
const SPOKEN_FOR: [&str; 23] = [
    "x-exh-",
    "x-forwarded-",
    "x-amzn-",
    "x-amz-",
    "x-real-ip",
    "x-client-ip",
    "x-request-id",
    "x-original-",
    "x-rewrite-",
    "x-auth-",
    "x-ssl-",
    "forwarded",
    "true-client-ip",
    "cf-connecting-",
    "via",
    "remote-",
    "authorization",
    "proxy-",
    "cookie",
    "host",
    "content-",
    "transfer-encoding",
    "if-",
];

/// Whether the Function receives this header of a request.
///
/// Three kinds are dropped:
/// - The caller's credential: it is meant for this service only.
/// - Headers that claim to identify the caller.
/// - Another spelling of a reserved name, or of a header that the request also has in its usual spelling. Adapters for
///   CGI, WSGI, Rack and PHP map `X_Forwarded_For` and `X-Forwarded-For` to one variable, and either may win.
pub(super) fn is_passed_on(name: &HeaderName, headers: &HeaderMap) -> bool {
    if name == header::AUTHORIZATION {
        return false;
    }
    if name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return !name.as_str().starts_with(REQUESTING);
    }
    let usual = usual_spelling(name);
    let spoken_for = SPOKEN_FOR.iter().any(|it| if it.ends_with('-') { usual.starts_with(it) } else { usual == *it });
    !spoken_for && !headers.contains_key(usual.as_str())
}

/// The name, already in lower case, with a hyphen for every character other than a letter or a digit.
fn usual_spelling(name: &HeaderName) -> String {
    name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_spelling_is_passed_on_only_if_the_name_is_free() {
        let names = ["x-api-key", "x_api_key", "api_key", "x_forwarded_for", "x-forwarded-for", "hostile_key"];
        let headers: HeaderMap =
            names.iter().map(|name| (HeaderName::try_from(*name).unwrap(), "1".parse().unwrap())).collect();
        let passed = |name: &str| is_passed_on(&HeaderName::try_from(name).unwrap(), &headers);
        for name in ["x-api-key", "api_key", "x-forwarded-for", "hostile_key"] {
            assert!(passed(name), "{name}");
        }
        for name in ["x_api_key", "x_forwarded_for", "x-forwarded_proto", "content_type", "x_exh_requesting_user_id"] {
            assert!(!passed(name), "{name}");
        }
    }
}
