//! The machine's clock and its random numbers.

use tasklane_model::Timestamp;

pub(super) fn now() -> Timestamp {
    Timestamp::saturating_from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The current date, as in the names of log streams.
pub(super) fn today() -> String {
    jiff::Timestamp::now().strftime("%Y/%m/%d").to_string()
}

/// `N` bytes that nobody can predict.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without random numbers no name is unique, and there is nothing sensible left to do.
    #[allow(clippy::expect_used)]
    getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
    bytes
}
