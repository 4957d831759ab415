//! JSON numbers as they were written, compared exactly by value.

use std::cmp::Ordering;

/// A number as it was written. Two numbers are equal if their values are: 1, 1.0 and 10e-1 are equal, and -0 is 0. Nothing
/// is rounded to a machine number.
#[derive(Clone, Debug)]
pub struct Number(String);

impl Number {
    /// Reads a decimal number with an optional sign, point and exponent. It accepts a little more than JSON does, such as
    /// `+5`, `.5` and `007`.
    pub fn parse(text: &str) -> Option<Self> {
        Decimal::parse(text).map(|_| Self(text.to_owned()))
    }

    /// Compares a JSON number with this one.
    pub fn order(&self, found: &str) -> Ordering {
        compare(found, &self.0)
    }

    /// Its value, if it is a whole number that fits.
    pub fn to_i64(&self) -> Option<i64> {
        Decimal::parse(&self.0)?.to_i64()
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.order(&other.0).is_eq()
    }
}

/// Compares two JSON numbers.
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => a.order(&b),
        // Never reached with numbers from parsed JSON.
        _ => a.cmp(b),
    }
}

/// The same text for every notation of a JSON number's value.
pub(super) fn canonical(text: &str) -> String {
    match Decimal::parse(text) {
        Some(number) if number.signum() == 0 => "0".to_owned(),
        Some(number) => {
            let digits: String = number.digits().map(char::from).collect();
            format!("{}{digits}e{}", if number.negative { "-" } else { "" }, number.magnitude)
        }
        // Never reached with numbers from parsed JSON.
        None => text.to_owned(),
    }
}

/// Whether a JSON number is whole, in any notation: 1.0 is.
pub fn is_whole(text: &str) -> bool {
    Decimal::parse(text).is_some_and(|number| number.last_place() >= 0 || number.signum() == 0)
}

/// A number that others can be a multiple of.
#[derive(Clone, Debug)]
pub struct Divisor {
    /// Its digits without the zeros at the end; never 0.
    digits: u64,
    /// The power of ten of the last digit.
    place: i64,
}

impl Divisor {
    /// The most digits.
    pub const MOST_DIGITS: usize = 18;

    /// Reads a JSON number. `None` unless it is positive and has few enough digits.
    pub fn parse(text: &str) -> Option<Self> {
        let number = Decimal::parse(text).filter(|number| number.signum() == 1)?;
        if number.length() > Self::MOST_DIGITS {
            return None;
        }
        let digits = number.digits().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        Some(Self { digits, place: number.last_place() })
    }

    /// Whether a JSON number is a multiple of it, exactly: 4.35 is one of 0.01.
    pub fn divides(&self, text: &str) -> bool {
        // Never reached with numbers from parsed JSON.
        let Some(number) = Decimal::parse(text) else { return false };
        if number.signum() == 0 {
            return true;
        }
        // Neither ends with a zero, so a number with more places cannot be a multiple.
        let Ok(zeros) = u64::try_from(number.last_place() - self.place) else { return false };
        let divisor = u128::from(self.digits);
        let rest = number.digits().fold(0, |rest, digit| (rest * 10 + u128::from(digit - b'0')) % divisor);
        (rest * power_of_ten(zeros, divisor)).is_multiple_of(divisor)
    }
}

/// The remainder of a power of ten.
fn power_of_ten(mut exponent: u64, divisor: u128) -> u128 {
    let (mut power, mut base) = (1 % divisor, 10 % divisor);
    while exponent > 0 {
        if exponent % 2 == 1 {
            power = power * base % divisor;
        }
        base = base * base % divisor;
        exponent /= 2;
    }
    power
}

