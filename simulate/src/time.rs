//! Virtual time: milliseconds since the start of a history, and the timestamps of a correct clock.

use tasklane_model::Timestamp;

/// 2026-01-31T23:58:00Z: the first minutes of every history cross midnight, because the tables are partitioned by day.
const START: i64 = 1_769_903_880_000;

/// The timestamp of a correct clock this many milliseconds after the start.
pub fn timestamp(elapsed: i64) -> Timestamp {
    Timestamp::saturating_from_millis(START + elapsed)
}

/// The number of milliseconds between the start and this time, which is in milliseconds since the epoch.
pub fn since_start(millis: i64) -> i64 {
    millis - START
}
