//! Errors of the store.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use tasklane_model::with_causes;

/// A failed read or write. Losing a race, not finding a record, or finding a name taken are results, not errors.
///
/// After [`StoreError::Unavailable`] it is unknown whether a write happened. All writes can be repeated without harm.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The call failed, timed out, or was refused.
    #[error("could not {action}: {cause}")]
    Unavailable {
        /// What was being done, following "could not".
        action: &'static str,
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The table exceeded its throughput, even after the SDK's retries.
    #[error("could not {action}: the table is over its throughput")]
    Throttled { action: &'static str },
    /// Every attempt met another transaction on the same record.
    #[error("could not {action}: others keep changing the same record")]
    Contended { action: &'static str },
    /// A row that this version cannot read, or that breaks the store's own rules.
    #[error("the row {key} of the table {table} cannot be read: {why}")]
    Corrupt { table: String, key: String, why: String },
    /// The record exceeds DynamoDB's limit on an item (400 KB).
    #[error("could not {action}: the record is larger than the 400 KB that DynamoDB stores")]
    TooLarge { action: &'static str },
    /// A list that did not find its page within its time budget (contract §8: 21).
    #[error("the query took more than its share of {budget_millis} ms")]
    QueryBudget {
        budget_millis: u128,
        /// What the caller can do, following "The query takes too long:".
        advice: String,
    },
}

impl StoreError {
    pub(super) fn unavailable(
        action: &'static str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { action, cause: cause.into() }
    }

    /// Whether the same call may succeed a moment later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Throttled { .. } | Self::Contended { .. } => true,
            Self::Corrupt { .. } | Self::TooLarge { .. } | Self::QueryBudget { .. } => false,
        }
    }
}

impl From<StoreError> for tasklane_model::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::QueryBudget { advice, .. } => {
                Self::new(tasklane_model::ErrorKind::LongQuery, format!("The query takes too long: {advice}."))
            }
            StoreError::Contended { .. } => Self::conflicting_update().caused_by(error),
            StoreError::Unavailable { .. }
            | StoreError::Throttled { .. }
            | StoreError::Corrupt { .. }
            | StoreError::TooLarge { .. } => Self::internal(error),
        }
    }
}

/// Converts a failed call to an error. It never quotes the request or the response, because they contain users' data.
pub(super) fn failed<E, R>(action: &'static str, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + 'static,
{
    const THROTTLED: [&str; 4] = [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TransactionInProgressException",
    ];
    if let Some(service) = error.as_service_error() {
        let (code, message) = (service.code().unwrap_or("unknown"), service.message().unwrap_or_default());
        if THROTTLED.contains(&code) {
            return StoreError::Throttled { action };
        }
        if code == "ValidationException" && is_about_size(message) {
            return StoreError::TooLarge { action };
        }
        return StoreError::unavailable(action, format!("{code}: {message}"));
    }
    StoreError::unavailable(action, with_causes(error))
}

/// "Item size has exceeded …", "Item size to update has exceeded …".
pub(super) fn is_about_size(message: &str) -> bool {
    message.contains("Item size") && message.contains("exceeded")
}
