//! What a process writes to its standard output and error: one pipe for both, so that the order is the process's own.
//!
//! Our bootstraps write each line with a blocking call before they answer, so the pipe holds all lines of a run when its
//! answer is heard. What is written between two runs belongs to neither: it is dropped, and is in nobody's log.

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

/// The most bytes of one line; a longer one becomes several. CloudWatch's limit of an event.
const MAX_LINE_BYTES: usize = 256 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// The most bytes that a pipe holds: Linux lets nobody but root have more (`/proc/sys/fs/pipe-max-size`). Whatever was
/// written before a moment is within the next so many bytes; without a bound a process that never stops writing would
/// never be done being read.
const MOST_IN_PIPE: usize = 1024 * 1024;
/// What a line takes in the store beside its text, about.
const LINE_OVERHEAD: u64 = 64;

/// Which run's lines these are, and how many more there may be.
#[derive(Clone, Debug)]
pub(super) struct LogTarget {
    pub(super) function: FunctionName,
    pub(super) correlation: ObjectId,
    pub(super) request_id: Arc<str>,
    quota: Arc<Quota>,
}

/// How much of what a run's processes write is logged.
#[derive(Debug)]
struct Quota {
    /// In bytes, as the rest.
    limit: u64,
    left: AtomicU64,
    left_out: AtomicU64,
}

impl LogTarget {
    /// The log of a run whose processes may log `limit` bytes.
    pub(super) fn new(function: FunctionName, correlation: ObjectId, request_id: Arc<str>, limit: u64) -> Self {
        let quota = Quota { limit, left: AtomicU64::new(limit), left_out: AtomicU64::new(0) };
        Self { function, correlation, request_id, quota: Arc::new(quota) }
    }

    /// Logs a line about this run, now. Lines of Lambda's own are in every log, whatever the code wrote.
    pub(super) async fn log(&self, logs: &dyn LogSink, message: String) {
        let Self { function, correlation, request_id, quota: _ } = self.clone();
        logs.write(LoggedLine { function, correlation, request_id, timestamp: now(), message }).await;
    }

    /// Logs a line that the run's process wrote, unless the run has logged too much.
    async fn log_written(&self, logs: &dyn LogSink, line: &[u8]) {
        if !self.quota.allows(line.len()) {
            return;
        }
        // A carriage return within a line is how runtime clients keep an entry of several lines together.
        self.log(logs, String::from_utf8_lossy(line).replace('\r', "\n")).await;
    }

    /// What to say at the end of a log that is not whole.
    pub(super) fn left_out(&self) -> Option<String> {
        let Quota { limit, left_out, .. } = &*self.quota;
        let bytes = left_out.load(Ordering::Relaxed);
        (bytes > 0).then(|| format!("… {} MB left out: a run may log {} MB", megabytes(bytes), megabytes(*limit)))
    }
}

impl Quota {
    /// Whether a line of so many bytes is logged. After the first that is not, none is: a log ends early, but has no gaps.
    fn allows(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        // One task at a time reads what the run's processes write.
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

/// Millions of bytes, with a digit behind the point where there are few.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    if tenths < 100 { format!("{}.{}", tenths / 10, tenths % 10) } else { format!("{}", tenths.div_ceil(10)) }
}

/// Reads a process's output into the log until every holder of the pipe is gone, or this is dropped.
#[derive(Debug)]
pub(super) struct Output {
    target: Target,
    reader: Arc<Reader>,
    _reading: DropGuard,
}

/// The run whose lines come; `None` between two runs.
type Target = Arc<Mutex<Option<LogTarget>>>;

impl Output {
    /// A pipe's end for a child to write to, and what reads it. Lines belong to `target` until that run ends.
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

    /// From now on lines belong to this run. What was written before is dropped.
    pub(super) async fn begin_run(&self, target: LogTarget) {
        let mut reading = self.reader.reading.lock().await;
        self.reader.drain(&mut reading).await;
        reading.lines.partial.clear();
        *lock(&self.target) = Some(target);
    }

    /// Returns once every line that was written before is handed to the log.
    pub(super) async fn catch_up(&self) {
        let mut reading = self.reader.reading.lock().await;
        self.reader.drain(&mut reading).await;
    }

    /// Returns once everything that was written before is handed to the log, a last line without an end too. What comes
    /// after belongs to nobody.
    pub(super) async fn end_run(&self) {
        let mut reading = self.reader.reading.lock().await;
        self.reader.drain(&mut reading).await;
        reading.lines.end().await;
        *lock(&self.target) = None;
    }
}

/// The end of the pipe. The holder of `reading` may read.
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
    /// Takes what is in the pipe now.
    async fn drain(&self, reading: &mut Reading) {
        let Reading { lines, buffer } = reading;
        let mut taken = 0;
        while taken < MOST_IN_PIPE {
            // Past tokio, which would not try before it has heard from the kernel that there is something.
            match nix::unistd::read(self.pipe.as_fd(), buffer) {
                Ok(0) => return,
                Ok(read) => {
                    taken += read;
                    lines.take(&buffer[..read]).await;
                }
                Err(Errno::EINTR) => {}
                // There is no more, or there never will be.
                Err(_) => return,
            }
        }
    }
}

/// Reads what comes when it comes.
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
            // Another may have read it.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

#[derive(Debug)]
struct Lines {
    logs: Arc<dyn LogSink>,
    target: Target,
    /// The bytes of a line that has not ended.
    partial: Vec<u8>,
}

impl Lines {
    async fn take(&mut self, bytes: &[u8]) {
        let Some(target) = lock(&self.target).clone() else { return };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                // Most lines come whole.
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

    /// Logs what has come of a line that will not end.
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

/// How many of the first `most` bytes can be taken without taking a character apart.
fn character_boundary(text: &[u8], most: usize) -> usize {
    let is_inside = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    // A character has at most four bytes; a longer sequence is not UTF-8.
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

    /// A log, a pipe that is read into it, and the runs `1`, `2` … of one Function.
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
        // Some is read as it comes, and some is still in the pipe when the next run begins.
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
        // The bytes before the characters of several bytes put the limit within one of them, each time within another part.
        let lines: Vec<String> = (0..5).map(|blank| " ".repeat(blank) + &"é☃😀".repeat(70_000)).collect();
        let text = lines.join("\n") + "\n" + &"x".repeat(MAX_LINE_BYTES) + "\n";
        let written = tokio::task::spawn_blocking(move || pipe.write_all(text.as_bytes()).map(|()| pipe));
        let _pipe = written.await.unwrap().unwrap();
        output.end_run().await;
        let mut logged = world.log_of(1);
        assert_eq!(logged.pop().unwrap().len(), MAX_LINE_BYTES, "a line of the greatest length is whole");
        assert!(logged.iter().all(|line| line.len() <= MAX_LINE_BYTES && !line.contains('\u{fffd}')));
        assert_eq!(logged.concat(), lines.concat());
        assert_eq!(logged.len(), 5 * 3, "each is cut as seldom as can be");
    }

    #[tokio::test]
    async fn a_log_ends_where_its_quota_does_and_says_how_much_is_left_out() {
        let world = World::new();
        let (mut pipe, output) = world.output(3 * (LINE_OVERHEAD + 5));
        pipe.write_all(b"line1\nline2\nlonger than the rest\nx\n").unwrap();
        output.end_run().await;
        assert_eq!(world.log_of(1), ["line1", "line2"], "what comes after a gap is left out too");
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