/// Whether the string is a JSON number.
pub fn is_json(text: &str) -> bool {
    // Only a number parses as one; white space around it has to be excluded.
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

/// Whether JavaScript would print this number in the same way.
pub fn is_as_javascript_prints(text: &str) -> bool {
    text.parse().is_ok_and(|number: f64| number.is_finite() && javascript(number) == text)
}

/// <https://tc39.es/ecma262/#sec-numeric-types-number-tostring>
fn javascript(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let printed = format!("{:e}", number.abs());
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((&printed, "0"));
    let digits = mantissa.replace('.', "");
    let sign = if number < 0.0 { "-" } else { "" };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    match exponent {
        0..=20 if length <= exponent + 1 => format!("{sign}{digits}{}", zeros(exponent + 1 - length)),
        0..=20 => {
            let (whole, rest) = digits.split_at(usize::try_from(exponent + 1).unwrap_or(0));
            format!("{sign}{whole}.{rest}")
        }
        -6..=-1 => format!("{sign}0.{}{digits}", zeros(-exponent - 1)),
        _ => format!("{sign}{mantissa}e{exponent:+}"),
    }
}

/// A number without the zeros around it: `0.d₁d₂d₃… × 10^magnitude`, and no digits at all for zero.
struct Decimal<'a> {
    negative: bool,
    magnitude: i64,
    /// The digits before the point, then those after it.
    digits: (&'a [u8], &'a [u8]),
}

