//! The output of a process: one pipe for standard output and error, so that their order is preserved.
//!
//! Our bootstraps write each line with a blocking call before they answer, so when the answer arrives, all lines of the
//! run are in the pipe. Output between two runs belongs to neither, and is dropped.

use std::{
    io::{self, PipeWriter},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nix::errno::Errno;
use tasklane_model::{FunctionName, ObjectId};
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    sink::{LogSink, LoggedLine},
    system::now,
};

/// The longest line, in bytes; a longer one is split. This is CloudWatch's limit on an event.
const MAX_LINE_BYTES: usize = 256 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// The most bytes that a pipe holds: on Linux only root can have more (`/proc/sys/fs/pipe-max-size`). Everything
/// written before a certain moment is within the next so many bytes. Without this bound, reading would never end if a
/// process never stops writing.
const MOST_IN_PIPE: usize = 1024 * 1024;
/// Roughly how much a line takes in the store besides its text.
const LINE_OVERHEAD: u64 = 64;

/// The run that lines belong to, and how much more it may log.
#[derive(Clone, Debug)]
pub(super) struct LogTarget {
    pub(super) function: FunctionName,
    pub(super) correlation: ObjectId,
    pub(super) request_id: Arc<str>,
    quota: Arc<Quota>,
}

/// How much of the output of a run's processes is logged.
#[derive(Debug)]
struct Quota {
    /// In bytes, like the other fields.
    limit: u64,
    left: AtomicU64,
    left_out: AtomicU64,
}

impl LogTarget {
    /// The log of a run that may log `limit` bytes.
    pub(super) fn new(function: FunctionName, correlation: ObjectId, request_id: Arc<str>, limit: u64) -> Self {
        let quota = Quota { limit, left: AtomicU64::new(limit), left_out: AtomicU64::new(0) };
        Self { function, correlation, request_id, quota: Arc::new(quota) }
    }

    /// Logs a line about this run now. Lambda's own lines do not count towards the limit.
    pub(super) async fn log(&self, logs: &dyn LogSink, message: String) {
        let Self { function, correlation, request_id, quota: _ } = self.clone();
        logs.write(LoggedLine { function, correlation, request_id, timestamp: now(), message }).await;
    }

    /// Logs a line that the run's process wrote, unless the limit is reached.
    async fn log_written(&self, logs: &dyn LogSink, line: &[u8]) {
        if !self.quota.allows(line.len()) {
            return;
        }
        // Runtime clients put a carriage return between the lines of a multi-line entry.
        self.log(logs, String::from_utf8_lossy(line).replace('\r', "\n")).await;
    }

    /// The line to log at the end if lines were dropped.
    pub(super) fn left_out(&self) -> Option<String> {
        let Quota { limit, left_out, .. } = &*self.quota;
        let bytes = left_out.load(Ordering::Relaxed);
        (bytes > 0).then(|| format!("… {} MB left out: a run may log {} MB", megabytes(bytes), megabytes(*limit)))
    }
}

impl Quota {
    /// Whether a line of this many bytes may be logged. After the first refused line all others are refused: a log may
    /// end early, but has no gaps.
    fn allows(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        // Only one task at a time reads the output of a run's processes.
        let left = self.left.load(Ordering::Relaxed);
        match left.checked_sub(bytes.saturating_add(LINE_OVERHEAD)) {
            Some(left) => {
                self.left.store(left, Ordering::Relaxed);
                true
            }
            None => {
                self.left.store(0, Ordering::Relaxed);
                self.left_out.fetch_add(bytes.max(1), Ordering::Relaxed);
                false
            }
        }
    }
}

/// Megabytes, with one decimal if there are fewer than ten.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    if tenths < 100 { format!("{}.{}", tenths / 10, tenths % 10) } else { format!("{}", tenths.div_ceil(10)) }
}

/// Reads a process's output into the log until all writers of the pipe are gone, or this is dropped.
#[derive(Debug)]
pub(super) struct Output {
    target: Target,
    reader: Arc<Reader>,
    _reading: DropGuard,
}

/// The run that lines belong to; `None` between two runs.
type Target = Arc<Mutex<Option<LogTarget>>>;

