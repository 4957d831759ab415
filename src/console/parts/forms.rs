//! Forms and buttons, which work without scripts.

use maud::{Markup, html};

use crate::door::ROOT;

use super::clean;

/// A link that looks like a button: to a page that says what will happen, and asks.
pub(crate) fn link_button(to: &str, label: &str) -> Markup {
    html! { a.button href={ (ROOT) (to) } { (label) } }
}

/// Says what will happen, and asks once.
pub(crate) fn confirm(action: &str, fields: &[(&str, &str)], what: Markup, label: &str, back: &str) -> Markup {
    html! {
        section.card.confirm {
            (what)
            form method="post" action={ (ROOT) (action) } {
                @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                p.buttons {
                    button.danger type="submit" { (label) }
                    a.button href={ (ROOT) (back) } { "No, go back" }
                }
            }
        }
    }
}

/// A field of one line with its label.
pub(crate) fn field(label: &str, name: &str, value: Option<&str>, hint: &str) -> Markup {
    html! {
        label.field {
            span { (label) }
            input type="text" name=(name) value=(value.map(clean).unwrap_or_default()) placeholder=(hint) autocomplete="off"
                spellcheck="false" maxlength="2000";
        }
    }
}

/// A choice with its label. The first option stands for all.
pub(crate) fn select(label: &str, name: &str, chosen: Option<&str>, options: &[(&str, &str)]) -> Markup {
    html! {
        label.field {
            span { (label) }
            select name=(name) {
                @for (value, text) in options {
                    option value=(value) selected[Some(*value) == chosen] { (text) }
                }
            }
        }
    }
}

/// A field for a moment. Without scripts it is in UTC; they turn it into the viewer's time and back.
pub(crate) fn moment(label: &str, name: &str, value: Option<&str>, hint: &str) -> Markup {
    html! {
        label.field {
            span { (label) " " span data-utc { "(UTC)" } }
            input type="text" name=(name) value=(value.map(clean).unwrap_or_default()) placeholder=(hint) data-moment autocomplete="off"
                maxlength="40";
        }
    }
}
