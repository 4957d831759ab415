//! Requests with hand-made OAuth 1.0a signatures: for another URL than they are sent to, or to be sent twice.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The Authorization header of a GET for `target` at `base_url`, with the credentials in a data folder.
pub fn signed(credentials: &HashMap<String, String>, base_url: &str, target: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).unwrap();
    let oauth = [
        ("oauth_consumer_key", credentials["API_OAUTH_CONSUMER_KEY"].clone()),
        ("oauth_token", credentials["API_OAUTH_TOKEN"].clone()),
        ("oauth_nonce", hex::encode(nonce)),
        ("oauth_timestamp", jiff::Timestamp::now().as_second().to_string()),
        ("oauth_signature_method", "HMAC-SHA1".to_owned()),
    ];
    let of_query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        format!("{}={}", encode(name), encode(value))
    });
    let mut parameters: Vec<_> =
        oauth.iter().map(|(name, value)| format!("{name}={}", encode(value))).chain(of_query).collect();
    parameters.sort();
    let base = ["GET", &format!("{base_url}{path}"), &parameters.join("&")].map(encode).join("&");
    let key = [&credentials["API_OAUTH_CONSUMER_SECRET"], &credentials["API_OAUTH_TOKEN_SECRET"]]
        .map(|secret| encode(secret));
    let mut mac = Hmac::<Sha1>::new_from_slice(key.join("&").as_bytes()).unwrap();
    mac.update(base.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let fields = oauth.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value)));
    let fields: Vec<_> = fields.chain([format!("oauth_signature=\"{}\"", encode(&signature))]).collect();
    format!("OAuth {}", fields.join(", "))
}
