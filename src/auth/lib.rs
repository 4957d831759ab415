//! Authentication: OAuth 1.0a signatures, opaque tokens and JWTs of an OIDC issuer → [`Caller`](tasklane_model::Caller)
//! (contract §7).

mod access_token;
mod authenticator;
mod cache;
mod credential;
mod guesses;
mod key_file;
mod nonces;
mod oauth1;
pub mod oidc;
mod password;
mod sealed;
mod source;
#[cfg(test)]
mod tests;

pub use access_token::hash as access_token_hash;
pub use authenticator::{AuthSettings, Authenticator, RequestParts};
pub use credential::{IssuedCredential, IssuedToken, issue, issue_token};
pub use guesses::GuessSettings;
pub use key_file::{KeyFile, KeyFileError};
pub use nonces::{NonceMemory, Sighting};
#[cfg(feature = "fuzzing")]
pub use oauth1::fuzz;
pub use password::{PasswordHash, Salt};
pub use sealed::{Sealed, SecretBox};
pub use source::{CredentialSource, OfAccount, StoredCredential};
