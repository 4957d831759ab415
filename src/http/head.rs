//! The head of a request, as the arguments of handlers read it.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, Method, Uri, Version, request::Parts};
use percent_encoding::percent_decode_str;

use super::connection::ClientAddress;

/// Everything in a request except its body.
#[derive(Debug)]
pub struct Head {
    pub method: Method,
    /// The target as the client sent it, neither decoded nor normalised.
    pub uri: Uri,
    pub headers: HeaderMap,
    pub version: Version,
    /// The client's address, if known.
    pub address: Option<IpAddr>,
    path_value: String,
}

impl Head {
    /// The head of a request. `path_value` is the part of its path that matched the endpoint's `{…}`.
    pub fn new(parts: Parts, path_value: String) -> Self {
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        let Parts { method, uri, headers, version, .. } = parts;
        Self { method, uri, headers, version, address, path_value }
    }

    /// The part of the path that matched the endpoint's `{…}`, percent-decoded. Invalid UTF-8 decodes to a string that
    /// is not a valid id or name.
    pub fn path_value(&self) -> Cow<'_, str> {
        percent_decode_str(&self.path_value).decode_utf8_lossy()
    }

    /// The same part, still percent-encoded.
    pub fn raw_path_value(&self) -> &str {
        &self.path_value
    }

    /// The query as the client sent it, without its `?`.
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_values_are_decoded() {
        let value = |value: &str| {
            let parts = http::Request::get("/").body(()).unwrap().into_parts().0;
            Head::new(parts, value.to_owned()).path_value().into_owned()
        };
        assert_eq!(value("in%2Dvoices"), "in-voices");
        assert_eq!(value("a%2Fb"), "a/b");
        assert_eq!(value("%FF"), "\u{fffd}");
    }
}
