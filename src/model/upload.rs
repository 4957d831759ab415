//! Code that is sent ahead of the Function that it is for (contract §19).

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CodeSha256, FunctionName, Timestamp, UploadSize, text::checked_text};

/// A zip that a caller announced, and may send until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// The Function that it is for.
    pub function_name: FunctionName,
    /// The hash of the zip.
    pub sha256: CodeSha256,
    /// How many bytes the zip has.
    pub size: UploadSize,
    /// Until when it can be sent and used.
    pub expires: Timestamp,
    /// Nothing needs to be sent, because a version of the Function has these bytes.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub held: bool,
}

impl Upload {
    /// How long an upload can be sent and used.
    pub const LASTS: Duration = Duration::from_secs(15 * 60);
}

/// The id of an upload: 32 random hexadecimal digits. On one machine a caller who knows the id may send
/// the bytes, so nobody must be able to guess it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(description = "The id of an upload.", value_type = String, pattern = "^[0-9a-f]{32}$", example = "5f2b6c1de8a94f7785b3a1c09d4e6f20")]
pub struct UploadId(String);

/// The string is not an [`UploadId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be the id of an upload: 32 hexadecimal digits")]
pub struct InvalidUploadId;

impl UploadId {
    /// The id with these random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Self(hex::encode(random))
    }

    /// Checks an id by its rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidUploadId> {
        let text = text.into();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 32 && text.bytes().all(is_hex) { Ok(Self(text)) } else { Err(InvalidUploadId) }
    }
}

checked_text!(UploadId, InvalidUploadId);

impl fmt::Debug for UploadId {
    // It authorises, so logs have its first digits only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({}…)", &self.0[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_32_digits() {
        let id = UploadId::new([0x5f; 16]);
        assert_eq!(UploadId::parse(id.as_str()), Ok(id.clone()));
        assert_eq!(format!("{id:?}"), "UploadId(5f5f5f5f…)");
        for wrong in ["", "5f", &"5F".repeat(16), &"5f".repeat(17), &"../".repeat(11)[..32]] {
            assert_eq!(UploadId::parse(wrong), Err(InvalidUploadId), "{wrong}");
        }
    }
}