impl Output {
    /// Creates a pipe and starts reading it. Returns the end that the child writes to. Lines belong to `target` until
    /// that run ends.
    pub(super) fn start(logs: Arc<dyn LogSink>, target: LogTarget) -> io::Result<(PipeWriter, Self)> {
        let (reader, writer) = io::pipe()?;
        let pipe = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let target = Arc::new(Mutex::new(Some(target)));
        let lines = Lines { logs, target: Arc::clone(&target), partial: Vec::new() };
        let reading = Reading { lines, buffer: vec![0; READ_BYTES] };
        let reader = Arc::new(Reader { pipe, reading: tokio::sync::Mutex::new(reading) });
        let stop = CancellationToken::new();
        tokio::spawn(read(Arc::clone(&reader), stop.clone()));
        Ok((writer, Self { target, reader, _reading: stop.drop_guard() }))
    }

    /// From now on lines belong to this run. Earlier output is dropped.
    pub(super) async fn begin_run(&self, target: LogTarget) {
        let mut reading = self.reader.reading.lock().await;
        self.reader.drain(&mut reading).await;
        reading.lines.partial.clear();
        *lock(&self.target) = Some(target);
    }

    /// Returns when all lines written so far are in the log.
    pub(super) async fn catch_up(&self) {
        let mut reading = self.reader.reading.lock().await;
        self.reader.drain(&mut reading).await;
    }

    /// Returns when everything written so far is in the log, including an incomplete last line. Later output is
    /// dropped.
    pub(super) async fn end_run(&self) {
        let mut reading = self.reader.reading.lock().await;
        self.reader.drain(&mut reading).await;
        reading.lines.end().await;
        *lock(&self.target) = None;
    }
}

/// The reading end of the pipe. Only the holder of `reading` may read.
#[derive(Debug)]
struct Reader {
    pipe: Receiver,
    reading: tokio::sync::Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    lines: Lines,
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads everything that is in the pipe now.
    async fn drain(&self, reading: &mut Reading) {
        let Reading { lines, buffer } = reading;
        let mut taken = 0;
        while taken < MOST_IN_PIPE {
            // Not through tokio, which would not try before the kernel has told it that there is something to read.
            match nix::unistd::read(self.pipe.as_fd(), buffer) {
                Ok(0) => return,
                Ok(read) => {
                    taken += read;
                    lines.take(&buffer[..read]).await;
                }
                Err(Errno::EINTR) => {}
                // The pipe is empty, or closed.
                Err(_) => return,
            }
        }
    }
}

