//! Lambda's limits.
//! <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>

/// The largest request payload: Lambda's 6 MB.
pub const MAX_REQUEST_BYTES: usize = 6 * 1024 * 1024;

/// The largest response payload. Lambda documents 6 MB and accepts a hundred bytes more.
pub const MAX_RESPONSE_BYTES: usize = MAX_REQUEST_BYTES + 100;

/// The most processes and threads of a Function.
pub(super) const MAX_PROCESSES: usize = 1024;
