//! Waiting for conditions.

use std::{
    thread,
    time::{Duration, Instant},
};

/// The longest wait, chosen for busy machines. A Task whose runner died is ended after its time limit plus a minute.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Polls until there is a value. Panics with a description of it if it takes too long.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        thread::sleep(Duration::from_millis(30));
    }
}
