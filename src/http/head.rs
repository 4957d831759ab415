//! The head of a request, as handlers' arguments read it.

use std::net::IpAddr;

use http::{HeaderMap, Method, Uri, Version, request::Parts};
use percent_encoding::percent_decode_str;

use super::serve::ClientAddress;

/// Everything of a request but its body.
#[derive(Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target as it was sent: nothing decoded, nothing normalised.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The version of HTTP.
    pub version: Version,
    /// Where the request came from, when that is known.
    pub address: Option<IpAddr>,
    path_values: Vec<String>,
}

impl Head {
    /// The head of a request to the endpoint of this template, as `/tasks/v1/{taskId}/logs`.
    pub fn new(parts: Parts, template: &str) -> Self {
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        let Parts { method, uri, headers, version, .. } = parts;
        let path_values = template
            .split('/')
            .zip(uri.path().split('/'))
            .filter(|(expected, _)| expected.starts_with('{'))
            .map(|(_, found)| percent_decode_str(found).decode_utf8_lossy().into_owned())
            .collect();
        Self { method, uri, headers, version, address, path_values }
    }

    /// The head of a request without headers.
    #[cfg(test)]
    pub fn get(target: &str, template: &str) -> Self {
        Self::new(http::Request::get(target).body(()).unwrap().into_parts().0, template)
    }

    /// What stands in the path for the template's first `{…}`, percent-decoded. What is no UTF-8 comes out as
    /// something that no id and no name is.
    pub fn path_value(&self) -> &str {
        self.path_values.first().map_or("", String::as_str)
    }

    /// The query as it was sent, without its `?`.
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_values_are_decoded_and_stay_in_their_segment() {
        let value = |path: &str| Head::get(path, "/functions/{name}/logs").path_value().to_owned();
        assert_eq!(value("/functions/in%2Dvoices/logs"), "in-voices");
        assert_eq!(value("/functions/a%2Fb/logs/"), "a/b");
        assert_eq!(value("/functions/%FF/logs"), "\u{fffd}");
        assert_eq!(value("/functions//logs"), "");
    }
}
