//! Tables for people.

use std::io::{self, IsTerminal};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets::NOTHING};
use tasklane_model::TaskStatus;

use super::{output, terminal};

/// The layout of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Whether cells are wrapped to fit the terminal; in a pipe, every record stays on one line.
    fit: bool,
    colors: bool,
}

impl Layout {
    /// The right layout for stdout.
    pub(super) fn of_stdout() -> Self {
        Self { fit: io::stdout().is_terminal(), colors: output::stdout_has_colors() }
    }

    /// One line per record, without colors.
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { fit: false, colors: false };

    /// A table with a heading.
    pub(super) fn list(self, heading: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
        let mut table = self.table();
        table.set_header(heading.iter().map(|title| self.bold(title)));
        table.add_rows(rows);
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
        table.set_content_arrangement(if self.fit {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
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
