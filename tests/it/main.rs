//! Tests of the whole.

mod openapi;
mod sdk;
mod support;
