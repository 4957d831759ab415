//! `task-config.json`, which describes a Function in its folder (contract §10), and the zip that its code is packed into.
//!
//! The command line and `tasklane dev` read these files with the same rules. [`find`] lists them, [`TaskConfig::load`]
//! reads one, [`pack`] turns its code folder into a zip. A command line that overrides properties goes through [`Draft`].

mod config;
mod draft;
mod error;
mod find;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod handler;
mod pack;
mod schema;
#[cfg(test)]
mod tests;
mod variables;

pub use config::{CREDENTIAL_VARIABLES, ConfiguredProgram, ConfiguredSchedule, ExecutionCredentials, TaskConfig};
pub use draft::{Draft, nearest, schemas::Schemas};
pub use error::{ConfigError, Problem};
pub use find::{find, find_for_sync, folder_of};
pub use pack::{Fingerprint, IGNORE_FILE, LEFT_OUT, Listing, NEVER_PACKED, PackError, Package, pack};
pub use schema::schema;

pub const FILE_NAME: &str = "task-config.json";
/// The file of the official CLI that says where a repository has what.
pub const REPO_FILE_NAME: &str = "repo-config.json";
