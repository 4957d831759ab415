//! Who is calling: OAuth 1.0a signatures and opaque tokens → [`Caller`](crate::model::Caller) (contract §7).

mod sealed;
mod source;

pub use sealed::{Sealed, SecretBox};
pub use source::{CredentialSource, StoredCredential};
