//! How late runs began, so compactly that a week of it takes little room.

use std::{collections::BTreeMap, time::Duration};

use tasklane_model::Lateness;

/// How many runs began how late. Durations are counted in classes, each a fifth longer than the one before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Classes(BTreeMap<u8, u32>);

/// The factor between two classes.
const GROWTH: f64 = 1.2;
/// One class in the stored form: its number, and how many runs are in it.
const BYTES: usize = 5;

impl Classes {
    pub(super) fn add(&mut self, late: Duration) {
        let count = self.0.entry(class_of(late)).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (class, more) in &other.0 {
            let count = self.0.entry(*class).or_default();
            *count = count.saturating_add(*more);
        }
    }

    /// The stored form.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(class, count)| [*class].into_iter().chain(count.to_le_bytes())).collect()
    }

    /// From the stored form. What does not belong there is passed over: a wrong statistic harms nobody.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut classes = Self::default();
        for part in bytes.chunks_exact(BYTES) {
            if let [class, a, b, c, d] = *part {
                classes.0.insert(class, u32::from_le_bytes([a, b, c, d]));
            }
        }
        classes
    }

    /// `None` if no run was counted.
    pub(super) fn summary(&self) -> Option<Lateness> {
        let total: u64 = self.0.values().copied().map(u64::from).sum();
        (total > 0)
            .then(|| Lateness { p50: self.within(total.div_ceil(2)), p99: self.within((total * 99).div_ceil(100)) })
    }

    /// Within how many seconds this many of the runs began.
    fn within(&self, many: u64) -> f64 {
        let mut counted = 0;
        for (class, count) in &self.0 {
            counted += u64::from(*count);
            if counted >= many {
                return middle_of(*class);
            }
        }
        0.0
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates, which is what is wanted
fn class_of(late: Duration) -> u8 {
    let millis = late.as_secs_f64() * 1000.0;
    if millis < 1.0 { 0 } else { (1.0 + millis.ln() / GROWTH.ln()) as u8 }
}

/// The middle of a class, in seconds, to the millisecond.
fn middle_of(class: u8) -> f64 {
    let millis = if class == 0 { 0.0 } else { GROWTH.powf(f64::from(class) - 0.5) };
    millis.round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_tenth() {
        let mut classes = Classes::default();
        (1..=1000).for_each(|millis| classes.add(Duration::from_millis(millis)));
        let read = Classes::from_bytes(&classes.to_bytes());
        assert_eq!(read, classes);
        let Lateness { p50, p99 } = read.summary().unwrap();
        assert!((0.45..=0.55).contains(&p50) && (0.89..=1.09).contains(&p99), "{p50} {p99}");
    }

    #[test]
    fn extremes_have_a_class() {
        assert_eq!(Classes::default().summary(), None);
        let mut classes = Classes::default();
        classes.add(Duration::ZERO);
        assert_eq!(classes.summary(), Some(Lateness { p50: 0.0, p99: 0.0 }));
        classes.add(Duration::MAX);
        assert!(classes.summary().unwrap().p99 > 1e6);
    }
}
