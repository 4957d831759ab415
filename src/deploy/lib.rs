//! Puts a stack of tasklane on AWS with CloudFormation, and takes it away again. All it needs are AWS credentials: the template
//! is part of the program, and the handlers come as zips.
//!
//! The order of a deployment: [`StackFile`] says what is wanted, [`Handlers`] are sent to a bucket, [`Deployer::plan`] asks
//! CloudFormation what would change, and [`Deployer::execute`] changes it and follows the events.

#![warn(missing_docs)]
// Waiting for AWS takes real time.
#![allow(clippy::disallowed_methods)]

mod artifacts;
mod changes;
mod error;
mod events;
mod handlers;
mod removal;
mod stack;
mod stack_file;
mod template;

pub use changes::{Change, Plan};
pub use error::DeployError;
pub use events::Event;
pub use handlers::Handlers;
pub use removal::Kept;
pub use stack::Deployer;
pub use stack_file::{FileError, StackFile};
pub use template::{parameter_names, template_hash};
