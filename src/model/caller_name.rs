//! The names of callers: users and applications.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::checked_text;

/// Checks a caller's name, or a permission's: 1–128 visible ASCII characters, because it travels in a header.
pub(super) fn check(name: String) -> Result<String, InvalidCallerName> {
    let fits = (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(name) } else { Err(InvalidCallerName) }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, min_length = 1, max_length = 128)]
        pub struct $name(String);

        impl $name {
            /// Accepts 1–128 visible ASCII characters.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidCallerName> {
                check(text.into()).map(Self)
            }
        }

        checked_text!($name, InvalidCallerName);
    };
}

/// The string is not a valid user id, application id or permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 visible ASCII characters without spaces")]
pub struct InvalidCallerName;

name_type! {
    /// The id of a user, as the administrator or the OIDC issuer gave it.
    UserId
}
impl From<super::ObjectId> for UserId {
    fn from(id: super::ObjectId) -> Self {
        Self(id.to_string())
    }
}

name_type! {
    /// The id of an application that users log in through.
    ApplicationId
}
