//! OAuth 1.0a signatures: HMAC-SHA1, in the `Authorization` header (RFC 5849 §3.4, §3.5.1).

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use reqwest::{Method, Url};
use sha1::Sha1;

use super::OAuth1Keys;

/// All characters that are encoded (RFC 5849 §3.6).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The value of the `Authorization` header for one request. `timestamp` is in seconds since 1970. No two
/// requests of the same second may have the same `nonce`.
pub fn authorization(keys: &OAuth1Keys, method: &Method, url: &Url, nonce: &str, timestamp: i64) -> String {
    let timestamp = timestamp.to_string();
    let mut oauth = vec![
        ("oauth_consumer_key", keys.consumer_key.as_str()),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", &timestamp),
        ("oauth_version", "1.0"),
    ];
    if let Some((token, _)) = &keys.token {
        oauth.push(("oauth_token", token));
    }
    let signature = sign(keys, &base_string(method, url, &oauth));
    oauth.push(("oauth_signature", &signature));

    let mut header = String::from("OAuth ");
    for (index, (name, value)) in oauth.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a `String` cannot fail.
        let _ = write!(header, "{separator}{name}=\"{}\"", encode(value));
    }
    header
}

/// RFC 5849 §3.4.1: the method, the URL without its query, and all parameters, including the query's.
fn base_string(method: &Method, url: &Url, oauth: &[(&str, &str)]) -> String {
    let mut parameters: Vec<(String, String)> = url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode_bytes(&decode(name)), encode_bytes(&decode(value))))
        .chain(oauth.iter().map(|(name, value)| (encode(name), encode(value))))
        .collect();
    parameters.sort();
    let parameters: Vec<_> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut address = url.clone();
    address.set_query(None);
    address.set_fragment(None);
    [method.as_str(), address.as_str(), &parameters.join("&")].map(encode).join("&")
}

fn sign(keys: &OAuth1Keys, base_string: &str) -> String {
    let token_secret = keys.token.as_ref().map_or("", |(_, secret)| secret.expose());
    let key = format!("{}&{}", encode(keys.consumer_secret.expose()), encode(token_secret));
    // HMAC accepts keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key.as_bytes()) else { return String::new() };
    mac.update(base_string.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

/// Decodes a part of a query as `application/x-www-form-urlencoded`. Bytes, because its escapes need not be UTF-8.
fn decode(text: &str) -> Vec<u8> {
    percent_decode(text.replace('+', " ").as_bytes()).collect()
}

fn encode(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

fn encode_bytes(bytes: &[u8]) -> String {
    percent_encode(bytes, UNRESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasklane_model::Secret;

    fn keys(token: Option<(&str, &str)>) -> OAuth1Keys {
        OAuth1Keys {
            consumer_key: "dpf43f3p2l4k3l03".to_owned(),
            consumer_secret: Secret::new("kd94hf93k423kf44"),
            token: token.map(|(token, secret)| (token.to_owned(), Secret::new(secret))),
        }
    }

    /// The worked example of OAuth Core 1.0a, appendix A.5, which includes `oauth_version`, as we do.
    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let url = Url::parse("http://photos.example.net/photos?file=vacation.jpg&size=original").unwrap();
        let keys = keys(Some(("nnch734d00sl2jdk", "pfkkdhi9sl3r4s00")));
        let header = authorization(&keys, &Method::GET, &url, "kllo9940pd9333jh", 1_191_242_096);
        assert!(header.contains(r#"oauth_signature="tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D""#), "{header}");
        assert!(header.starts_with(r#"OAuth oauth_consumer_key="dpf43f3p2l4k3l03", "#), "{header}");
        assert!(header.contains(r#"oauth_token="nnch734d00sl2jdk""#), "{header}");
    }

    #[test]
    fn an_application_alone_signs_without_a_token() {
        let url = Url::parse("http://localhost:4000/tasks/v1/").unwrap();
        assert!(!authorization(&keys(None), &Method::GET, &url, "n", 1).contains("oauth_token"));
    }

    #[test]
    fn escapes_that_are_not_utf8_are_signed_as_bytes() {
        let url = Url::parse("http://localhost:4000/?a+b=%FF").unwrap();
        assert_eq!(base_string(&Method::GET, &url, &[]), "GET&http%3A%2F%2Flocalhost%3A4000%2F&a%2520b%3D%25FF");
    }

    #[test]
    fn rql_is_signed_as_a_name_without_a_value() {
        let url = Url::parse("http://localhost:4000/tasks/v1/?eq(name,a%2520b)&limit(5)").unwrap();
        let base = base_string(&Method::GET, &url, &[]);
        assert_eq!(
            base,
            "GET&http%3A%2F%2Flocalhost%3A4000%2Ftasks%2Fv1%2F&eq%2528name%252Ca%252520b%2529%3D%26limit%25285%2529%3D"
        );
    }
}
