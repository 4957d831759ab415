//! Sizes, as people read them.

use std::fmt;

/// A number of bytes, printed as `512 bytes`, `12 KB` or `3.4 MB`. Never printed smaller than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KB: u64 = 1024;
        const MB: u64 = 1024 * KB;
        if self.0 < KB {
            return write!(f, "{} bytes", self.0);
        }
        if self.0 < MB {
            return write!(f, "{} KB", self.0.div_ceil(KB));
        }
        // In tenths, rounded up.
        let tenths = (u128::from(self.0) * 10).div_ceil(u128::from(MB));
        match tenths % 10 {
            0 => write!(f, "{} MB", tenths / 10),
            tenth => write!(f, "{}.{tenth} MB", tenths / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KB"),
            (1025, "2 KB"),
            (70 << 20, "70 MB"),
            ((3 << 20) + (400 << 10), "3.4 MB"),
            ((3 << 20) + 1, "3.1 MB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert!(ByteSize(u64::MAX).to_string().ends_with(" MB"));
    }
}
