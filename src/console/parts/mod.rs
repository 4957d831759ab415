//! What pages are made of.

mod chart;
mod forms;
mod json;
mod status;
mod text;

pub(crate) use chart::{Bar, chart, meter, progress, time_line};
pub(crate) use forms::{confirm, field, link_button, moment, select};
pub(crate) use json::{editable, json};
pub(crate) use status::{bulk_status, status};
pub(crate) use text::{brief, clean, count, cut, duration, name, seconds, sentence, time};
