//! A JWT as it came (RFC 7519, in the compact form of RFC 7515 §7.1): read, and not believed yet.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::{algorithm::Algorithm, claims::Claims, refusal::InvalidToken};

/// Longer ones are read no further. API Gateway takes 10 KB of headers in all.
const MAX_BYTES: usize = 16 * 1024;

/// What a token says of itself.
pub struct Token<'a> {
    /// How it says that it was signed.
    pub algorithm: Algorithm,
    /// The name of the key that it says it was signed with.
    pub key_id: Option<String>,
    /// What it says of its owner.
    pub claims: Claims,
    /// What was signed.
    pub signed: &'a str,
    /// The signature.
    pub signature: Vec<u8>,
}

/// A token may carry or name its own key (`jwk`, `jku`, `x5c`, `x5u`): that is never looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    /// Reads a token. Its signature and its claims are not checked.
    pub fn parse(text: &'a str) -> Result<Self, InvalidToken> {
        const NOT_A_JWT: InvalidToken = InvalidToken("is no JWT");
        if text.len() > MAX_BYTES {
            return Err(InvalidToken("is longer than 16 KB"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(NOT_A_JWT)?;
        let (header, payload) = signed.split_once('.').ok_or(NOT_A_JWT)?;
        // A second dot in the payload is no base64, so there are three parts from here on.
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| NOT_A_JWT);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header: Header = serde_json::from_slice(&header).map_err(|_| NOT_A_JWT)?;
        let claims = serde_json::from_slice(&payload).map(Claims::new).map_err(|_| NOT_A_JWT)?;
        if header.crit.is_some() {
            return Err(InvalidToken("asks for an extension (crit) that is not understood"));
        }
        if !header.typ.is_none_or(|typ| is_access_token(&typ)) {
            return Err(InvalidToken("is of a type that is no access token"));
        }
        let algorithm =
            Algorithm::named(&header.alg).ok_or(InvalidToken("is signed by an algorithm that is not taken"))?;
        Ok(Self { algorithm, key_id: header.kid, claims, signed, signature })
    }
}

/// Issuers sign other things with the same keys, for the same audience: logout tokens, proofs, events. They say so here
/// (RFC 8725 §3.11); access tokens say `at+jwt` (RFC 9068 §2.1), `JWT`, or nothing.
fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    ["jwt", "at+jwt"].contains(&typ.strip_prefix("application/").unwrap_or(&typ))
}
