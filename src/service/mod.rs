//! What callers can do, one file a capability.
//!
//! Everything here takes parsed values and answers with the contract's [`crate::model::Error`]; HTTP is not known here.
//! Global permissions (contract §3) are checked by whoever lets callers in; permission modes (§6) depend on the
//! Function and are checked here.

mod api_functions;
mod api_requests;
mod execute;
mod functions;
mod schedules;
mod settings;
mod tasks;

pub use api_functions::{ApiAnswer, ApiCall};
pub use execute::Executed;
pub use functions::{FunctionChange, NewFunction};
pub use settings::Settings;
pub use tasks::LogsAnswer;

/// The service: shared by every handler, cheap to clone.
#[derive(Clone)]
pub struct Service {}
