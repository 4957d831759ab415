//! OAuth headers, URLs and signatures from strangers.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Method, Url};
use tasklane_client::{OAuth1Keys, oauth1::authorization};
use tasklane_model::Secret;

use super::{
    OAuthHeader, Secrets, Signed, query,
    signature::{SignedUrl, base_string, sign},
    verify,
};

const SECRETS: Secrets<'_> = Secrets { consumer: b"kd94hf93k423kf44", token: b"pfkkdhi9sl3r4s00" };
const OTHERS: Secrets<'_> = Secrets { consumer: b"kd94hf93k423kf44", token: b"pfkkdhi9sl3r4s01" };

/// Reads the bytes as three lines: a method, an absolute URL, and the header's content after `OAuth `.
///
/// With the secrets, every accepted request can be signed; a signature is valid for no other secret, nonce, method, path
/// or query; and the signatures of our own client are accepted.
pub fn oauth1(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let (Some(method), Some(url)) = (lines.next(), lines.next()) else { return };
    if let Some(Ok(header)) = lines.next().map(OAuthHeader::parse) {
        let _ = verify(Signed { method, url, form: None }, &header, &SECRETS);
        check(method, url, header);
    }
    check_client(method, url);
}

fn check(method: &str, url: &str, mut header: OAuthHeader) {
    let Some(signed) = SignedUrl::parse(url) else { return };
    let readings = query::readings(signed.query, None, &header.signed);
    for (base, reading) in signed.bases.iter().flat_map(|base| readings.iter().map(move |reading| (base, reading))) {
        header.signature = BASE64_STANDARD.encode(sign(&base_string(method, base, reading), &SECRETS));
        assert!(
            verify(Signed { method, url, form: None }, &header, &SECRETS),
            "a valid signature is refused: {method} {url}"
        );
        assert!(
            !verify(Signed { method, url, form: None }, &header, &OTHERS),
            "it is valid for other secrets: {method} {url}"
        );
        assert!(
            !verify(Signed { method: &format!("{method}X"), url, form: None }, &header, &SECRETS),
            "it is valid for another method: {method} {url}"
        );
        if !url.contains(['?', '#']) {
            assert!(
                !verify(Signed { method, url: &format!("{url}/x"), form: None }, &header, &SECRETS),
                "it is valid for another path: {method} {url}"
            );
        }
        // The clients leave parameters out of the query that the header names, too, and brackets hide everything below them.
        if !header.signed.iter().any(|(name, _)| name == "zz") && !url.contains(['#', '[', ']', '%']) {
            let joint = if url.contains('?') { '&' } else { '?' };
            let more = format!("{url}{joint}zz=1");
            assert!(
                !verify(Signed { method, url: &more, form: None }, &header, &SECRETS),
                "it is valid for another query: {method} {url}"
            );
        }
    }
    let nonce = header.signed.iter_mut().find(|(name, _)| name == "oauth_nonce");
    if let Some((_, nonce)) = nonce {
        nonce.push('0');
        assert!(
            !verify(Signed { method, url, form: None }, &header, &SECRETS),
            "it is valid for another nonce: {method} {url}"
        );
    }
}

fn check_client(method: &str, url: &str) {
    // Methods differ by case, but signatures do not; clients write methods in capitals.
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return;
    }
    let (Ok(method), Ok(url)) = (method.parse::<Method>(), Url::parse(url)) else { return };
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let keys = OAuth1Keys {
        consumer_key: "dpf43f3p2l4k3l03".to_owned(),
        consumer_secret: Secret::new(text(SECRETS.consumer)),
        token: Some(("nnch734d00sl2jdk".to_owned(), Secret::new(text(SECRETS.token)))),
    };
    let value = authorization(&keys, &method, &url, "kllo9940pd9333jh", 1_191_242_096);
    let header = value.strip_prefix("OAuth ").map(OAuthHeader::parse);
    let Some(Ok(header)) = header else { panic!("the client's header cannot be read: {value}") };
    assert!(
        verify(Signed { method: method.as_str(), url: url.as_str(), form: None }, &header, &SECRETS),
        "the client's own signature: {method} {url}"
    );
}
