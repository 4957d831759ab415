//! Small building blocks of the asynchronous runtime, which know nothing of Tasks or Functions.

pub mod backoff;
pub mod detach;
pub mod kept;
pub mod lock;
pub mod on_demand;
