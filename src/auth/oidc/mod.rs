//! Access tokens of an OIDC issuer: JWTs, verified with the keys that the issuer publishes (contract §7).
//!
//! `ring` verifies the signatures. A JWT library would add the parsing of tokens and claims, but both have to be stricter
//! here than in the libraries: the key, not the token, determines the algorithm; `crit` and other token types are refused;
//! and the time comes from the service's clock.

mod algorithm;
mod claims;
mod config;
mod documents;
mod issuer;
mod key;
mod key_set;
mod refusal;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod token;

pub use config::{InvalidOidcConfig, IssuerUrl, OidcConfig};
pub use documents::IssuerDocuments;
pub use issuer::Issuer;

/// Whether a bearer token has the form of a JWT. Otherwise it may be an opaque token.
pub(super) fn looks_like_one(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}
