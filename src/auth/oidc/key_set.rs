//! The keys that an issuer publishes (a JWK Set, RFC 7517 §5).

use serde::Deserialize;
use serde_json::Value;

use super::{key::Key, token::Token};

/// More keys than that nobody publishes.
const MOST_KEYS: usize = 100;

/// The keys of an issuer that are of use here.
pub struct KeySet(Vec<Key>);

/// Why a document is no JWK Set.
#[derive(Debug, thiserror::Error)]
#[error("it is no JWK Set: {0}")]
pub struct InvalidKeySet(String);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a document. Keys of other kinds and for other uses are passed over (RFC 7517 §5); that none is left is no
    /// error, because an issuer may withdraw its last one.
    pub fn parse(document: &[u8]) -> Result<Self, InvalidKeySet> {
        let document: Document = serde_json::from_slice(document).map_err(|error| InvalidKeySet(error.to_string()))?;
        if document.keys.len() > MOST_KEYS {
            return Err(InvalidKeySet(format!("it holds more than {MOST_KEYS} keys")));
        }
        Ok(Self(document.keys.into_iter().filter_map(Key::of_jwk).collect()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the key is here that the token names; for a token that names none, whether it can only be one.
    pub fn has_key_of(&self, token: &Token<'_>) -> bool {
        !self.candidates(token).is_empty()
    }

    /// Whether the token's signature is good.
    pub fn verify(&self, token: &Token<'_>) -> bool {
        let (message, signature) = (token.signed.as_bytes(), &token.signature);
        self.candidates(token).into_iter().any(|key| key.verifies(token.algorithm, message, signature))
    }

    fn candidates(&self, token: &Token<'_>) -> Vec<&Key> {
        match &token.key_id {
            Some(id) => self.0.iter().filter(|key| key.id.as_ref() == Some(id)).collect(),
            None => {
                let fitting: Vec<_> = self.0.iter().filter(|key| key.takes(token.algorithm)).collect();
                // A guess among several would make every key answer for every token.
                if fitting.len() == 1 { fitting } else { Vec::new() }
            }
        }
    }
}
