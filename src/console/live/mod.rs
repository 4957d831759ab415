//! Tells open pages what has changed.
//!
//! However many pages are open, the console follows the service once (`hub`). Each page is then made again at most as often as
//! is good for the service, once for all who look at it, and those of its parts that have changed are sent (`fragments`).

mod fragments;
mod hub;

pub(crate) use fragments::stream;
pub(crate) use hub::{Follows, Happening, Hub, What};
