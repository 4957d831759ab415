//! What a row of the table came to.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// What a row came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// Its id, as `--only` names it.
    pub id: String,
    /// When it was taken: UTC, to the minute.
    pub at: String,
    /// How many rounds.
    pub rounds: usize,
    /// Whether the rounds were few and short.
    pub quick: bool,
    /// How busy the machine was besides: the load average of the last minute before it began.
    pub load_before: f64,
    /// The commit that was measured.
    pub commit: String,
    /// Its lines.
    pub lines: Vec<Line>,
    /// What has to be said beside the figures: how it was measured, what was left out.
    pub notes: Vec<String>,
    /// Its plots.
    pub plots: Vec<Plot>,
}

/// One comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// Ours.
    pub ours: Figure,
    /// What it is held against.
    pub against: Option<(String, Figure)>,
    /// What must be reached.
    pub target: Target,
}

/// What must be reached.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Target {
    /// Ours divided by the other is at least this.
    RatioAtLeast(f64),
    /// Ours divided by the other is at most this.
    RatioAtMost(f64),
    /// Ours is at most this.
    AtMost(f64),
    /// Nothing: it is shown for what it says.
    Shown,
}

/// A plot: named bars in groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plot {
    /// Its file's name, without `.svg`.
    pub name: String,
    pub title: String,
    pub unit: String,
    /// Bars from zero, or points over time.
    pub kind: PlotKind,
    pub groups: Vec<(String, Vec<(String, f64)>)>,
}

/// How a plot is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum PlotKind {
    /// A group of bars for each group.
    Bars,
    /// A line for each group, its points named by where they stand on the x axis.
    Lines,
}

/// What a row adds up to before its circumstances are noted.
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

    /// Adds something that has to be said.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds bars: for each group its bars.
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
    /// Ours divided by the other.
    pub fn ratio(&self) -> Option<Figure> {
        self.against.as_ref().map(|(_, other)| self.ours.ratio(other))
    }

    /// Whether the target was reached; nothing when there is none.
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
