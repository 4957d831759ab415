//! Versions of interpreters, as far as they decide which one runs a Function.

/// The numbers of a version, for example 3, 11 and 7. A longer one is greater than its beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(Vec<u64>);

impl Release {
    /// The numbers that the text begins with, and the rest of the text. A `v` may come first.
    pub(super) fn at_start(text: &str) -> Option<(Self, &str)> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let numbers: Option<Vec<u64>> = numbers.split('.').map(|number| number.parse().ok()).collect();
        numbers.map(|numbers| (Self(numbers), rest))
    }

    /// The release in the name of a folder, if it is one: pre-releases, and builds with other features, are none.
    pub(super) fn of_folder(name: &str) -> Option<Self> {
        let (release, rest) = Self::at_start(name)?;
        // Homebrew counts its own changes after an underscore.
        let is_plain = rest.is_empty() || rest.strip_prefix('_').is_some_and(|count| count.parse::<u64>().is_ok());
        is_plain.then_some(release)
    }

    /// Whether it is the wanted version or a patch of it: 3.11.7 is within 3.11, and 3.1.1 is not.
    pub(super) fn is_within(&self, wanted: &Self) -> bool {
        self.0.starts_with(&wanted.0)
    }

    /// Its first two numbers, as in the names of programs: `3.11`.
    pub(super) fn minor(&self) -> String {
        self.0.iter().take(2).map(u64::to_string).collect::<Vec<_>>().join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        Release::of_folder(text).unwrap()
    }

    #[test]
    fn releases_are_read_from_names_and_compared_as_numbers() {
        assert!(release("v22.10.0") > release("22.9.1") && release("22.9") < release("22.9.0"));
        assert!(release("3.11.7").is_within(&release("3.11")) && !release("3.1.11").is_within(&release("3.11")));
        assert!(release("22").is_within(&release("22")) && !release("220.1").is_within(&release("22")));
        assert_eq!(release("26.1.0_2"), release("26.1.0"));
        assert_eq!(release("3.11.7").minor(), "3.11");
        for name in ["", "latest", "3.13.0t", "3.15.0rc1", "3.12-dev", "22.", "pypy3.9-7.3.9", "99999999999999999999"] {
            assert_eq!(Release::of_folder(name), None, "{name}");
        }
        assert_eq!(Release::at_start("3.15.0rc1"), Some((release("3.15.0"), "rc1")));
    }
}
