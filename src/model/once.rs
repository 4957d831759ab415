//! Idempotency keys: a call that is repeated with its key has an effect only once (contract §11).

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApplicationId, Caller, Error, ErrorKind, Result, UserId, json::digest_of_object, text::chosen_key};

chosen_key! {
    /// What a caller names a call by, so that it can be repeated: 1 to 255 characters.
    IdempotencyKey, InvalidIdempotencyKey, "The name of this call, by which it can be repeated without a second effect.",
    example = "order-4711"
}

/// The name of the body's field that holds the key.
pub const IDEMPOTENCY_KEY: &str = "idempotencyKey";

/// A call's key and body. The same key with another body is an error (1501).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The key.
    pub key: IdempotencyKey,
    /// The body, without the key.
    pub body: BodyDigest,
}

/// A hash of a body, the same for bodies that are equal as JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest([u8; 32]);

impl BodyDigest {
    /// Hashes a JSON object, without the field with its idempotency key.
    pub fn of(object: &str) -> Self {
        Self(digest_of_object(object, IDEMPOTENCY_KEY))
    }

    /// The digest in hexadecimal.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyDigest({})", self.to_hex())
    }
}

/// A logged-in caller's calls of one endpoint, within which a key is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceScope {
    /// The user.
    pub user: UserId,
    /// The application that they are logged in through.
    pub application: Option<ApplicationId>,
    /// The endpoint.
    pub endpoint: String,
}

impl OnceScope {
    /// The scope of this caller's calls; 26 when nobody is logged in, because there is nobody to keep a key for.
    pub fn of(caller: &Caller, endpoint: impl Into<String>) -> Result<Self> {
        let Some(user) = caller.user_id() else {
            let message =
                "An idempotency key belongs to a user, and nobody is logged in: log in, or leave the key out.";
            return Err(Error::new(ErrorKind::IllegalArgument, message));
        };
        let application = caller.application_id().cloned();
        Ok(Self { user: user.clone(), application, endpoint: endpoint.into() })
    }
}

/// A record that a call with an idempotency key created.
#[derive(Clone, Debug, PartialEq)]
pub struct Made<T> {
    /// The record, as it is now.
    pub record: T,
    /// Whether an earlier call with the same key had begun to create it.
    pub is_replay: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Application, ApplicationId, ObjectId};

    #[test]
    fn a_key_has_1_to_255_characters() {
        assert!(IdempotencyKey::parse("ü".repeat(255)).is_ok());
        for text in [String::new(), "a".repeat(256)] {
            assert_eq!(IdempotencyKey::parse(text), Err(InvalidIdempotencyKey));
        }
    }

    #[test]
    fn a_key_needs_a_user() {
        let application =
            Caller::Application(Application { id: ApplicationId::parse("app").unwrap(), credential: ObjectId::LAST });
        for caller in [Caller::Nobody, application] {
            assert_eq!(OnceScope::of(&caller, "tasks").unwrap_err().kind(), ErrorKind::IllegalArgument);
        }
    }
}
