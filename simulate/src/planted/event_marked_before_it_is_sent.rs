//! An event is marked as published before it is sent.

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("event-marked-before-it-is-sent", &EventMarkedBeforeItIsSent);

struct EventMarkedBeforeItIsSent;

impl Seams for EventMarkedBeforeItIsSent {
    fn acknowledges_events_early(&self) -> bool {
        true
    }
}
