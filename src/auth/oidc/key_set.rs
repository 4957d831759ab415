//! The keys that an issuer publishes (a JWK Set, RFC 7517 §5).

use serde::Deserialize;
use serde_json::Value;

use super::{key::Key, token::Token};

const MOST_KEYS: usize = 100;

/// The usable keys of an issuer.
pub struct KeySet(Vec<Key>);

/// Why a document is not a JWK Set.
#[derive(Debug, thiserror::Error)]
#[error("not a JWK Set: {0}")]
pub struct InvalidKeySet(String);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a document. Keys of other kinds and for other uses are ignored (RFC 7517 §5). An empty set is valid, because an
    /// issuer may withdraw its last key.
    pub fn parse(document: &[u8]) -> Result<Self, InvalidKeySet> {
        let document: Document = serde_json::from_slice(document).map_err(|error| InvalidKeySet(error.to_string()))?;
        if document.keys.len() > MOST_KEYS {
            return Err(InvalidKeySet(format!("it holds more than {MOST_KEYS} keys")));
        }
        Ok(Self(document.keys.into_iter().filter_map(Key::of_jwk).collect()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set holds the key that the token names; if the token names none, whether only one key is possible.
    pub fn has_key_of(&self, token: &Token<'_>) -> bool {
        !self.candidates(token).is_empty()
    }

    /// Whether the token's signature is valid.
    pub fn verify(&self, token: &Token<'_>) -> bool {
        let (message, signature) = (token.signed.as_bytes(), &token.signature);
        self.candidates(token).into_iter().any(|key| key.verifies(token.algorithm, message, signature))
    }

    fn candidates(&self, token: &Token<'_>) -> Vec<&Key> {
        match &token.key_id {
            Some(id) => self.0.iter().filter(|key| key.id.as_ref() == Some(id)).collect(),
            None => {
                let fitting: Vec<_> = self.0.iter().filter(|key| key.takes(token.algorithm)).collect();
                // Trying several would let every key sign every token.
                if fitting.len() == 1 { fitting } else { Vec::new() }
            }
        }
    }
}
