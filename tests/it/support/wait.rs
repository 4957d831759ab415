//! Waiting for what happens when it happens.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything that a test waits for may take on a busy machine. A Task whose runner died is given up after a
/// minute and its time limit.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Asks until there is an answer. Panics with what was waited for once patience is at its end.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        thread::sleep(Duration::from_millis(30));
    }
}
