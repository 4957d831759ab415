//! The doors that strangers' bytes come in by, as functions of those bytes: what the fuzz targets in `fuzz/` call, and
//! what `cargo test` calls with the inputs kept in `fuzz/corpus` and with variations of them.
//!
//! Each panics when something that must always hold does not; that a door refuses its input is no panic. The functions
//! stand beside the code that they are about.

pub use crate::{
    auth::fuzz::oauth1, package::fuzz::zip_intake, rql::fuzz::rql, service::fuzz::api_answer, store::fuzz::rows,
    task_config::fuzz::task_config,
};

/// One target: its name, which is that of its corpus, its dictionary and its binary, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("rql", rql),
    ("oauth1", oauth1),
    ("zip_intake", zip_intake),
    ("api_answer", api_answer),
    ("task_config", task_config),
    ("rows", rows),
];

#[cfg(test)]
mod tests;
