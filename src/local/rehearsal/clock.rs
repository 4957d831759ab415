//! A clock that can be set forward.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tasklane_lambda_local::{LogSink, LoggedLine};
use tasklane_model::{Advance, Timestamp};
use tasklane_ports::{Clock, PortFuture, SystemClock};
use tokio::{sync::watch, time::Instant};

/// The system's clock, ahead by what it was set forward. Clones are the same clock.
///
/// A sleeper wakes up when the clock passes the end of its sleep, whether time passed or the clock was set.
#[derive(Clone, Debug)]
pub struct AdjustableClock {
    ahead: Arc<watch::Sender<Duration>>,
}

impl Default for AdjustableClock {
    fn default() -> Self {
        Self { ahead: Arc::new(watch::Sender::new(Duration::ZERO)) }
    }
}

impl AdjustableClock {
    /// Sets it to this time, unless it is later already.
    pub(super) fn set_to(&self, time: Timestamp) {
        self.ahead.send_modify(|ahead| *ahead += time.since(SystemClock.now().saturating_add(*ahead)));
    }

    fn ahead(&self) -> Duration {
        *self.ahead.borrow()
    }
}

impl Clock for AdjustableClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().saturating_add(self.ahead())
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        let mut changes = self.ahead.subscribe();
        let (began, ahead) = (Instant::now(), self.ahead());
        Box::pin(async move {
            loop {
                let passed = began.elapsed() + self.ahead().saturating_sub(ahead);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(duration.saturating_sub(passed)) => return,
                    // An error means that nobody can set it any more.
                    Ok(()) = changes.changed() => {}
                }
            }
        })
    }

    fn longest_jump(&self) -> Duration {
        Duration::from_secs(u64::from(Advance::MAX.get()))
    }
}

/// Log lines with the time of this clock, so that those of a run are from the time of the run.
#[derive(Debug)]
pub(super) struct LinesAhead<L> {
    pub(super) clock: AdjustableClock,
    pub(super) lines: L,
}

impl<L: LogSink> LogSink for LinesAhead<L> {
    fn write(&self, line: LoggedLine) -> BoxFuture<'_, ()> {
        let timestamp = line.timestamp.saturating_add(self.clock.ahead());
        self.lines.write(LoggedLine { timestamp, ..line })
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.lines.flush()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_passes_the_end_of_its_sleep() {
        let clock = AdjustableClock::default();
        let before = clock.now();
        let mut sleep = std::pin::pin!(clock.sleep(HOUR));
        assert!((&mut sleep).now_or_never().is_none());
        clock.set_to(before.saturating_add(HOUR / 2));
        assert!((&mut sleep).now_or_never().is_none(), "it was set forward by half of the sleep");
        clock.set_to(before.saturating_add(HOUR * 2));
        sleep.await;
        assert!(clock.now() >= before.saturating_add(HOUR * 2));
    }

    #[tokio::test]
    async fn it_never_goes_back() {
        let clock = AdjustableClock::default();
        let later = clock.now().saturating_add(HOUR);
        clock.set_to(later);
        clock.set_to(later.saturating_sub(HOUR));
        assert!(clock.now() >= later);
    }

    #[tokio::test]
    async fn a_sleep_without_end_goes_on() {
        let clock = AdjustableClock::default();
        let mut sleep = std::pin::pin!(clock.sleep(Duration::MAX));
        assert!((&mut sleep).now_or_never().is_none());
        clock.set_to(clock.now().saturating_add(HOUR));
        assert!((&mut sleep).now_or_never().is_none());
    }
}
