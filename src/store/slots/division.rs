//! Into how many parts the slots of a scope are divided, and how many each of them has.

/// How scopes with a high limit are divided into parts. All processes should agree, but no limit depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    /// The highest limit whose slots are all in one row.
    pub undivided: u16,
    /// About how many slots a part has, if there is more than one row.
    pub slots_per_part: u16,
}

/// The most parts: a transaction and a batch of reads take 100 rows.
const MOST_PARTS: u16 = 96;

impl Division {
    /// One row for every limit: there is one holder, and nobody to race with.
    pub const NONE: Self = Self { undivided: u16::MAX, slots_per_part: u16::MAX };

    /// For many holders. The row of a part stays below 1 KB, so that a lease costs one write unit, even if each slot has
    /// a holder of its own.
    pub const FOR_MANY: Self = Self { undivided: 32, slots_per_part: 12 };

    /// The number of parts, which are counted from 1; 0: all slots are leased from the main row.
    pub(super) fn parts(self, limit: u16) -> u16 {
        if limit <= self.undivided { 0 } else { limit.div_ceil(self.slots_per_part.max(1)).min(MOST_PARTS) }
    }

    /// How many slots this part may have. The shares of all parts add up to the limit.
    pub(super) fn share(self, limit: u16, part: u16) -> u16 {
        match self.parts(limit) {
            parts if (1..=parts).contains(&part) => limit / parts + u16::from(part <= limit % parts),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_limit_and_differ_by_one_at_most() {
        for division in [Division::FOR_MANY, Division { undivided: 0, slots_per_part: 1 }, Division::NONE] {
            for limit in (1..=1000).chain([1152, 1153, 5000, u16::MAX]) {
                let parts = division.parts(limit);
                let shares: Vec<u16> = (1..=parts).map(|part| division.share(limit, part)).collect();
                if parts == 0 {
                    assert!(limit <= division.undivided);
                    continue;
                }
                assert_eq!(shares.iter().map(|share| u32::from(*share)).sum::<u32>(), u32::from(limit), "{limit}");
                let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
                assert!(*least > 0 && most - least <= 1, "{limit}: {shares:?}");
                assert!(parts <= MOST_PARTS && (parts == MOST_PARTS || *most <= division.slots_per_part), "{limit}");
                assert_eq!((division.share(limit, 0), division.share(limit, parts + 1)), (0, 0));
            }
        }
    }

    #[test]
    fn small_limits_are_not_divided() {
        let parts = [1, 32, 33, 1000].map(|limit| Division::FOR_MANY.parts(limit));
        assert_eq!(parts, [0, 0, 3, 84]);
    }
}
