//! Tests of the whole.

mod cli;
mod dev;
mod openapi;
mod restart;
mod run;
mod sdk;
mod store;
mod support;
