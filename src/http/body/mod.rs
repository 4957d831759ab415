//! Request bodies: their size and time limits, and reading values from them.

mod budget;
pub mod encoding;
mod fields;
mod incoming;
mod values;

pub use budget::BodyBudget;
pub use fields::Fields;
pub use incoming::Incoming;
pub use values::{Code, Description, ManualActivation, Reason};
