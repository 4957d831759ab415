//! The `Authorization` header (RFC 5849 §3.5.1).

use percent_encoding::percent_decode_str;

/// The parsed header. Its signature has not been checked yet.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OAuthHeader {
    pub consumer_key: String,
    /// `oauth_token`; `None` if it is absent or empty: no user is logged in.
    pub token: Option<String>,
    pub signature: String,
    /// `oauth_timestamp`, in seconds since 1970.
    pub timestamp: i64,
    pub nonce: String,
    /// Every signed parameter: all but `realm` and `oauth_signature`.
    pub signed: Vec<(String, String)>,
}

/// What is wrong with a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidHeader {
    /// Not a list of `name="value"`.
    #[error("expected parameters of the form name=\"value\", separated by commas")]
    Syntax,
    /// A value's percent-encoding is broken.
    #[error("a parameter is not percent-encoded UTF-8")]
    Encoding,
    /// A parameter occurs twice.
    #[error("{0} occurs twice")]
    Duplicate(&'static str),
    /// A parameter is absent or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A parameter has an unsupported value.
    #[error("{0}")]
    Unsupported(&'static str),
}

const CONSUMER_KEY: &str = "oauth_consumer_key";
const TOKEN: &str = "oauth_token";
const SIGNATURE: &str = "oauth_signature";
const METHOD: &str = "oauth_signature_method";
const TIMESTAMP: &str = "oauth_timestamp";
const NONCE: &str = "oauth_nonce";
const VERSION: &str = "oauth_version";

/// No client needs longer values; they would only waste memory.
const MAX_VALUE_BYTES: usize = 256;

impl OAuthHeader {
    /// Reads the part after the scheme's name.
    pub fn parse(text: &str) -> Result<Self, InvalidHeader> {
        let mut parameters = parameters(text)?;
        let known = [CONSUMER_KEY, TOKEN, SIGNATURE, METHOD, TIMESTAMP, NONCE, VERSION];
        for name in known {
            if parameters.iter().filter(|(found, _)| found == name).count() > 1 {
                return Err(InvalidHeader::Duplicate(name));
            }
        }
        let find = |name: &'static str| parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value);
        let need = |name: &'static str| {
            let value = find(name).filter(|value| !value.is_empty()).ok_or(InvalidHeader::Missing(name))?;
            if value.len() > MAX_VALUE_BYTES {
                return Err(InvalidHeader::Unsupported("a parameter is longer than 256 bytes"));
            }
            Ok(value.clone())
        };
        if need(METHOD)? != "HMAC-SHA1" {
            return Err(InvalidHeader::Unsupported("the signature method must be HMAC-SHA1"));
        }
        if find(VERSION).is_some_and(|version| version != "1.0") {
            return Err(InvalidHeader::Unsupported("the OAuth version must be 1.0"));
        }
        let timestamp = need(TIMESTAMP)?;
        let digits = timestamp.bytes().all(|b| b.is_ascii_digit());
        let timestamp = timestamp.parse().ok().filter(|_| digits);
        let (consumer_key, signature, nonce) = (need(CONSUMER_KEY)?, need(SIGNATURE)?, need(NONCE)?);
        let token = find(TOKEN).filter(|token| !token.is_empty()).cloned();
        let timestamp = timestamp
            .ok_or(InvalidHeader::Unsupported("oauth_timestamp must be a whole number of seconds since 1970"))?;
        parameters.retain(|(name, _)| name != SIGNATURE && !name.eq_ignore_ascii_case("realm"));
        Ok(Self { consumer_key, token, signature, timestamp, nonce, signed: parameters })
    }
}

/// `name="value"`, separated by commas and optional spaces.
fn parameters(text: &str) -> Result<Vec<(String, String)>, InvalidHeader> {
    let blank = [' ', '\t'];
    let mut found = Vec::new();
    let mut rest = text.trim_matches(blank);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(InvalidHeader::Syntax)?;
        let value = after.trim_start_matches(blank).strip_prefix('"').ok_or(InvalidHeader::Syntax)?;
        let (value, after) = value.split_once('"').ok_or(InvalidHeader::Syntax)?;
        found.push((decode(name.trim_matches(blank))?, decode(value)?));
        let after = after.trim_start_matches(blank);
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start_matches(blank),
            None if after.is_empty() => after,
            None => return Err(InvalidHeader::Syntax),
        };
    }
    Ok(found)
}

