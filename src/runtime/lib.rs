//! Small building blocks, most of them for asynchronous code, which know nothing of Tasks or Functions.

pub mod backoff;
pub mod detach;
pub mod hash;
pub mod kept;
pub mod lock;
pub mod on_demand;
