//! OAuth 1.0a (RFC 5849), HMAC-SHA1, in the `Authorization` header: the only form that the official clients use.
//!
//! Of all bodies only forms can be part of the signature (RFC 5849 §3.4.1.3.1), and only if the client signed them. The
//! official clients do not sign bodies.

#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod header;
mod qs;
mod query;
mod signature;

pub(super) use header::OAuthHeader;
pub(super) use query::misplaced;
pub(super) use signature::{Secrets, Signed, verify};