fn decode(text: &str) -> Result<String, InvalidHeader> {
    percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| InvalidHeader::Encoding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "oauth_consumer_key=\"k%2F1\", oauth_token=\"t\", oauth_signature=\"c2ln%3D\", \
                        oauth_signature_method=\"HMAC-SHA1\", oauth_timestamp=\"12\", oauth_nonce=\"n\", oauth_version=\"1.0\"";

    #[test]
    fn headers_of_the_sdk_are_read() {
        let header = OAuthHeader::parse(GOOD).unwrap();
        assert_eq!((header.consumer_key.as_str(), header.token.as_deref()), ("k/1", Some("t")));
        assert_eq!((header.signature.as_str(), header.timestamp, header.nonce.as_str()), ("c2ln=", 12, "n"));
        assert_eq!(header.signed.len(), 6);
    }

    #[test]
    fn spaces_and_a_realm_make_no_difference() {
        let spaced = GOOD.replace(", ", "\t ,\t").replace('=', " = ");
        let given = format!(" realm=\"a realm, with = and commas\",{spaced} ");
        assert!(OAuthHeader::parse(&given) == OAuthHeader::parse(GOOD));
    }

    #[test]
    fn an_empty_token_is_treated_as_absent_but_signed() {
        let header = OAuthHeader::parse(&GOOD.replace("oauth_token=\"t\"", "oauth_token=\"\"")).unwrap();
        assert_eq!(header.token, None);
        assert!(header.signed.contains(&("oauth_token".to_owned(), String::new())));
    }

    #[test]
    fn incomplete_or_duplicated_parameters_and_other_methods_are_refused() {
        let without = |name: &str| GOOD.replace(name, "other");
        for (given, expected) in [
            (without("oauth_consumer_key"), InvalidHeader::Missing(CONSUMER_KEY)),
            (without("oauth_signature=").replace("other", "other="), InvalidHeader::Missing(SIGNATURE)),
            (without("oauth_signature_method"), InvalidHeader::Missing(METHOD)),
            (without("oauth_timestamp"), InvalidHeader::Missing(TIMESTAMP)),
            (GOOD.replace("\"n\"", "\"\""), InvalidHeader::Missing(NONCE)),
            (format!("{GOOD}, oauth_nonce=\"m\""), InvalidHeader::Duplicate(NONCE)),
            (format!("{GOOD}, oauth%5Ftoken=\"m\""), InvalidHeader::Duplicate(TOKEN)),
        ] {
            assert_eq!(OAuthHeader::parse(&given).err(), Some(expected), "{given}");
        }
        for (from, to) in [
            ("HMAC-SHA1", "PLAINTEXT"),
            ("1.0", "2.0"),
            ("\"12\"", "\"-12\""),
            ("\"12\"", "\"+12\""),
            ("\"12\"", "\"1e3\""),
        ] {
            let error = OAuthHeader::parse(&GOOD.replace(from, to)).err();
            assert!(matches!(error, Some(InvalidHeader::Unsupported(_))), "{to}: {error:?}");
        }
        for given in ["oauth_nonce=n", "oauth_nonce=\"n", "oauth_nonce", "a=\"1\" b=\"2\"", "=", "\"\""] {
            assert_eq!(OAuthHeader::parse(given).err(), Some(InvalidHeader::Syntax), "{given}");
        }
        assert_eq!(OAuthHeader::parse(&GOOD.replace("k%2F1", "%FF")).err(), Some(InvalidHeader::Encoding));
        let long = GOOD.replace("\"n\"", &format!("\"{}\"", "n".repeat(257)));
        assert!(OAuthHeader::parse(&long).is_err());
    }

    proptest! {
        #[test]
        fn no_header_panics(any in any::<String>(), near in "(oauth_(nonce|token|timestamp)=\"?[0-9a%,]{0,4}\"?,? ?){0,5}") {
            let _ = (OAuthHeader::parse(&any), OAuthHeader::parse(&near));
        }
    }
}
