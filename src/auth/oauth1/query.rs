//! The parameters that a query adds to the signature, in both ways in which clients read a query.

use percent_encoding::percent_decode;

use super::qs;

/// A parameter's decoded name and value. Bytes, because a query's escapes need not be UTF-8.
pub(super) type Parameter = (Vec<u8>, Vec<u8>);

/// The readings of a query that a client may have signed, the more likely one first; only one if they agree.
///
/// The official clients read the query with the npm package qs, which folds brackets, and leave out parameters that have
/// the name of one in the header. RFC 5849 (§3.4.1.3.1) reads it as a form. Either signature proves that the signer knows
/// the secrets.
///
/// A form in the body adds its parameters to both.
pub(super) fn readings(query: &str, body: Option<&[u8]>, signed: &[(String, String)]) -> Vec<Vec<Parameter>> {
    let own: Vec<Parameter> =
        signed.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())).collect();
    let in_body = body.map(form).unwrap_or_default();
    let by_form = form(query.as_bytes()).into_iter().chain(own.iter().cloned()).collect::<Vec<_>>();
    let by_qs = qs::parameters(query).map(|parameters| {
        let others = parameters.into_iter().filter(|(name, _)| signed.iter().all(|(own, _)| own != name));
        let others = others.map(|(name, value)| (name.into_bytes(), value.into_bytes()));
        others.chain(own).collect::<Vec<_>>()
    });
    let mut readings: Vec<_> = by_qs.into_iter().chain([by_form]).collect();
    for reading in &mut readings {
        reading.extend(in_body.iter().cloned());
        reading.sort();
    }
    readings.dedup();
    readings
}

/// A parameter of OAuth's own in the query or the body. Signatures of the official clients do not cover it there; it belongs
/// in the header.
pub(crate) fn misplaced(url: &str, body: Option<&[u8]>) -> Option<String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let named = |parameters: Vec<Parameter>, is_misplaced: &dyn Fn(&str) -> bool| {
        let names = parameters.into_iter().map(|(name, _)| String::from_utf8_lossy(&name).into_owned());
        names.into_iter().find(|name| is_misplaced(name))
    };
    let is_of_oauth = |name: &str| name.starts_with("oauth_");
    named(form(query.as_bytes()), &is_of_oauth).or_else(|| named(body.map(form).unwrap_or_default(), &is_of_oauth))
}

/// The parameters of an `application/x-www-form-urlencoded` string.
fn form(text: &[u8]) -> Vec<Parameter> {
    let decoded = |text: &[u8]| {
        let text: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&text).collect::<Vec<u8>>()
    };
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        })
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_brackets_repeats_and_bytes_that_are_not_utf8() {
        let pairs = form(b"a[]=1&a[]=%FF&b&c+d=e%2B&&=x");
        let expected: [(&[u8], &[u8]); 5] =
            [(b"a[]", b"1"), (b"a[]", b"\xff"), (b"b", b""), (b"c d", b"e+"), (b"", b"x")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_vec(), value.to_vec())));
    }

    #[test]
    fn the_parameters_of_a_form_are_signed_with_those_of_the_query() {
        let pairs = |reading: &[Parameter]| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            reading.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect::<Vec<_>>()
        };
        let signed = [("oauth_nonce".to_owned(), "n".to_owned())];
        let readings = readings("b=2&a[c]=3", Some(b"a=1&b=x+y%26z&a=2"), &signed);
        assert_eq!(readings.len(), 1);
        assert_eq!(pairs(&readings[0]), ["a=1", "a=2", "a[c]=3", "b=2", "b=x y&z", "oauth_nonce=n"]);
    }

    #[test]
    fn oauth_parameters_are_allowed_only_in_the_header() {
        for (url, body, found) in [
            ("http://x/?a=1", None, None),
            ("http://x/?oauth_nonce=limit", None, Some("oauth_nonce")),
            ("http://x/?a&%6Fauth_x", None, Some("oauth_x")),
            ("http://x/", Some(&b"a=1&oauth_token=x"[..]), Some("oauth_token")),
            ("http://x/oauth_?xoauth_=1", Some(b"oauth=1"), None),
        ] {
            assert_eq!(misplaced(url, body).as_deref(), found, "{url}");
        }
    }
}
