//! Ids of Tasks, Schedules, API Requests and credentials.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::Timestamp;

/// 24 hex digits, ordered by time (contract §3).
///
/// Twelve bytes, big-endian: seconds since the epoch (4, as in a MongoDB ObjectId, so that tools that read its creation
/// time still work), milliseconds within the second (10 bits), then 54 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(description = "24 hex digits, ordered by time.", value_type = String, pattern = "^[0-9a-f]{24}$", example = "697db9a2c5f0a1b2c3d4e5f6")]
pub struct ObjectId([u8; 12]);

/// The string is not a valid [`ObjectId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id; expected 24 hexadecimal digits")]
pub struct InvalidObjectId;

const MILLIS_SHIFT: u32 = 54;

impl ObjectId {
    /// The largest possible id.
    pub const LAST: Self = Self([0xff; 12]);

    /// An id for something created at `time`; `chance` makes it unique within that millisecond.
    pub fn new(time: Timestamp, chance: u64) -> Self {
        let secs = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let millis = u64::try_from(time.as_millis() % 1000).unwrap_or(0);
        let low = (millis << MILLIS_SHIFT) | (chance & ((1 << MILLIS_SHIFT) - 1));
        Self::from_parts(secs, low)
    }

    /// The smallest id of anything created at `time`: the lower bound of a search by time.
    pub fn first_at(time: Timestamp) -> Self {
        Self::new(time, 0)
    }

    /// The next id in order, so that ids drawn within one millisecond still ascend.
    #[must_use]
    pub fn successor(self) -> Self {
        let (secs, low) = self.parts();
        match low.checked_add(1) {
            Some(low) => Self::from_parts(secs, low),
            None => Self::from_parts(secs.saturating_add(1), 0),
        }
    }

    /// The previous id in order; the smallest one returns itself.
    #[must_use]
    pub fn predecessor(self) -> Self {
        let (secs, low) = self.parts();
        match (low.checked_sub(1), secs.checked_sub(1)) {
            (Some(low), _) => Self::from_parts(secs, low),
            (None, Some(secs)) => Self::from_parts(secs, u64::MAX),
            (None, None) => self,
        }
    }

    /// The id of something that follows from this and `label`, always the same. It has the same time.
    #[must_use]
    pub fn derived(self, label: &str) -> Self {
        let digest = Sha256::new().chain_update(self.0).chain_update(label).finalize();
        let chance = digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        Self::new(self.time(), chance)
    }

    /// The id of something created at `time` that follows from other ids, always the same.
    pub fn derived_at(time: Timestamp, from: &[Self]) -> Self {
        let mut digest = Sha256::new();
        from.iter().for_each(|id| digest.update(id.0));
        let chance = digest.finalize().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        Self::new(time, chance)
    }

    /// The creation time, to the millisecond.
    pub fn time(self) -> Timestamp {
        let (secs, low) = self.parts();
        let millis = i64::try_from(low >> MILLIS_SHIFT).unwrap_or(0).min(999);
        Timestamp::saturating_from_millis(i64::from(secs) * 1000 + millis)
    }

    /// The bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    fn parts(self) -> (u32, u64) {
        let b = self.0;
        (
            u32::from_be_bytes([b[0], b[1], b[2], b[3]]),
            u64::from_be_bytes([b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11]]),
        )
    }

    fn from_parts(secs: u32, low: u64) -> Self {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&secs.to_be_bytes());
        bytes[4..].copy_from_slice(&low.to_be_bytes());
        Self(bytes)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = InvalidObjectId;

    fn from_str(text: &str) -> Result<Self, InvalidObjectId> {
        let mut bytes = [0; 12];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidObjectId)?;
        Ok(Self(bytes))
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_order_by_time_and_remember_it(a in 0..4_000_000_000_000_i64, b in 0..4_000_000_000_000_i64, x: u64, y: u64) {
            let (a, b) = (Timestamp::from_millis(a).unwrap(), Timestamp::from_millis(b).unwrap());
            let (id_a, id_b) = (ObjectId::new(a, x), ObjectId::new(b, y));
            prop_assert_eq!(id_a.time(), a);
            if a != b {
                prop_assert_eq!(a.cmp(&b), id_a.cmp(&id_b));
                prop_assert_eq!(a.cmp(&b), id_a.to_string().cmp(&id_b.to_string()));
            }
            prop_assert_eq!(id_a.to_string().parse(), Ok(id_a));
            prop_assert!(id_a.successor() > id_a);
        }
    }

    #[test]
    fn derived_ids_depend_on_all_that_they_are_derived_from() {
        let time = Timestamp::from_millis(5000).unwrap();
        let ids: std::collections::BTreeSet<_> = (0..100_u64)
            .flat_map(|a| (0..100).map(move |b| [ObjectId::new(time, a), ObjectId::new(time, b)]))
            .map(|from| ObjectId::derived_at(time, &from))
            .collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.time() == time));
        let last_bytes: std::collections::BTreeSet<_> = ids.iter().map(|id| id.as_bytes()[11]).collect();
        assert_eq!(last_bytes.len(), 256);
    }

    #[test]
    fn other_strings_are_refused() {
        for text in ["", "abc", "zzzzzzzzzzzzzzzzzzzzzzzz", "0123456789abcdef012345678"] {
            assert_eq!(text.parse::<ObjectId>(), Err(InvalidObjectId));
        }
    }
}