/// Reads output as it arrives.
async fn read(reader: Arc<Reader>, stop: CancellationToken) {
    loop {
        let ready = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ready = reader.pipe.readable() => ready,
        };
        let mut reading = reader.reading.lock().await;
        let Reading { lines, buffer } = &mut *reading;
        match ready.and_then(|()| reader.pipe.try_read(buffer)) {
            Ok(0) => return lines.end().await,
            Ok(read) => lines.take(&buffer[..read]).await,
            // Another task may have read it.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

#[derive(Debug)]
struct Lines {
    logs: Arc<dyn LogSink>,
    target: Target,
    /// The beginning of a line that is not complete yet.
    partial: Vec<u8>,
}

impl Lines {
    async fn take(&mut self, bytes: &[u8]) {
        let Some(target) = lock(&self.target).clone() else { return };
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
    async fn end(&mut self) {
        let line = std::mem::take(&mut self.partial);
        let target = lock(&self.target).clone();
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

fn lock(target: &Mutex<Option<LogTarget>>) -> std::sync::MutexGuard<'_, Option<LogTarget>> {
    target.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::testing::MemoryLog;
    use tasklane_model::Timestamp;

    /// A log, and a pipe that is read into it. Runs are numbered from 1, all of one Function.
    #[derive(Default)]
    struct World {
        log: MemoryLog,
    }

    impl World {
        fn new() -> Self {
            Self::default()
        }

        fn target(run: u64, limit: u64) -> LogTarget {
            LogTarget::new(FunctionName::parse("f").unwrap(), ObjectId::new(Timestamp::EPOCH, run), "id".into(), limit)
        }

        fn output(&self, limit: u64) -> (PipeWriter, Output) {
            Output::start(Arc::new(self.log.clone()), Self::target(1, limit)).unwrap()
        }

        fn log_of(&self, run: u64) -> Vec<String> {
            self.log.of(ObjectId::new(Timestamp::EPOCH, run))
        }
    }

    #[tokio::test]
    async fn what_is_written_between_two_runs_is_in_no_log() {
        let world = World::new();
        let (mut pipe, output) = world.output(1_000_000);
        pipe.write_all(b"first\nno end").unwrap();
        output.end_run().await;
        // Some of it is read as it arrives, and some is still in the pipe when the next run begins.
        pipe.write_all(b" of the first\nlate\nhal").unwrap();
        tokio::task::yield_now().await;
        pipe.write_all(b"f a line").unwrap();
        output.begin_run(World::target(2, 1_000_000)).await;
        pipe.write_all(b"second\n").unwrap();
        output.end_run().await;
        assert_eq!(world.log_of(1), ["first", "no end"]);
        assert_eq!(world.log_of(2), ["second"]);
    }

    #[tokio::test]
    async fn catching_up_leaves_a_line_that_has_not_ended_whole() {
        let world = World::new();
        let (mut pipe, output) = world.output(1_000_000);
        pipe.write_all(b"one\ntw").unwrap();
        output.catch_up().await;
        assert_eq!(world.log_of(1), ["one"]);
        pipe.write_all(b"o\n").unwrap();
        output.end_run().await;
        assert_eq!(world.log_of(1), ["one", "two"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_line_is_cut_where_it_is_too_long_and_never_within_a_character() {
        let world = World::new();
        let (mut pipe, output) = world.output(100_000_000);
        // With the blanks, the limit falls inside of a character, at another byte of it each time.
        let lines: Vec<String> = (0..5).map(|blank| " ".repeat(blank) + &"é☃😀".repeat(70_000)).collect();
        let text = lines.join("\n") + "\n" + &"x".repeat(MAX_LINE_BYTES) + "\n";
        let written = tokio::task::spawn_blocking(move || pipe.write_all(text.as_bytes()).map(|()| pipe));
        let _pipe = written.await.unwrap().unwrap();
        output.end_run().await;
        let mut logged = world.log_of(1);
        assert_eq!(logged.pop().unwrap().len(), MAX_LINE_BYTES, "a line of maximum length is not split");
        assert!(logged.iter().all(|line| line.len() <= MAX_LINE_BYTES && !line.contains('\u{fffd}')));
        assert_eq!(logged.concat(), lines.concat());
        assert_eq!(logged.len(), 5 * 3, "no line is split more often than necessary");
    }

    #[tokio::test]
    async fn a_log_ends_where_its_quota_does_and_says_how_much_is_left_out() {
        let world = World::new();
        let (mut pipe, output) = world.output(3 * (LINE_OVERHEAD + 5));
        pipe.write_all(b"line1\nline2\nlonger than the rest\nx\n").unwrap();
        output.end_run().await;
        assert_eq!(world.log_of(1), ["line1", "line2"], "lines after a gap are dropped too");
        let target = World::target(1, 32_000_000);
        assert_eq!(target.left_out(), None);
        target.quota.left.store(0, Ordering::Relaxed);
        assert!(!target.quota.allows(234_000_001));
        assert_eq!(target.left_out().unwrap(), "… 235 MB left out: a run may log 32 MB");
        assert!(!target.quota.allows(0));
        assert_eq!(megabytes(1), "0.1");
        assert_eq!(megabytes(9_900_000), "9.9");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_process_that_never_stops_writing_does_not_hold_its_run_up() {
        let world = World::new();
        let (mut pipe, output) = world.output(1_000);
        let writes = std::thread::spawn(move || while pipe.write_all(&[b'x'; 4096]).is_ok() {});
        output.end_run().await;
        output.begin_run(World::target(2, 1_000)).await;
        output.end_run().await;
        drop(output);
        tokio::task::spawn_blocking(move || writes.join()).await.unwrap().unwrap();
    }
}
