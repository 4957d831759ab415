//! The fuzz targets: functions that pass bytes to the code that reads strangers' input. The programs in `fuzz/` call them, and
//! `cargo test` calls them with the inputs in `fuzz/corpus` and with variations of those.
//!
//! Each target panics if an invariant is broken; refusing its input is not a panic. The functions are in the modules that they
//! test, because they check more than the public API shows.

pub use tasklane_auth::fuzz::oauth1;
pub use tasklane_lambda_local::{image_layer, package::fuzz::zip_intake};
pub use tasklane_rql::fuzz::rql;
pub use tasklane_service::fuzz::api_answer;
pub use tasklane_store::fuzz::rows;
pub use tasklane_task_config::fuzz::task_config;

/// A target: its name, which is also that of its corpus, dictionary and binary, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 7] = [
    ("rql", rql),
    ("oauth1", oauth1),
    ("zip_intake", zip_intake),
    ("image_layer", image_layer),
    ("api_answer", api_answer),
    ("task_config", task_config),
    ("rows", rows),
];

#[cfg(test)]
mod tests;
