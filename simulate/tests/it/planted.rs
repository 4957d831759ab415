//! Tests that the simulation can fail: it catches every planted bug.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use simulate::{Bug, run};

/// The number of seeds within which a bug must be caught.
const SEEDS: u64 = 500;

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation; .ci/run runs it with")]
fn every_planted_bug_is_caught() {
    assert!(Bug::ALL.len() >= 12);
    let next = AtomicUsize::new(0);
    let hunt = || {
        let mut escaped = Vec::new();
        while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            match (0..SEEDS).map(|seed| run(seed, Some(*bug))).find(|report| !report.violations.is_empty()) {
                Some(report) => println!("{bug}: {} seeds: {}", report.seed + 1, report.violations[0]),
                None => escaped.push(*bug),
            }
        }
        escaped
    };
    let escaped: Vec<Bug> = thread::scope(|scope| {
        let hunters: Vec<_> = (0..2).map(|_| scope.spawn(hunt)).collect();
        hunters.into_iter().flat_map(|hunter| hunter.join().expect("a hunter")).collect()
    });
    assert!(escaped.is_empty(), "not caught within {SEEDS} seeds: {escaped:?}");
}
