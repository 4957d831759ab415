//! Lambda's limits.
//! <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>

/// The most bytes that a request may have: Lambda's 6 MB.
pub const MAX_REQUEST_BYTES: usize = 6 * 1024 * 1024;

/// The most bytes that a response may have. Lambda says 6 MB and takes a hundred bytes more.
pub const MAX_RESPONSE_BYTES: usize = MAX_REQUEST_BYTES + 100;

/// How many processes and threads a Function may have.
pub(super) const MAX_PROCESSES: usize = 1024;
