use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Caller, Live, Pace, Report, Until, drive};

/// Answers at once; every `nth` call fails.
struct Fake {
    calls: Arc<AtomicU64>,
    nth: u64,
}

impl Caller for Fake {
    async fn call(&mut self) -> Result<(), String> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if number.is_multiple_of(self.nth) { Err("refused".to_owned()) } else { Ok(()) }
    }
}

fn fakes(count: usize, nth: u64) -> (Vec<Fake>, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    ((0..count).map(|_| Fake { calls: calls.clone(), nth }).collect(), calls)
}

#[tokio::test]
async fn all_connections_together_make_exactly_the_requested_calls() {
    let (callers, calls) = fakes(7, 10);
    let live = Arc::new(Live::default());
    let report = drive(callers, Pace::Flat, Until::Calls(100), &live).await;
    assert_eq!((report.succeeded(), report.failed(), calls.load(Ordering::Relaxed)), (90, 10, 100));
    assert_eq!(report.failures().get("refused"), Some(&10));
    assert_eq!((live.succeeded.load(Ordering::Relaxed), live.failed.load(Ordering::Relaxed)), (90, 10));
}

#[tokio::test]
async fn at_a_fixed_rate_the_time_of_a_call_starts_when_it_is_due() {
    /// Delays its first call.
    struct Slow(bool);
    impl Caller for Slow {
        async fn call(&mut self) -> Result<(), String> {
            if std::mem::take(&mut self.0) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(())
        }
    }
    let report = drive(vec![Slow(true)], Pace::PerSecond(100.0), Until::Calls(30), &Arc::default()).await;
    assert!(report.took() >= Duration::from_millis(290), "{:?}", report.took());
    // Twenty calls were due during the first one; otherwise only one would be slow.
    assert!(report.quantile(0.5) >= Duration::from_millis(20), "{:?}", report.quantile(0.5));
}

#[test]
fn steps_contain_every_call_from_the_fastest_to_the_slowest() {
    let mut report = Report::default();
    for millis in [1, 1, 2, 5, 40] {
        report.succeed(Duration::from_millis(millis));
    }
    let steps = report.steps(2.0);
    assert_eq!(steps.iter().map(|(_, count)| count).sum::<u64>(), 5);
    assert!(steps.first().is_some_and(|(time, count)| *count == 2 && *time < Duration::from_millis(2)), "{steps:?}");
    assert!(steps.last().is_some_and(|(time, count)| *count > 0 && *time >= Duration::from_millis(40)), "{steps:?}");
    assert_eq!(report.longest().as_millis(), 40);
    assert!(Report::default().steps(2.0).is_empty());
    assert_eq!(Report::default().rate(), 0.0);
}
