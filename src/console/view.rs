//! A page before it is written.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use maud::Markup;

/// A page: its title, and its parts from top to bottom.
pub(crate) struct View {
    pub(crate) title: String,
    pub(crate) parts: Vec<Part>,
}

/// A part of a page.
pub(crate) enum Part {
    /// It stays as it is, such as a form that somebody fills in.
    Still(Markup),
    /// It is replaced when it has changed.
    Live(&'static str, Markup),
}

impl View {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), parts: Vec::new() }
    }

    #[must_use]
    pub(crate) fn still(mut self, html: Markup) -> Self {
        self.parts.push(Part::Still(html));
        self
    }

    /// `id` is unique on the page.
    #[must_use]
    pub(crate) fn live(mut self, id: &'static str, html: Markup) -> Self {
        self.parts.push(Part::Live(id, html));
        self
    }
}

/// Tells whether a part has changed. Equal parts have equal marks in this process.
pub(crate) fn mark(html: &Markup) -> String {
    let mut hasher = DefaultHasher::new();
    html.0.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
