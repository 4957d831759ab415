//! The head of a request, as the arguments of handlers read it.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, Method, Uri, Version, header, request::Parts};
use percent_encoding::percent_decode_str;

use super::{connection::ClientAddress, endpoint::PathValues, public_url::PublicUrl};

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
    path_values: PathValues,
    /// The URL that clients use, where it differs from what reaches this process.
    public_url: Option<PublicUrl>,
}

impl Head {
    /// The head of a request. `path_values` are the parts of its path that matched the endpoint's `{…}`.
    pub fn new(parts: Parts, path_values: PathValues) -> Self {
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        let Parts { method, uri, headers, version, .. } = parts;
        Self { method, uri, headers, version, address, path_values, public_url: None }
    }

    /// The same, of a service that clients reach by this URL.
    pub fn reached_by(self, public_url: Option<&PublicUrl>) -> Self {
        Self { public_url: public_url.cloned(), ..self }
    }

    /// The scheme and host by which the client reached the service.
    pub fn service_url(&self) -> String {
        if let Some(public) = &self.public_url {
            return format!("{}://{}", public.scheme(), public.authority());
        }
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let authority = self.uri.authority().map(|authority| authority.as_str()).or(host).unwrap_or("localhost");
        format!("{scheme}://{authority}")
    }

    /// The part of the path that matched the endpoint's first `{…}`, percent-decoded. Invalid UTF-8 decodes to a string that
    /// is not a valid id or name.
    pub fn path_value(&self) -> Cow<'_, str> {
        percent_decode_str(&self.path_values.first).decode_utf8_lossy()
    }

    /// The part that matched the second `{…}`, in the same way.
    pub fn second_path_value(&self) -> Cow<'_, str> {
        percent_decode_str(&self.path_values.second).decode_utf8_lossy()
    }

    /// The first part, still percent-encoded.
    pub fn raw_path_value(&self) -> &str {
        &self.path_values.first
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
            Head::new(parts, PathValues { first: value.to_owned(), ..PathValues::default() }).path_value().into_owned()
        };
        assert_eq!(value("in%2Dvoices"), "in-voices");
        assert_eq!(value("a%2Fb"), "a/b");
        assert_eq!(value("%FF"), "\u{fffd}");
    }
}
