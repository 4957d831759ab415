//! Splits output into lines.

use std::sync::Arc;

use tasklane_runtime::lock::Lock;

use super::{super::sink::LogSink, target::LogTarget};

/// The longest line, in bytes; a longer one is split. This is CloudWatch's limit on an event.
pub(super) const MAX_LINE_BYTES: usize = 256 * 1024;

/// The run that lines belong to; `None` between two runs.
pub(super) type Target = Arc<Lock<Option<LogTarget>>>;

#[derive(Debug)]
pub(super) struct Lines {
    pub(super) logs: Arc<dyn LogSink>,
    pub(super) target: Target,
    /// The beginning of a line that is not complete yet.
    pub(super) partial: Vec<u8>,
}

impl Lines {
    pub(super) async fn take(&mut self, bytes: &[u8]) {
        let Some(target) = self.target.lock().clone() else { return };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                // Most lines arrive in one piece.
                Some(line) if self.partial.is_empty() => self.log(&target, line).await,
                Some(end) => {
                    self.partial.extend_from_slice(end);
                    let line = std::mem::take(&mut self.partial);
                    self.log(&target, &line).await;
                }
                None => {
                    self.partial.extend_from_slice(piece);
                    if self.partial.len() > MAX_LINE_BYTES {
                        let rest = self.partial.split_off(character_boundary(&self.partial, MAX_LINE_BYTES));
                        let line = std::mem::replace(&mut self.partial, rest);
                        self.log(&target, &line).await;
                    }
                }
            }
        }
    }

    /// Logs an incomplete line.
    pub(super) async fn end(&mut self) {
        let line = std::mem::take(&mut self.partial);
        let target = self.target.lock().clone();
        if let Some(target) = target
            && !line.is_empty()
        {
            self.log(&target, &line).await;
        }
    }

    async fn log(&self, target: &LogTarget, line: &[u8]) {
        let mut line = line.strip_suffix(b"\r").unwrap_or(line);
        while line.len() > MAX_LINE_BYTES {
            let (first, rest) = line.split_at(character_boundary(line, MAX_LINE_BYTES));
            target.log_written(&*self.logs, first).await;
            line = rest;
        }
        target.log_written(&*self.logs, line).await;
    }
}

/// How many of the first `most` bytes can be taken without splitting a character.
fn character_boundary(text: &[u8], most: usize) -> usize {
    let is_inside = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    // A UTF-8 character has at most four bytes.
    (most.saturating_sub(3)..=most).rev().find(|at| !is_inside(at)).unwrap_or(most)
}
