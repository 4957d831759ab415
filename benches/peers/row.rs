//! The result of a row of the table.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// The result of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// The id, as `--only` accepts it.
    pub id: String,
    /// When it was taken: UTC, to the minute.
    pub at: String,
    /// The number of rounds.
    pub rounds: usize,
    /// Whether the rounds were few and short.
    pub quick: bool,
    /// The other load of the machine: its load average in the minute before the row began.
    pub load_before: f64,
    /// The commit that was measured.
    pub commit: String,
    pub lines: Vec<Line>,
    /// Notes beside the figures, such as how it was measured and what was left out.
    pub notes: Vec<String>,
    pub plots: Vec<Plot>,
}

/// One comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// The subject.
    pub what: String,
    /// Our figure.
    pub ours: Figure,
    /// The figure that it is compared with.
    pub against: Option<(String, Figure)>,
    /// The target.
    pub target: Target,
}

/// The target of a comparison.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Target {
    /// Ours divided by the other is at least this.
    RatioAtLeast(f64),
    /// Ours divided by the other is at most this.
    RatioAtMost(f64),
    /// Ours is at most this.
    AtMost(f64),
    /// No target; shown only for information.
    Shown,
}

/// A plot: named bars in groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plot {
    /// The file name, without `.svg`.
    pub name: String,
    pub title: String,
    pub unit: String,
    /// Bars from zero, or points over time.
    pub kind: PlotKind,
    pub groups: Vec<(String, Vec<(String, f64)>)>,
}

/// The kind of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum PlotKind {
    /// A group of bars for each group.
    Bars,
    /// A line for each group. The names of its points are their positions on the x axis.
    Lines,
}

/// The result of a row before its circumstances are added.
#[derive(Default)]
pub struct Result {
    pub lines: Vec<Line>,
    pub notes: Vec<String>,
    pub plots: Vec<Plot>,
}

impl Result {
    /// Adds a comparison.
    pub fn line(&mut self, what: &str, ours: Figure, against: Option<(&str, Figure)>, target: Target) {
        let against = against.map(|(name, figure)| (name.to_owned(), figure));
        self.lines.push(Line { what: what.to_owned(), ours, against, target });
    }

    /// Adds a note.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds bars, in groups.
    pub fn bars(&mut self, name: &str, title: &str, unit: &str, groups: Vec<(String, Vec<(String, f64)>)>) {
        self.plots.push(Plot {
            name: name.to_owned(),
            title: title.to_owned(),
            unit: unit.to_owned(),
            kind: PlotKind::Bars,
            groups,
        });
    }
}

impl Line {
    /// Our figure divided by the other.
    pub fn ratio(&self) -> Option<Figure> {
        self.against.as_ref().map(|(_, other)| self.ours.ratio(other))
    }

    /// Whether the target was reached; `None` without a target.
    pub fn reached(&self) -> Option<bool> {
        let ratio = || self.ratio().map_or(f64::NAN, |ratio| ratio.median());
        match self.target {
            Target::RatioAtLeast(least) => Some(ratio() >= least),
            Target::RatioAtMost(most) => Some(ratio() <= most),
            Target::AtMost(most) => Some(self.ours.median() <= most),
            Target::Shown => None,
        }
    }
}

impl Target {
    pub fn shown(self, unit: &str) -> String {
        match self {
            Self::RatioAtLeast(least) => format!("≥ {least} ×"),
            Self::RatioAtMost(most) => format!("≤ {} ×", crate::figure::rounded(most)),
            Self::AtMost(most) => format!("≤ {most} {unit}"),
            Self::Shown => String::new(),
        }
    }
}
