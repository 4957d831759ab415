//! How long the server waits for clients.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// How long to wait for clients.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a head to arrive; for the first one, from the moment of the connection.
    pub head: Duration,
    /// For the next request on an idle connection. This is longer than clients keep idle connections: if the server
    /// closes one while the client sends a request, the client cannot know whether the request was read.
    pub idle: Duration,
    /// For a client to read some of its response.
    pub write: Duration,
    /// For a refused client to stop sending, so that it can read the response.
    pub linger: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            idle: Duration::from_secs(120),
            write: Duration::from_secs(60),
            linger: Duration::from_secs(2),
        }
    }
}

/// A timer that starts when it is first polled and runs until it is stopped.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    runs: bool,
}

impl Timer {
    /// Ready when this much time has passed.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, patience: Duration) -> Poll<()> {
        let deadline = Instant::now() + patience;
        let runs = std::mem::replace(&mut self.runs, true);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if !runs {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }

    pub(super) fn is_running(&self) -> bool {
        self.runs
    }

    /// Stops the timer. Returns whether it was running.
    pub(super) fn stop(&mut self) -> bool {
        std::mem::take(&mut self.runs)
    }
}
