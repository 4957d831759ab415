//! Figures of several rounds.

use serde::{Deserialize, Serialize};

/// One figure, with a value for each round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figure {
    /// The unit.
    pub unit: String,
    /// The values, in the order of the rounds.
    pub values: Vec<f64>,
}

impl Figure {
    pub fn new(unit: &str, values: Vec<f64>) -> Self {
        Self { unit: unit.to_owned(), values }
    }

    /// A figure without rounds: a count.
    pub fn count(unit: &str, value: f64) -> Self {
        Self::new(unit, vec![value])
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
        }
    }

    /// This figure divided by another, round by round, because other load on the machine slows both.
    pub fn ratio(&self, other: &Self) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| a / b).collect();
        Self::new("×", values)
    }

    /// The median, followed by the lowest and the highest if there were several rounds.
    pub fn shown(&self) -> String {
        let lowest = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let unit = match self.unit.as_str() {
            "×" => " ×".to_owned(),
            "" => String::new(),
            unit => format!(" {unit}"),
        };
        match self.values.len() {
            0 => "–".to_owned(),
            1 => format!("{}{unit}", rounded(self.median())),
            _ => format!("{}{unit} ({}–{})", rounded(self.median()), rounded(lowest), rounded(highest)),
        }
    }
}

/// Rounded to three significant digits.
pub fn rounded(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let digits: usize = match value.abs() {
        large if large >= 100.0 => 0,
        tens if tens >= 10.0 => 1,
        ones if ones >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if value.abs() < 10_000.0 || digits > 0 {
        return text;
    }
    let mut grouped = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
