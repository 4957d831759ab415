//! Why a token is refused.

/// Why a token is not acceptable, phrased to follow "The access token".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidToken(pub &'static str);

/// Why a token with a valid signature is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    Expired,
    Invalid(InvalidToken),
}
