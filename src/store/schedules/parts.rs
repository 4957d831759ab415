//! The partitions of Schedules.
//!
//! A partition of DynamoDB takes 1,000 write units a second, and an occurrence costs two in the table and two in the index. On
//! AWS Schedules are therefore divided, and a part has a partition in each. A Schedule stays in the part in which it was
//! created, so that older processes find those that they know where they left them.

use tasklane_model::ObjectId;

/// The partition of the table that all Schedules were in before they were divided, and are in on one machine.
const UNDIVIDED: &str = "schedule";
/// The partition of the index that goes with it, in which they are ordered by their next occurrence.
const UNDIVIDED_BY_NEXT: &str = "next";

/// Into how many parts new Schedules are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleParts(u8);

/// One of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SchedulePart {
    Undivided,
    Numbered(u8),
}

impl ScheduleParts {
    /// One partition: all Schedules of one machine.
    pub const ONE: Self = Self(1);
    /// Some 4,000 occurrences a second. The number stays: a process looks for a Schedule in the part that follows from its id.
    pub const ON_AWS: Self = Self(8);

    /// Where a new Schedule goes.
    pub(crate) fn of_new(self, id: ObjectId) -> SchedulePart {
        if self.0 == 1 { SchedulePart::Undivided } else { SchedulePart::Numbered(id.as_bytes()[11] % self.0) }
    }

    /// Where a Schedule can be.
    pub(super) fn of(self, id: ObjectId) -> impl Iterator<Item = SchedulePart> {
        let new = self.of_new(id);
        std::iter::once(new).chain((new != SchedulePart::Undivided).then_some(SchedulePart::Undivided))
    }

    /// All parts, each once.
    pub(super) fn all(self) -> Vec<SchedulePart> {
        let numbered = (0..self.0).filter(|_| self != Self::ONE).map(SchedulePart::Numbered);
        numbered.chain([SchedulePart::Undivided]).collect()
    }
}

impl SchedulePart {
    /// Its partition of the table.
    pub(super) fn partition(self) -> String {
        match self {
            Self::Undivided => UNDIVIDED.to_owned(),
            Self::Numbered(number) => format!("{UNDIVIDED}#{number}"),
        }
    }

    /// Its partition of the index.
    pub(super) fn by_next(self) -> String {
        match self {
            Self::Undivided => UNDIVIDED_BY_NEXT.to_owned(),
            Self::Numbered(number) => format!("{UNDIVIDED_BY_NEXT}#{number}"),
        }
    }

    /// The part with this partition of the table.
    pub(super) fn of_partition(partition: &str) -> Option<Self> {
        match partition.split_once('#') {
            None => (partition == UNDIVIDED).then_some(Self::Undivided),
            Some((UNDIVIDED, number)) => number.parse().ok().map(Self::Numbered),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schedule_can_be_where_a_new_one_goes_and_where_the_old_ones_are() {
        for parts in [ScheduleParts::ONE, ScheduleParts::ON_AWS] {
            let all = parts.all();
            let mut used = std::collections::BTreeSet::new();
            for last in 0..=255 {
                let id: ObjectId = format!("697dba2200000000000000{last:02x}").parse().unwrap();
                let of: Vec<_> = parts.of(id).collect();
                assert_eq!(of[0], parts.of_new(id));
                assert!(of.contains(&SchedulePart::Undivided) && of.iter().all(|part| all.contains(part)), "{of:?}");
                used.insert(of[0].partition());
            }
            let used_or_old = used.len() + usize::from(parts != ScheduleParts::ONE);
            assert_eq!(used_or_old, all.len(), "none is empty for ever: {used:?}");
            for part in all {
                assert_eq!(SchedulePart::of_partition(&part.partition()), Some(part));
            }
        }
    }

    #[test]
    fn other_partitions_are_no_parts() {
        for partition in ["", "schedules", "schedule#", "schedule#x", "schedule#300", "next#1", "#1"] {
            assert_eq!(SchedulePart::of_partition(partition), None, "{partition}");
        }
    }
}
