//! Tables for people.
//!
//! At a terminal a table fits its width. An id, a name or a time is never broken, so that a double click copies it: times
//! become short, columns that matter least are left out, and only then sentences are wrapped. In a pipe every record stays
//! on one line, with everything.

use std::io::{self, IsTerminal};

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets::NOTHING};
use tasklane_model::{TaskStatus, Timestamp};
use tasklane_ports::{Clock as _, SystemClock};

use super::{output, terminal};

/// The layout of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// The width of the terminal; without one, nothing is wrapped or left out.
    width: Option<u16>,
    /// The time that times are shown relative to; without one they are shown in full.
    now: Option<Timestamp>,
    colors: bool,
}

/// The columns that are left out where there is no room, the first one first.
const LEFT_OUT_FIRST: [&str; 12] = [
    "PRIORITY",
    "APPLICATION",
    "CREATED BY",
    "CLAIMED",
    "SECONDS",
    "TAGS",
    "USER",
    "CREATED",
    "UPDATED",
    "RUNTIME",
    "START",
    "DESCRIPTION",
];

/// The space between two columns.
const GAP: u16 = 2;

/// The width that a wrapped column keeps.
const LEAST: u16 = 16;

impl Layout {
    /// The right layout for stdout.
    pub(super) fn of_stdout() -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self {
            width: if is_terminal { width() } else { None },
            now: is_terminal.then(|| SystemClock.now()),
            colors: output::stdout_has_colors(),
        }
    }

    /// One line per record, without colors.
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { width: None, now: None, colors: false };

    /// A time: in full, or short and relative to now at a terminal.
    pub(super) fn time(self, moment: Timestamp) -> Cell {
        Cell::new(self.now.map_or_else(|| moment.to_string(), |now| relative(moment, now)))
    }

    /// A time that may be absent.
    pub(super) fn optional_time(self, moment: Option<Timestamp>) -> Cell {
        moment.map_or_else(|| Cell::new("-"), |moment| self.time(moment))
    }

    /// A table with a heading.
    pub(super) fn list(self, heading: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
        let mut table = self.table();
        table.set_header(heading.iter().map(|title| self.bold(title)));
        table.add_rows(rows);
        if let Some(width) = self.width {
            fit(&mut table, heading, width);
        }
        self.print(&mut table)
    }

    /// One line per property.
    pub(super) fn details(self, rows: impl IntoIterator<Item = (&'static str, String)>) -> String {
        let mut table = self.table();
        table.add_rows(rows.into_iter().map(|(name, value)| vec![self.bold(name), text(value)]));
        self.print(&mut table)
    }

    /// A status in its color.
    pub(super) fn status(self, status: TaskStatus) -> Cell {
        let color = match status {
            TaskStatus::New => Color::Blue,
            TaskStatus::InProgress | TaskStatus::Retried => Color::Yellow,
            TaskStatus::Complete => Color::Green,
            TaskStatus::Failed => Color::Red,
            TaskStatus::Canceled => Color::DarkGrey,
        };
        let cell = Cell::new(status);
        if self.colors { cell.fg(color) } else { cell }
    }

    fn bold(self, title: &str) -> Cell {
        let cell = Cell::new(title);
        if self.colors { cell.add_attribute(Attribute::Bold) } else { cell }
    }

    fn table(self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        // `fit` sets the widths; on its own, the library breaks words.
        table.set_content_arrangement(ContentArrangement::Disabled);
        if self.colors {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table
    }

    fn print(self, table: &mut Table) -> String {
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.trim_fmt()
    }
}

/// The width of the terminal: `COLUMNS`, or what it reports. Some report 0, which means that they do not know.
fn width() -> Option<u16> {
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let reported = || terminal_size::terminal_size().map(|(width, _)| width.0);
    named.or_else(reported).filter(|width| *width > 0)
}

/// Leaves columns out and wraps others until the table fits. If it cannot, it is wider than the terminal, which wraps it.
fn fit(table: &mut Table, heading: &[&str], width: u16) {
    let natural = table.column_max_content_widths();
    let mut shown: Vec<_> = heading.iter().copied().zip(natural).map(|(title, width)| (title, width, true)).collect();
    let total = |shown: &[(&str, u16, bool)]| {
        let widths: Vec<u16> = shown.iter().filter(|column| column.2).map(|column| column.1).collect();
        let gaps = u16::try_from(widths.len().saturating_sub(1)).unwrap_or(u16::MAX).saturating_mul(GAP);
        widths.into_iter().fold(gaps, u16::saturating_add)
    };
    let is_sentence: Vec<bool> = (0..shown.len()).map(|at| cells(table, at).any(|cell| cell.contains(' '))).collect();
    // Sentences first give up what they do not need.
    let sentences = |shown: &[(&str, u16, bool)]| {
        let can = |at: usize, column: &(&str, u16, bool)| is_sentence[at] && column.2 && column.1 > LEAST;
        shown
            .iter()
            .enumerate()
            .filter(|(at, column)| can(*at, column))
            .max_by_key(|(_, column)| column.1)
            .map(|(at, _)| at)
    };
    let mut least_important = LEFT_OUT_FIRST.iter();
    while total(&shown) > width {
        if let Some(at) = sentences(&shown) {
            let excess = total(&shown) - width;
            shown[at].1 = shown[at].1.saturating_sub(excess).max(LEAST);
            continue;
        }
        let Some(next) = least_important.next() else { break };
        for column in shown.iter_mut().skip(1).filter(|column| column.0 == *next) {
            column.2 = false;
        }
    }
    let is_wrapped = |at: usize| shown[at].1 < natural_width(table, at);
    let constraints: Vec<_> = (0..shown.len())
        .map(|at| match shown[at] {
            (_, _, false) => Some(ColumnConstraint::Hidden),
            (_, width, true) if is_wrapped(at) => Some(ColumnConstraint::Absolute(Width::Fixed(width + GAP))),
            _ => None,
        })
        .collect();
    if constraints.iter().flatten().any(|constraint| !matches!(constraint, ColumnConstraint::Hidden)) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::MAX);
    }
    for (column, constraint) in table.column_iter_mut().zip(constraints) {
        if let Some(constraint) = constraint {
            column.set_constraint(constraint);
        }
    }
}

