//! An unverified JWT (RFC 7519, in the compact form of RFC 7515 §7.1).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::{algorithm::Algorithm, claims::Claims, refusal::InvalidToken};

/// Longer tokens are refused. API Gateway accepts 10 KB of headers in total.
const MAX_BYTES: usize = 16 * 1024;

/// A parsed token that has not been verified.
pub struct Token<'a> {
    /// The algorithm that it claims to be signed with.
    pub algorithm: Algorithm,
    /// The id of the key that it claims to be signed with.
    pub key_id: Option<String>,
    pub claims: Claims,
    /// The signed part.
    pub signed: &'a str,
    pub signature: Vec<u8>,
}

/// A token may carry or name its own key (`jwk`, `jku`, `x5c`, `x5u`), which is always ignored.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    /// Parses a token. The signature and the claims are not checked.
    pub fn parse(text: &'a str) -> Result<Self, InvalidToken> {
        const NOT_A_JWT: InvalidToken = InvalidToken("is not a JWT");
        if text.len() > MAX_BYTES {
            return Err(InvalidToken("is longer than 16 KB"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(NOT_A_JWT)?;
        let (header, payload) = signed.split_once('.').ok_or(NOT_A_JWT)?;
        // A second dot in the payload would not be base64, so there are three parts from here on.
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| NOT_A_JWT);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header: Header = serde_json::from_slice(&header).map_err(|_| NOT_A_JWT)?;
        let claims = serde_json::from_slice(&payload).map(Claims::new).map_err(|_| NOT_A_JWT)?;
        if header.crit.is_some() {
            return Err(InvalidToken("requires an extension (crit) that is not supported"));
        }
        if !header.typ.is_none_or(|typ| is_access_token(&typ)) {
            return Err(InvalidToken("is not an access token by its type (typ)"));
        }
        let algorithm = Algorithm::named(&header.alg).ok_or(InvalidToken("is signed with an unsupported algorithm"))?;
        Ok(Self { algorithm, key_id: header.kid, claims, signed, signature })
    }
}

/// Issuers sign other things with the same keys, for the same audience: logout tokens, proofs, events. Their type says so
/// (RFC 8725 §3.11); access tokens say `at+jwt` (RFC 9068 §2.1), `JWT`, or nothing.
fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    ["jwt", "at+jwt"].contains(&typ.strip_prefix("application/").unwrap_or(&typ))
}
