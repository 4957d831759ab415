//! The machine's clock and its random numbers.

use tasklane_model::Timestamp;

pub(super) fn now() -> Timestamp {
    Timestamp::saturating_from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The date, as the names of log streams begin with it.
pub(super) fn today() -> String {
    jiff::Timestamp::now().strftime("%Y/%m/%d").to_string()
}

/// `N` bytes that nobody can predict.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without random numbers no name is unique: there is nothing sensible left to do.
    #[allow(clippy::expect_used)]
    getrandom::fill(&mut bytes).expect("the operating system gives no random numbers");
    bytes
}
