//! Opaque access tokens: 256 random bits, of which only a hash is stored.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Every access token begins with this, so that people and scanners for leaked secrets recognize it.
const PREFIX: &str = "tl_";
const BYTES: usize = 32;

/// The token of these random bytes.
pub(super) fn token_of(random: [u8; BYTES]) -> String {
    format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// The hash that is stored and looked up. `None`: this cannot be one of our tokens.
///
/// A plain hash is enough: 256 random bits cannot be guessed, so a slow hash would gain nothing.
pub fn hash(token: &str) -> Option<[u8; 32]> {
    let random = BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
    (random.len() == BYTES).then(|| Sha256::digest(token.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_is_a_token() {
        let token = token_of([0xfb; 32]);
        assert_eq!(token.len(), 46);
        assert_ne!(hash(&token), hash(&token_of([0xfc; 32])));
        let longer = format!("{token}A");
        for other in ["", "tl_", "tl_abc", &token[3..], &token[..45], &longer, &token.replace("tl_", "TL_")] {
            assert_eq!(hash(other), None, "{other}");
        }
    }
}
