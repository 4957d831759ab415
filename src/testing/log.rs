//! Captures what a test logs, beside other tests.

use std::sync::LazyLock;

use tracing::{Dispatch, dispatcher::DefaultGuard, subscriber::NoSubscriber};

/// Sends what this thread logs to `subscriber` until the guard is dropped.
///
/// As long as a program has a single subscriber, `tracing` asks the thread that first reaches a line whether the line is
/// wanted, and remembers the answer for all threads. A test on another thread would turn the line off. So there is always a
/// second subscriber, which wants nothing: then `tracing` asks both.
#[must_use]
pub fn capture(subscriber: impl Into<Dispatch>) -> DefaultGuard {
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));
    LazyLock::force(&SECOND);
    let guard = tracing::dispatcher::set_default(&subscriber.into());
    // Lines that were reached before the second one was there.
    tracing::callsite::rebuild_interest_cache();
    guard
}
