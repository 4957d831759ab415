//! OAuth 1.0a (RFC 5849), HMAC-SHA1, in the `Authorization` header: the one form that the official clients use.
//!
//! Of bodies only forms take part in the signature (RFC 5849 §3.4.1.3.1), and only where their client signed them: the
//! official clients sign no body.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod header;
mod qs;
mod query;
mod signature;

pub(super) use header::OAuthHeader;
pub(super) use query::misplaced;
pub(super) use signature::{Secrets, Signed, verify};
