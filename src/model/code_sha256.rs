//! The hash that identifies a Function's code.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a code package, written in base64 as Lambda's `CodeSha256` is. That of a container image is its digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeSha256([u8; 32]);

/// The string is not the base64 of a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a SHA-256 in base64")]
pub struct InvalidCodeSha256;

impl CodeSha256 {
    /// Hashes a package.
    pub fn of(code: &[u8]) -> Self {
        Self(Sha256::digest(code).into())
    }

    /// The hash with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the hash as Lambda writes it: in base64 for a zip, in hexadecimal for a container image, perhaps as a digest.
    pub fn of_lambda(text: &str) -> Result<Self, InvalidCodeSha256> {
        match Self::of_hex(text.strip_prefix("sha256:").unwrap_or(text)) {
            Some(hash) => Ok(hash),
            None => text.parse(),
        }
    }

    /// The hash that is written in hexadecimal, such as in the digest of an image.
    pub fn of_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The hash in hexadecimal, which unlike base64 can be a file name.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for CodeSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for CodeSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodeSha256({self})")
    }
}

impl FromStr for CodeSha256 {
    type Err = InvalidCodeSha256;
    fn from_str(text: &str) -> Result<Self, InvalidCodeSha256> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| InvalidCodeSha256)?;
        bytes.try_into().map(Self).map_err(|_| InvalidCodeSha256)
    }
}

impl TryFrom<String> for CodeSha256 {
    type Error = InvalidCodeSha256;
    fn try_from(text: String) -> Result<Self, InvalidCodeSha256> {
        text.parse()
    }
}

impl From<CodeSha256> for String {
    fn from(hash: CodeSha256) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_form_of_lambdas_code_sha256() {
        let hash = CodeSha256::of(b"");
        assert_eq!(hash.to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(hash.to_hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(CodeSha256::of_lambda(&hash.to_hex()), Ok(hash));
        assert_eq!(CodeSha256::of_lambda(&format!("sha256:{}", hash.to_hex())), Ok(hash));
        assert_eq!(CodeSha256::of_lambda(&hash.to_string()), Ok(hash));
        assert_eq!(CodeSha256::of_lambda("sha256:"), Err(InvalidCodeSha256));
        assert_eq!(CodeSha256::of_hex("e3b0"), None);
        for text in ["", "abc=", "47DEQpj8HBSa", "!"] {
            assert_eq!(text.parse::<CodeSha256>(), Err(InvalidCodeSha256), "{text}");
        }
    }
}
