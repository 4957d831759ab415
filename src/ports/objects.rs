//! Keeps values that are too large for a row of the database.

use std::{fmt, str::FromStr};

use bytes::Bytes;

use super::{PortError, PortFuture};

/// Keeps values that are too large for a row of the database. Each is written once and then only read.
pub trait Objects: Send + Sync {
    /// Writes an object. It may be repeated with the same content.
    fn write_object<'a>(&'a self, key: &'a ObjectKey, content: Bytes) -> PortFuture<'a, Result<(), PortError>>;

    /// Reads an object. `None` if it does not exist, or not any more.
    fn read_object<'a>(&'a self, key: &'a ObjectKey) -> PortFuture<'a, Result<Option<Bytes>, PortError>>;

    /// A URL from which anybody who has it can read the object for some minutes. `None` where there is no server for
    /// that.
    fn object_url<'a>(&'a self, key: &'a ObjectKey) -> PortFuture<'a, Result<Option<String>, PortError>>;
}

/// How long an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// A day.
    ADay,
    /// As long as Tasks.
    AsTasks,
}

impl Keep {
    /// The beginning of the keys of all objects that are kept so long, by which they are found when their time is over.
    pub fn folder(self) -> &'static str {
        match self {
            Self::ADay => "day/",
            Self::AsTasks => "kept/",
        }
    }
}

/// The name of an object: a folder that says how long it is kept, and letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey(String);

/// The string is not an [`ObjectKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the key of an object")]
pub struct InvalidObjectKey;

impl ObjectKey {
    /// The key of the object with this name.
    pub fn new(keep: Keep, name: &str) -> Result<Self, InvalidObjectKey> {
        format!("{}{name}", keep.folder()).parse()
    }

    /// The key as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidObjectKey;

    fn from_str(text: &str) -> Result<Self, InvalidObjectKey> {
        let folders = [Keep::ADay, Keep::AsTasks].map(Keep::folder);
        let name = folders.iter().find_map(|folder| text.strip_prefix(folder)).unwrap_or_default();
        let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidObjectKey) }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_in_its_folder() {
        assert_eq!(ObjectKey::new(Keep::ADay, "a1-b2").unwrap().as_str(), "day/a1-b2");
        assert_eq!("kept/a".parse::<ObjectKey>().unwrap().to_string(), "kept/a");
        for text in ["", "a", "day/", "day/../key", "day/a/b", "kept/a.json", "other/a", "/etc/passwd"] {
            assert_eq!(text.parse::<ObjectKey>(), Err(InvalidObjectKey), "{text}");
        }
    }
}
