//! What can go wrong between the service and its tables.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use tasklane_model::with_causes;

/// A read or a write that failed. Losing a race, finding nothing and finding something taken are answers, not errors.
///
/// It is not known whether a write that ended in [`StoreError::Unavailable`] happened: every write here can be repeated
/// without harm.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The call failed, timed out, or was refused.
    #[error("could not {action}: {cause}")]
    Unavailable {
        /// What was being done, reading on after "could not".
        action: &'static str,
        /// Why it failed.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The table is over its throughput, and stayed so through the SDK's own retries.
    #[error("could not {action}: the table is over its throughput")]
    Throttled {
        /// What was being done.
        action: &'static str,
    },
    /// Other transactions were in progress on the same record at each try.
    #[error("could not {action}: others keep changing the same record")]
    Contended {
        /// What was being done.
        action: &'static str,
    },
    /// A row that this version cannot read, or that contradicts what the store itself wrote.
    #[error("the row {key} of the table {table} cannot be read: {why}")]
    Corrupt {
        /// The table's full name.
        table: String,
        /// The row's key, as text.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A record larger than a DynamoDB item may be (400 KB).
    #[error("could not {action}: the record is larger than the 400 KB that DynamoDB stores")]
    TooLarge {
        /// What was being done.
        action: &'static str,
    },
    /// A list whose page could not be found within its time budget (contract §8: 21).
    #[error("the query took more than its share of {budget_millis} ms")]
    QueryBudget {
        /// The budget, in milliseconds.
        budget_millis: u128,
        /// What its caller can do, reading on after "The query takes too long:".
        advice: String,
    },
}

impl StoreError {
    /// A call failed because of `cause`.
    pub(super) fn unavailable(
        action: &'static str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { action, cause: cause.into() }
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

/// The error of a call that failed. Never quotes the request or the raw answer: they hold what users stored.
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
