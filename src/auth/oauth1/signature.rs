//! Signature base strings (RFC 5849 §3.4.1) and their HMAC-SHA1.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha1::Sha1;
use subtle::{Choice, ConstantTimeEq};

use super::{
    header::OAuthHeader,
    query::{self, Parameter},
};

/// OAuth encodes everything but RFC 3986's unreserved characters (RFC 5849 §3.6).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secrets that a signature is made with.
pub(crate) struct Secrets<'a> {
    pub consumer: &'a [u8],
    /// The token secret; empty without a token.
    pub token: &'a [u8],
}

/// The parts of a request that a signature covers.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub method: &'a str,
    /// The absolute URL, as the client used it.
    pub url: &'a str,
    /// The body, if it is a form that was read.
    pub form: Option<&'a [u8]>,
}

/// Whether the header's signature is valid for the request. The official clients do not sign forms, so a signature that
/// leaves the form out is valid, too.
///
/// Takes the same time wherever a wrong signature differs.
pub(crate) fn verify(request: Signed<'_>, header: &OAuthHeader, secrets: &Secrets<'_>) -> bool {
    let Signed { method, url, form } = request;
    let Some(url) = SignedUrl::parse(url) else { return false };
    let given = BASE64_STANDARD.decode(&header.signature).unwrap_or_default();
    let mut readings = query::readings(url.query, None, &header.signed);
    if form.is_some() {
        readings.extend(query::readings(url.query, form, &header.signed));
    }
    let candidates = url.bases.iter().flat_map(|base| readings.iter().map(move |parameters| (base, parameters)));
    let fits = candidates.fold(Choice::from(0), |fits, (base, parameters)| {
        fits | Signature::of(&base_string(method, base, parameters), secrets).is(&given)
    });
    fits.into()
}

/// A valid signature. The only way to compare it takes the same time wherever the other one differs.
struct Signature([u8; 20]);

impl Signature {
    fn of(base_string: &str, secrets: &Secrets<'_>) -> Self {
        Self(sign(base_string, secrets))
    }

    fn is(&self, given: &[u8]) -> Choice {
        self.0.as_slice().ct_eq(given)
    }
}

pub(super) fn sign(base_string: &str, secrets: &Secrets<'_>) -> [u8; 20] {
    let key = format!("{}&{}", encode(secrets.consumer), encode(secrets.token));
    // An HMAC accepts keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key.as_bytes()) else { return [0; 20] };
    mac.update(base_string.as_bytes());
    mac.finalize().into_bytes().into()
}

pub(super) fn base_string(method: &str, base_url: &str, parameters: &[Parameter]) -> String {
    let mut pairs: Vec<_> = parameters.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort();
    let normalized = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let method = method.to_ascii_uppercase();
    [method.as_bytes(), base_url.as_bytes(), normalized.as_bytes()].map(encode).join("&")
}

fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, ENCODED).to_string()
}

/// The parts of a URL that a signature covers.
pub(super) struct SignedUrl<'a> {
    /// Scheme, host, port unless it is the scheme's default, and path (RFC 5849 §3.4.1.2). There are several if the client
    /// may have signed another path than the one that arrived: Node clients sign `'`, `|` and `^` unencoded but send them
    /// encoded; and they sign and send characters that are not allowed in URLs, which the server then encodes.
    pub(super) bases: Vec<String>,
    /// The query as it was sent.
    pub(super) query: &'a str,
}

impl<'a> SignedUrl<'a> {
    pub(super) fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = target.split_at(target.find('/').unwrap_or(target.len()));
        let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
        let default_port = match scheme.as_str() {
            "http" => ":80",
            "https" => ":443",
            _ => return None,
        };
        let host = authority.strip_suffix(default_port).unwrap_or(&authority);
        let path = if path.is_empty() { "/" } else { path };
        let unescaped = [("%27", "'"), ("%7C", "|"), ("%5E", "^")]
            .iter()
            .fold(path.to_owned(), |path, (escape, character)| path.replace(escape, character));
        let mut paths = vec![path.to_owned(), with_characters_unescaped(&unescaped), unescaped];
        paths.sort();
        paths.dedup();
        let bases = paths.into_iter().map(|path| format!("{scheme}://{host}{path}")).collect();
        Some(Self { bases, query })
    }
}

/// The path with escapes decoded where the character is not allowed in URLs.
fn with_characters_unescaped(path: &str) -> String {
    let bytes = path.as_bytes();
    let (mut written, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes.get(at..at + 3).filter(|_| *byte == b'%');
        let escaped = escaped.and_then(|escape| std::str::from_utf8(&escape[1..]).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(meant) if !meant.is_ascii() || b" \"<>`#".contains(&meant) => {
                written.push(meant);
                at += 3;
            }
            _ => {
                written.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(written).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile if a [`Signature`] can be compared with `==`, which stops at the first byte that differs.
    #[test]
    fn a_signature_can_only_be_compared_in_constant_time() {
        trait OneWay<Marker> {
            fn there_is_one_way() {}
        }
        struct ByEquality;
        impl<T> OneWay<()> for T {}
        impl<T: PartialEq> OneWay<ByEquality> for T {}
        <Signature as OneWay<_>>::there_is_one_way();

        let secrets = Secrets { consumer: b"c", token: b"t" };
        let signature = Signature::of("base", &secrets);
        let good = sign("base", &secrets);
        assert!(bool::from(signature.is(&good)));
        for wrong in [&good[..19], &[], &[good.as_slice(), &[0]].concat()] {
            assert!(!bool::from(signature.is(wrong)));
        }
        for at in 0..good.len() {
            let mut other = good;
            other[at] ^= 1;
            assert!(!bool::from(signature.is(&other)));
        }
    }

    #[test]
    fn the_base_url_is_as_in_rfc_5849() {
        for (url, base, query) in [
            ("http://EXAMPLE.COM:80/r%20v/X?id=123", "http://example.com/r%20v/X", "id=123"),
            ("https://www.example.net:8080/?q=1#part", "https://www.example.net:8080/", "q=1"),
            ("HTTPS://api.example.com:443", "https://api.example.com/", ""),
            ("http://localhost:443/a?b?c", "http://localhost:443/a", "b?c"),
            ("http://[::1]:4000/a", "http://[::1]:4000/a", ""),
        ] {
            let signed = SignedUrl::parse(url).unwrap();
            assert!(signed.bases.contains(&base.to_owned()), "{url}: {:?}", signed.bases);
            assert_eq!(signed.query, query);
        }
        assert!(SignedUrl::parse("/tasks/v1").is_none());
    }

    #[test]
    fn a_path_that_the_server_had_to_encode_may_be_signed_unencoded() {
        let signed = SignedUrl::parse("http://x/caf%C3%A9/a%20%3Cb%3E%2F%27").unwrap();
        for path in ["/caf%C3%A9/a%20%3Cb%3E%2F%27", "/café/a <b>%2F'"] {
            assert!(signed.bases.contains(&format!("http://x{path}")), "{:?}", signed.bases);
        }
    }

    #[test]
    fn the_base_string_of_rfc_5849_section_3_4_1() {
        let parameters = [
            ("b5", "=%3D"),
            ("a3", "a"),
            ("c@", ""),
            ("a2", "r b"),
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
            ("c2", ""),
            ("a3", "2 q"),
        ];
        let parameters = parameters.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        assert_eq!(
            base_string("post", "http://example.com/request", &parameters),
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26\
             c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26\
             oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
        );
    }
}
