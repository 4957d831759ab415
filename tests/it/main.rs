//! Tests of the whole.
mod openapi;
