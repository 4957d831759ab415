//! The parameters that a query adds to the signature, in the two ways that clients read it.

use percent_encoding::percent_decode;

use super::qs;

/// A parameter's name and value, decoded. Bytes, for a query may hold escapes that are no text.
pub(super) type Parameter = (Vec<u8>, Vec<u8>);

/// The readings of a query that a client may have signed, the likelier first; one when they agree.
///
/// The official clients read it with the npm package qs, which folds brackets, and leave out what the OAuth
/// parameters of the header are named like; RFC 5849 (§3.4.1.3.1) takes it as a form. Either signature proves that
/// its maker knows the secrets.
pub(super) fn readings(query: &str, signed: &[(String, String)]) -> Vec<Vec<Parameter>> {
    let own: Vec<Parameter> =
        signed.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())).collect();
    let by_form = form(query).into_iter().chain(own.iter().cloned()).collect::<Vec<_>>();
    let by_qs = qs::parameters(query).map(|parameters| {
        let others = parameters.into_iter().filter(|(name, _)| signed.iter().all(|(own, _)| own != name));
        let others = others.map(|(name, value)| (name.into_bytes(), value.into_bytes()));
        others.chain(own).collect::<Vec<_>>()
    });
    let mut readings: Vec<_> = by_qs.into_iter().chain([by_form]).collect();
    for reading in &mut readings {
        reading.sort();
    }
    readings.dedup();
    readings
}

/// The query as `application/x-www-form-urlencoded`.
fn form(query: &str) -> Vec<Parameter> {
    let decoded = |text: &str| percent_decode(text.replace('+', " ").as_bytes()).collect::<Vec<u8>>();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_brackets_repeats_and_bytes_that_are_no_text() {
        let pairs = form("a[]=1&a[]=%FF&b&c+d=e%2B&&=x");
        let expected: [(&[u8], &[u8]); 5] =
            [(b"a[]", b"1"), (b"a[]", b"\xff"), (b"b", b""), (b"c d", b"e+"), (b"", b"x")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_vec(), value.to_vec())));
    }
}
