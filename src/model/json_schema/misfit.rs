//! How data does not fit a schema.

use std::fmt;

use crate::shorten::cut_short;

/// Why data does not fit. Its text names places and what is expected there, and never a value, because data may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// What is wrong, in the order of the data: at least one problem.
    Problems(Vec<Problem>),
    /// It takes too much work to find out.
    TooMuchWork,
    /// The data and the schema nest too deep in one another.
    TooDeep,
}

/// One fault of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a JSON pointer; empty for the whole.
    pub(super) place: String,
    /// What is expected, phrased to follow the place.
    pub(super) expected: String,
}

/// The most problems that are named.
pub(super) const MOST_PROBLEMS: usize = 3;

/// The longest text about a place, and the longest about what is expected there.
const LONGEST: usize = 240;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = cut_short(&self.expected, LONGEST);
        match self.place.as_str() {
            "" => write!(f, "it {expected}"),
            place => write!(f, "'{}' {expected}", cut_short(place, LONGEST)),
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems(problems) => {
                for (index, problem) in problems.iter().take(MOST_PROBLEMS).enumerate() {
                    if index > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{problem}")?;
                }
                if problems.len() > MOST_PROBLEMS {
                    f.write_str("; and more")?;
                }
                Ok(())
            }
            Self::TooMuchWork => f.write_str("it takes too much work to check: make it smaller, or the schema simpler"),
            Self::TooDeep => {
                f.write_str("it nests too deep to be checked: make it flatter, or the schema's references fewer")
            }
        }
    }
}
