//! Credentials that were looked up a moment ago.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::model::Timestamp;

/// How many credentials are kept. More than that within a few seconds is no pattern worth memory.
const CAPACITY: usize = 1024;

/// Values by key, each for a short while: a revocation counts everywhere once that is over. Only what was found is
/// kept, so a new credential counts at once.
pub(super) struct Cache<K, V> {
    keep: Duration,
    entries: Mutex<HashMap<K, (Timestamp, Arc<V>)>>,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// Keeps values for `keep`; zero keeps none.
    pub fn new(keep: Duration) -> Self {
        Self { keep, entries: Mutex::default() }
    }

    /// The value that was put less than `keep` before `now`.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<Arc<V>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (put, value) = entries.get(key)?;
        self.is_fresh(*put, now).then(|| value.clone())
    }

    /// Keeps a value.
    pub fn put(&self, key: K, value: Arc<V>, now: Timestamp) {
        if self.keep.is_zero() {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.retain(|_, (put, _)| self.is_fresh(*put, now));
        }
        if entries.len() < CAPACITY {
            entries.insert(key, (now, value));
        }
    }

    /// A clock that was set back makes nothing fresh for longer.
    fn is_fresh(&self, put: Timestamp, now: Timestamp) -> bool {
        now >= put && now.since(put) < self.keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    #[test]
    fn a_value_is_kept_for_its_while_and_no_longer() {
        let cache = Cache::new(Duration::from_secs(5));
        cache.put("key", Arc::new(1), at(10_000));
        assert_eq!(cache.get(&"key", at(14_999)).as_deref(), Some(&1));
        assert_eq!(cache.get(&"key", at(15_000)), None);
        assert_eq!(cache.get(&"key", at(9_999)), None);
        assert_eq!(cache.get(&"other", at(10_000)), None);
    }

    #[test]
    fn keeping_for_no_time_keeps_nothing() {
        let cache = Cache::new(Duration::ZERO);
        cache.put("key", Arc::new(1), at(10_000));
        assert_eq!(cache.get(&"key", at(10_000)), None);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let cache = Cache::new(Duration::from_secs(5));
        for key in 0..CAPACITY + 10 {
            cache.put(key, Arc::new(()), at(0));
        }
        assert_eq!(cache.entries.lock().unwrap().len(), CAPACITY);
        cache.put(CAPACITY + 10, Arc::new(()), at(5_000));
        assert_eq!(cache.entries.lock().unwrap().len(), 1);
    }
}
