//! Virtual time: milliseconds since the start of a history, and the timestamps that a right clock shows then.

use tasklane_model::Timestamp;

/// 2026-01-31T23:58:00Z: the first minutes of every history cross midnight, because the tables are partitioned by day.
const START: i64 = 1_769_903_880_000;

/// What a right clock shows this many milliseconds after the start.
pub fn timestamp(elapsed: i64) -> Timestamp {
    Timestamp::saturating_from_millis(START + elapsed)
}

/// How many milliseconds after the start a right clock shows this many milliseconds since the epoch.
pub fn since_start(millis: i64) -> i64 {
    millis - START
}
