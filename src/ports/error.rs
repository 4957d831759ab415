//! The error that every port shares.

/// A port failed, and not because of the caller: the log gets the cause, the caller gets error 1.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {cause}")]
pub struct PortError {
    /// What was being done.
    pub action: &'static str,
    /// Why it failed.
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

impl PortError {
    /// `action` failed because of `cause`.
    pub fn new(action: &'static str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { action, cause: cause.into() }
    }
}
