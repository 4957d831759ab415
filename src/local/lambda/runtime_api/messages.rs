//! The messages between a process's Runtime API and the run that it is for.

use std::sync::Arc;

use bytes::Bytes;
use tasklane_model::FunctionError;

/// A message from the process.
#[derive(Debug)]
pub(in super::super) enum Event {
    /// It is waiting for an invocation.
    Ready,
    /// It has answered its invocation.
    Answered(Answer),
    /// Its initialisation failed.
    InitError(FunctionError),
}

#[derive(Debug)]
pub(in super::super) enum Answer {
    Returned(Bytes),
    TooLarge,
    Failed(FunctionError),
}

/// An invocation for the process.
#[derive(Debug)]
pub(in super::super) struct Delivery {
    pub(in super::super) request_id: Arc<str>,
    pub(in super::super) deadline_millis: i64,
    pub(in super::super) function_arn: String,
    pub(in super::super) trace_id: String,
    pub(in super::super) payload: Bytes,
}
