//! Request bodies: how many bytes are taken, how long they may take, and what is read out of them.

mod budget;
pub mod encoding;
mod fields;
mod incoming;
mod values;

pub use budget::BodyBudget;
pub use fields::Fields;
pub use incoming::Incoming;
pub use values::{Code, Description};
