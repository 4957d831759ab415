//! OAuth 1.0a (RFC 5849), HMAC-SHA1, in the `Authorization` header: the one form that the official clients use.
//!
//! Bodies take no part in the signature, form-encoded ones either: the official clients sign none.

#[cfg(any(test, feature = "fuzzing"))]
#[cfg(feature = "cli")]
pub(crate) mod fuzz;
mod header;
mod qs;
mod query;
mod signature;

pub(super) use header::OAuthHeader;
pub(super) use signature::{Secrets, verify};