/// Exponents beyond this compare as equal: nobody writes that many zeros.
const MOST_EXPONENT: i64 = i64::MAX / 4;

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let (whole, fraction, places) = if whole.is_empty() {
            let digits = fraction.trim_start_matches('0');
            ("", digits, -count(fraction.len() - digits.len()))
        } else if fraction.is_empty() {
            (whole.trim_end_matches('0'), "", count(whole.len()))
        } else {
            (whole, fraction, count(whole.len()))
        };
        Some(Self { negative, magnitude: places + exponent, digits: (whole.as_bytes(), fraction.as_bytes()) })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.digits.0.iter().chain(self.digits.1).copied()
    }

    fn length(&self) -> usize {
        self.digits.0.len() + self.digits.1.len()
    }

    /// The power of ten of the last digit that is not 0.
    fn last_place(&self) -> i64 {
        self.magnitude - count(self.length())
    }

    fn signum(&self) -> i8 {
        match (self.digits().next(), self.negative) {
            (None, _) => 0,
            (Some(_), false) => 1,
            (Some(_), true) => -1,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let sizes = || self.magnitude.cmp(&other.magnitude).then_with(|| self.digits().cmp(other.digits()));
        self.signum().cmp(&other.signum()).then_with(|| match self.signum() {
            0 => Ordering::Equal,
            1 => sizes(),
            _ => sizes().reverse(),
        })
    }

    fn to_i64(&self) -> Option<i64> {
        let length = count(self.length());
        if length == 0 {
            return Some(0);
        }
        if self.magnitude < length || self.magnitude > 19 {
            return None;
        }
        let value = self.digits().fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
        let value = value * 10_i128.pow(u32::try_from(self.magnitude - length).ok()?);
        i64::try_from(if self.negative { -value } else { value }).ok()
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // These are digits only, so parsing can fail only because the number is too large.
    let size = digits.parse().unwrap_or(MOST_EXPONENT).min(MOST_EXPONENT);
    Some(if text.starts_with('-') { -size } else { size })
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(MOST_EXPONENT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_compare_by_value_in_any_notation() {
        let ascending: &[&[&str]] = &[
            &["-1e400", "-10e399"],
            &["-9007199254740993"],
            &["-9007199254740992"],
            &["-1.50", "-1.5", "-15e-1"],
            &["-1e-400"],
            &["0", "-0", "0.0", "-0e5", "0e999999999999999999999"],
            &["1e-7", "0.0000001", "1e-07", "0.1e-6"],
            &["0.1", "1e-1", "0.10"],
            &["0.1000000000000000055511151231257827"],
            &["1", "1.0", "10e-1", "1E0", "1e+0"],
            &["5.0000000000000000000001"],
            &["10", "1e1", "10.000"],
            &["9007199254740992"],
            &["9007199254740993", "9007199254740993.0"],
            &["123456789012345680000", "123456789012345680000.0", "1.2345678901234568e20"],
            &["123456789012345680001"],
            &["1e21", "1e+21", "1000000000000000000000"],
            &["1e400"],
        ];
        for (place, group) in ascending.iter().enumerate() {
            for (other_place, other_group) in ascending.iter().enumerate() {
                for (a, b) in group.iter().flat_map(|a| other_group.iter().map(move |b| (a, b))) {
                    assert_eq!(compare(a, b), place.cmp(&other_place), "{a} and {b}");
                }
            }
        }
    }

    #[test]
    fn whole_numbers_are_recognised_in_any_notation() {
        for (text, whole) in [
            ("5.0", Some(5)),
            ("50e-1", Some(5)),
            ("-0.0", Some(0)),
            ("3e1", Some(30)),
            ("9007199254740991.0", Some(9_007_199_254_740_991)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808.0", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("5.5", None),
            ("1e-1", None),
            ("1e400", None),
            ("1e99999999999999999999", None),
        ] {
            assert_eq!(Number::parse(text).unwrap().to_i64(), whole, "{text}");
        }
        for text in ["", "-", ".", "e5", "1e", "1e+", "0x10", "1_000", "١", "1 ", "NaN", "Infinity", "--1", "1.2.3"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn multiples_are_found_exactly() {
        for (number, divisor) in [
            ("4.35", "0.01"),
            ("0.07", "1e-2"),
            ("-3", "0.5"),
            ("20", "4"),
            ("7.50", "1.5"),
            ("0", "7"),
            ("1e300", "0.0000001"),
            ("9007199254740993", "3"),
            ("123456789012345678901234567890", "10"),
        ] {
            assert!(Divisor::parse(divisor).unwrap().divides(number), "{number} / {divisor}");
        }
        for (number, divisor) in
            [("4.355", "0.01"), ("10", "20"), ("9007199254740993", "2"), ("1e300", "7"), ("1e-300", "2"), ("2", "4")]
        {
            assert!(!Divisor::parse(divisor).unwrap().divides(number), "{number} / {divisor}");
        }
        for divisor in ["0", "-1", "1234567890123456789"] {
            assert!(Divisor::parse(divisor).is_none(), "{divisor}");
        }
        assert!(is_whole("1.0") && is_whole("10e-1") && is_whole("0.0") && is_whole("1e400"));
        assert!(!is_whole("1.5") && !is_whole("1e-1"));
    }

    #[test]
    fn numbers_as_javascript_prints_them_are_recognised() {
        for text in [
            "0",
            "5",
            "-5",
            "0.1",
            "-0.25",
            "1e+21",
            "1.5e+300",
            "1e-7",
            "0.000001",
            "123456789012345680000",
            "9007199254740992",
            "0.30000000000000004",
            "5e-324",
            "-1.7976931348623157e+308",
            "100",
        ] {
            assert!(is_as_javascript_prints(text), "{text}");
        }
        for text in ["-0", "5.0", "1e21", "1e3", "1e-07", "007", "9007199254740993", "0.10", "1e400", "NaN", "inf", ""]
        {
            assert!(!is_as_javascript_prints(text), "{text}");
        }
        for text in ["0", "-0", "5.0", "1e21", "1E-07", "12345678901234567890123"] {
            assert!(is_json(text), "{text}");
        }
        for text in ["007", "+5", ".5", "5.", "", "-", " 5", "5 ", "5\n", "true", "\"5\"", "NaN", "[5]"] {
            assert!(!is_json(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn doubles_compare_like_f64(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            let expected = a.partial_cmp(&b).unwrap();
            for (a, b) in [(format!("{a:e}"), format!("{b}")), (format!("{a}"), format!("{b:e}"))] {
                // Both have the shortest digits that identify the double.
                prop_assert_eq!(compare(&a, &b), expected, "{} and {}", a, b);
            }
            prop_assert_eq!(javascript(a).parse::<f64>().unwrap(), a);
        }

        #[test]
        fn whole_numbers_compare_exactly(a in any::<i64>(), b in any::<i64>()) {
            prop_assert_eq!(compare(&a.to_string(), &format!("{b}.000")), a.cmp(&b));
            prop_assert_eq!(Number::parse(&a.to_string()).unwrap().to_i64(), Some(a));
        }
    }
}
