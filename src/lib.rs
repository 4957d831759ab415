//! tasklane: a task service on your own AWS account, whole on one machine too.
//!
//! Arrows between the modules run one way: `http`, `cli` and the Lambda entry points call `service` and
//! `dispatch`; those call `store` and `ports`; everything speaks `model`. `aws` and `local` implement the ports and
//! are named only where the parts are put together. `docs/architecture.md` has the picture.

#[cfg(feature = "local")]
pub mod local;
pub mod model;
pub mod package;
pub mod ports;
