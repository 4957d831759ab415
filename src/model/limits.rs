//! Numbers within bounds: time, memory, priority, concurrency.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

macro_rules! bounded_integer {
    ($(#[$doc:meta])* $name:ident($inner:ty) = $min:literal..=$max:literal, $error:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub struct $name($inner);

        #[doc = concat!("The number is not a valid [`", stringify!($name), "`].")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error($rule)]
        pub struct $error;

        impl $name {
            /// The smallest value.
            pub const MIN: Self = Self($min);
            /// The largest value.
            pub const MAX: Self = Self($max);

            /// Checks that a number is within the bounds.
            pub fn new(number: i64) -> Result<Self, $error> {
                match <$inner>::try_from(number) {
                    Ok(number) if ($min..=$max).contains(&number) => Ok(Self(number)),
                    _ => Err($error),
                }
            }

            /// The number.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = $error;
            fn try_from(number: i64) -> Result<Self, $error> {
                Self::new(number)
            }
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> Self {
                Self::from(value.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .description(Some($rule))
                    .minimum(Some(<$inner>::from(Self::MIN.0)))
                    .maximum(Some(<$inner>::from(Self::MAX.0)))
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

bounded_integer! {
    /// How long one run may take, in seconds: 3–300, default 30.
    TimeLimit(u16) = 3..=300, InvalidTimeLimit, "must be a whole number of seconds from 3 to 300"
}
bounded_integer! {
    /// How much memory one run may take, in MB: 128–10240, default 128.
    MemoryLimit(u16) = 128..=10240, InvalidMemoryLimit, "must be a whole number of MB from 128 to 10240"
}
bounded_integer! {
    /// The size of a Function's `/tmp` in MB: 512–10240, default 512.
    EphemeralStorage(u16) = 512..=10240, InvalidEphemeralStorage, "must be a whole number of MB from 512 to 10240"
}
bounded_integer! {
    /// The size of a Function's zip in bytes: 1–262144000, which is Lambda's 250 MB.
    UploadSize(u32) = 1..=262_144_000, InvalidUploadSize, "must be a whole number of bytes from 1 to 262144000"
}
bounded_integer! {
    /// The priority of a Task: of two due Tasks, the higher one runs first. Within ±9007199254740991, default 0.
    Priority(i64) = -9_007_199_254_740_991..=9_007_199_254_740_991, InvalidPriority,
    "must be a whole number from -9007199254740991 to 9007199254740991"
}
bounded_integer! {
    /// How many runs of one Function may be in progress at once: 1–1000.
    ConcurrencyLimit(u16) = 1..=1000, InvalidConcurrencyLimit, "must be a whole number from 1 to 1000"
}

bounded_integer! {
    /// How often a failed run is retried at most: 0–50, default 3.
    MaxRetries(u16) = 0..=50, InvalidMaxRetries, "must be a whole number from 0 to 50"
}
bounded_integer! {
    /// How long a retry waits, in seconds: 1–86400.
    RetrySeconds(u32) = 1..=86400, InvalidRetrySeconds, "must be a whole number of seconds from 1 to 86400"
}

bounded_integer! {
    /// How long a Task may wait after it was due, in seconds: 1–31536000 (a year).
    QueuedTimeout(u32) = 1..=31_536_000, InvalidQueuedTimeout, "must be a whole number of seconds from 1 to 31536000"
}

bounded_integer! {
    /// The number of a Function's version, counted from 1.
    VersionNumber(u32) = 1..=4_294_967_295, InvalidVersionNumber, "must be a whole number of at least 1"
}
bounded_integer! {
    /// Which part of the runs a canary gets, in percent: 1–99.
    CanaryPercent(u8) = 1..=99, InvalidCanaryPercent, "must be a whole number from 1 to 99"
}
bounded_integer! {
    /// A number of runs of a canary: 1–1000.
    CanaryRuns(u16) = 1..=1000, InvalidCanaryRuns, "must be a whole number from 1 to 1000"
}

bounded_integer! {
    /// How many Tasks a bulk operation handles in a second, at most: 1–1000.
    PerSecond(u16) = 1..=1000, InvalidPerSecond, "must be a whole number from 1 to 1000"
}

bounded_integer! {
    /// How many queued runs with one flow key may be in progress at once: 1–100.
    FlowConcurrency(u16) = 1..=100, InvalidFlowConcurrency, "must be a whole number from 1 to 100"
}
bounded_integer! {
    /// How many queued runs with one flow key may start in a window: 1–100.
    RateCount(u16) = 1..=100, InvalidRateCount, "must be a whole number from 1 to 100"
}
bounded_integer! {
    /// The length of the window in which starts are counted, in seconds: 1–86400.
    RateSeconds(u32) = 1..=86_400, InvalidRateSeconds, "must be a whole number of seconds from 1 to 86400"
}

bounded_integer! {
    /// By how many seconds a test sets its service's clock forward: 0–31622400 (366 days).
    Advance(u32) = 0..=31_622_400, InvalidAdvance, "must be a whole number of seconds from 0 to 31622400"
}
bounded_integer! {
    /// How many runs of a Function a test lets fail: 0–10000.
    FailTimes(u16) = 0..=10_000, InvalidFailTimes, "must be a whole number from 0 to 10000"
}

impl Default for MaxRetries {
    fn default() -> Self {
        Self(3)
    }
}

bounded_integer! {
    /// How long a debounced Task waits after its last creation, in seconds: 1–86400.
    DebounceSeconds(u32) = 1..=86_400, InvalidDebounceSeconds, "must be a whole number of seconds from 1 to 86400"
}
bounded_integer! {
    /// How long a debounced Task waits after its first creation at most, in seconds: 1–864000.
    MostDebounceSeconds(u32) = 1..=864_000, InvalidMostDebounceSeconds,
    "must be a whole number of seconds from 1 to 864000"
}

impl RetrySeconds {
    /// The delay before the first retry, by default.
    pub const BASE: Self = Self(2);
    /// The longest delay, by default.
    pub const LONGEST: Self = Self(3600);
}

impl Default for TimeLimit {
    fn default() -> Self {
        Self(30)
    }
}

impl Default for MemoryLimit {
    fn default() -> Self {
        Self(128)
    }
}

#[allow(clippy::derivable_impls)] // beside the others, whose defaults are not zero
impl Default for Priority {
    fn default() -> Self {
        Self(0)
    }
}

impl Advance {
    /// The seconds as a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl TimeLimit {
    /// The longest time that a caller can wait for a result: direct executions and API Functions (contract §4, §5).
    pub const LONGEST_DIRECT: Self = Self(30);

    /// The limit as a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}
