//! Access tokens of an OIDC issuer: JWTs, checked by the keys that the issuer publishes (contract §7).
//!
//! The signatures are checked by `ring`. What a JWT library would add is the form of a token and its claims, and here
//! both have to be stricter than the libraries are: the algorithm is the key's and not the token's to choose, `crit`
//! and foreign types are refused, and time is the service's clock.

mod algorithm;
mod claims;
mod config;
mod documents;
mod issuer;
mod key;
mod key_set;
mod refusal;
#[cfg(test)]
pub(crate) mod tests;
mod token;

pub use config::{InvalidOidcConfig, IssuerUrl, OidcConfig};
pub use documents::IssuerDocuments;
pub use issuer::Issuer;

/// Whether a bearer token has the form of a JWT: what is none may be an opaque token.
pub(super) fn looks_like_one(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}
