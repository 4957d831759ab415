//! A typed client of the service's HTTP API.
//!
//! [`Client`] has one method per endpoint. It sends a bearer token or an OAuth 1.0a signature, retries reads while the
//! service is briefly unavailable, and turns every failure into a [`ClientError`] that people can read.

#![warn(missing_docs)]

mod api_requests;
mod bulks;
mod credential;
mod credentials;
mod error;
mod execution_credentials;
mod flow;
mod functions;
mod host;
mod listing;
mod logs;
pub mod oauth1;
mod overview;
mod query;
mod record;
mod schedules;
mod stored;
mod streams;
mod tasks;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod transport;
mod uploads;
mod versions;

pub use bulks::NewBulkBody;
pub use credential::{Credential, OAuth1Keys};
pub use credentials::{CreatedCredential, CredentialSummary, Me, NewCredential, RevokedCredential};
pub use error::{ClientError, ServiceError};
pub use execution_credentials::{ExecutionCredentials, ExecutionCredentialsBody, ExecutionKeys};
pub use functions::{Executed, FunctionBody, FunctionDetails, OptionsBody, TimeoutsBody, Variable};
pub use host::{BaseUrl, InvalidHost};
pub use listing::{HowMany, Listing};
pub use logs::LogSource;
pub use query::Query;
pub use record::Record;
pub use schedules::{BackfillBody, Occurrences, ScheduleBody};
pub use stored::{IncompleteCredentials, StoredCredentials, replace_private_file};
pub use streams::{AllNews, AllStream, TaskLine, TaskNews, TaskStream};
pub use tasks::{BatchEntry, Explanation, NewTaskBody, TaskBatchBody, TaskBatchOutcome};
pub use transport::Client;
pub use versions::{CanaryBody, CanaryState, Version};
