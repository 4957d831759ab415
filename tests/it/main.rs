//! Tests of the whole.

mod sdk;
mod support;
