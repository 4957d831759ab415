//! Credentials that were looked up recently.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use tasklane_model::Timestamp;
use tasklane_runtime::{kept::Kept, lock::Lock};

/// How many credentials are kept. A service where more callers come within a few seconds reads them more often.
const CAPACITY: usize = 1024;

/// Values by key, each for a short while: once that is over, a revocation has taken effect everywhere. A failed lookup
/// is not kept, so a new credential works immediately.
pub(super) struct Cache<K, V> {
    keep: Duration,
    entries: Lock<HashMap<K, Kept<Arc<V>>>>,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// Keeps values for `keep`; zero keeps none.
    pub fn new(keep: Duration) -> Self {
        Self { keep, entries: Lock::default() }
    }

    /// The value that was put less than `keep` before `now`.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<Arc<V>> {
        let entries = self.entries.lock();
        entries.get(key)?.fresh(self.keep, now).cloned()
    }

    pub fn put(&self, key: K, value: Arc<V>, now: Timestamp) {
        if self.keep.is_zero() {
            return;
        }
        let mut entries = self.entries.lock();
        if entries.len() >= CAPACITY {
            entries.retain(|_, kept| kept.fresh(self.keep, now).is_some());
        }
        if entries.len() < CAPACITY {
            entries.insert(key, Kept::new(value, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    #[test]
    fn a_value_is_kept_for_the_set_time() {
        let cache = Cache::new(Duration::from_secs(5));
        cache.put("key", Arc::new(1), at(10_000));
        assert_eq!(cache.get(&"key", at(14_999)).as_deref(), Some(&1));
        assert_eq!(cache.get(&"key", at(15_000)), None);
        assert_eq!(cache.get(&"key", at(9_999)), None);
        assert_eq!(cache.get(&"other", at(10_000)), None);
    }

    #[test]
    fn a_cache_with_a_time_of_zero_keeps_nothing() {
        let cache = Cache::new(Duration::ZERO);
        cache.put("key", Arc::new(1), at(10_000));
        assert_eq!(cache.get(&"key", at(10_000)), None);
    }

    #[test]
    fn the_cache_does_not_grow_beyond_its_capacity() {
        let cache = Cache::new(Duration::from_secs(5));
        for key in 0..CAPACITY + 10 {
            cache.put(key, Arc::new(()), at(0));
        }
        assert_eq!(cache.entries.lock().len(), CAPACITY);
        cache.put(CAPACITY + 10, Arc::new(()), at(5_000));
        assert_eq!(cache.entries.lock().len(), 1);
    }
}