fn natural_width(table: &Table, column: usize) -> u16 {
    table.column_max_content_widths().get(column).copied().unwrap_or_default()
}

fn cells(table: &Table, column: usize) -> impl Iterator<Item = String> {
    table.row_iter().filter_map(move |row| row.cell_iter().nth(column)).map(Cell::content)
}

/// A time as people say it: `12s ago`, `in 5m`, and a date if it is more than a week away.
fn relative(moment: Timestamp, now: Timestamp) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (past, future) = (now.since(moment).as_secs(), moment.since(now).as_secs());
    let length = match past.max(future) {
        seconds @ 0..MINUTE => format!("{seconds}s"),
        seconds @ MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        seconds @ HOUR..DAY => format!("{}h", seconds / HOUR),
        seconds if seconds < 7 * DAY => format!("{}d", seconds / DAY),
        _ => return moment.to_string().chars().take(10).collect(),
    };
    if future > 0 { format!("in {length}") } else { format!("{length} ago") }
}

/// A cell of untrusted text, which cannot break the line or move the cursor.
pub(super) fn cell(text: impl std::fmt::Display) -> Cell {
    Cell::new(plain(&text.to_string()))
}

/// A cell for an optional value.
pub(super) fn optional(value: Option<impl std::fmt::Display>) -> Cell {
    value.map_or_else(|| Cell::new("-"), cell)
}

/// Text on one line, without control characters.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || terminal::is_acted_upon(c) { ' ' } else { c }).collect()
}

/// Like [`plain`], keeping line breaks.
fn text(text: String) -> Cell {
    Cell::new(text.lines().map(plain).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 2] = ["6b0b29555d12780bbec79662", "6b0b29555d12780bbec79663"];

    fn at(width: u16) -> String {
        let now: Timestamp = "2026-01-31T08:15:30.123Z".parse().unwrap();
        let layout = Layout { width: Some(width), now: Some(now), colors: false };
        let row = |id: &str, error: &str| {
            let start = "2026-01-31T08:20:30.123Z".parse().unwrap();
            vec![
                cell(id),
                cell("hello-js"),
                cell("complete"),
                cell(0),
                layout.time(start),
                layout.time(now),
                cell(error),
            ]
        };
        let rows = [row(IDS[0], "-"), row(IDS[1], "An error whose name is a whole sentence of some length")];
        layout.list(&["ID", "FUNCTION", "STATUS", "PRIORITY", "START", "CREATED", "ERROR"], rows)
    }

    #[test]
    fn a_table_fits_the_terminal_and_breaks_no_id() {
        insta::assert_snapshot!(at(80), @"
        ID                        FUNCTION  STATUS    START  CREATED  ERROR
        6b0b29555d12780bbec79662  hello-js  complete  in 5m  0s ago   -
        6b0b29555d12780bbec79663  hello-js  complete  in 5m  0s ago   An error whose
                                                                      name is a whole
                                                                      sentence of some
                                                                      length
        ");
        for width in 1..=200 {
            let table = at(width);
            for word in ["6b0b29555d12780bbec79662", "6b0b29555d12780bbec79663", "complete", "hello-js"] {
                assert!(table.contains(word), "{width}: {word} is broken\n{table}");
            }
            let widest = table.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            assert!(widest <= usize::from(width).max(64), "{width}: {widest}\n{table}");
        }
        assert!(at(200).contains("PRIORITY"));
    }

    #[test]
    fn times_are_short_at_a_terminal() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        for (moment, text) in [
            ("2026-01-31T08:00:00Z", "0s ago"),
            ("2026-01-31T07:59:01Z", "59s ago"),
            ("2026-01-31T08:05:00Z", "in 5m"),
            ("2026-01-30T09:00:00Z", "23h ago"),
            ("2026-01-28T08:00:00Z", "3d ago"),
            ("2026-03-28T08:00:00Z", "2026-03-28"),
        ] {
            assert_eq!(relative(moment.parse().unwrap(), now), text);
        }
    }
}
