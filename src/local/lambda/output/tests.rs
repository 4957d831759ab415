use std::io::Write as _;

use tasklane_model::{FunctionName, ObjectId, Timestamp};

use super::{lines::MAX_LINE_BYTES, target::LINE_OVERHEAD, *};
use crate::testing::MemoryLog;

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
async fn output_between_two_runs_is_dropped() {
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
async fn catching_up_does_not_split_an_incomplete_line() {
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
async fn a_long_line_is_split_but_never_within_a_character() {
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
async fn a_log_ends_when_its_limit_is_reached() {
    let world = World::new();
    let (mut pipe, output) = world.output(3 * (LINE_OVERHEAD + 5));
    pipe.write_all(b"line1\nline2\nlonger than the rest\nx\n").unwrap();
    output.end_run().await;
    assert_eq!(world.log_of(1), ["line1", "line2"], "lines after a gap are dropped too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_stops_writing_does_not_delay_its_run() {
    let world = World::new();
    let (mut pipe, output) = world.output(1_000);
    let writes = std::thread::spawn(move || while pipe.write_all(&[b'x'; 4096]).is_ok() {});
    output.end_run().await;
    output.begin_run(World::target(2, 1_000)).await;
    output.end_run().await;
    drop(output);
    tokio::task::spawn_blocking(move || writes.join()).await.unwrap().unwrap();
}
