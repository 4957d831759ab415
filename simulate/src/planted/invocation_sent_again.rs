//! An invocation whose outcome is unknown is sent again, as the SDK's retries or Lambda's asynchronous ones would do.

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("invocation-sent-again", &InvocationSentAgain);

struct InvocationSentAgain;

impl Seams for InvocationSentAgain {
    fn retries_unknown_outcomes(&self) -> bool {
        true
    }
}
