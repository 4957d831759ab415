//! What the tests of the whole share: a `tasklane dev` of their own, the command, and the packages of npm.

pub mod command;
pub mod dev;
pub mod issuer;
pub mod journal;
pub mod packages;
pub mod project;
pub mod python;
pub mod random;
pub mod signed;
pub mod stage;
pub mod wait;
