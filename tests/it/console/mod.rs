//! The console: who gets in, and its pages in a real browser.

mod browser;
mod door;
mod site;
